// open_newest_checkpoint: which file of a directory to resume from. Judged by contents only: names and times lie.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "io/binary_file.h"
#include "io/posix_file.h"
#include "zhgpt/checkpoint.h"
#include "zhgpt/error.h"

namespace zhgpt {

std::optional<CheckpointHeader> peek_checkpoint(const std::string& path) noexcept {
  try {
    return BinaryFile::header_of(ByteSource::open(path));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::optional<Checkpoint> open_newest_checkpoint(const std::string& directory, std::vector<std::string>* skipped) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
  if (!entries) throw_io_error(directory, "opendir", errno);
  // A file whose header is damaged could be the newest, so it comes first: it is cheap to refuse and must be told.
  std::vector<std::pair<std::int64_t, std::string>> candidates;
  while (const dirent* entry = ::readdir(entries.get())) {
    struct stat info {};
    const bool is_candidate = std::string_view(entry->d_name).ends_with(".bin") &&
                              ::fstatat(::dirfd(entries.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                              S_ISREG(info.st_mode);
    if (!is_candidate) continue;
    std::string path = directory + "/" + entry->d_name;
    const auto header = peek_checkpoint(path);
    candidates.emplace_back(header ? header->step : INT64_MAX, std::move(path));
  }
  std::ranges::sort(candidates, std::greater());
  for (const auto& [step, path] : candidates) {
    try {
      return Checkpoint::open(path);
    } catch (const Error& error) {
      if (skipped) skipped->push_back(error.what());
    }
  }
  return std::nullopt;
}

}  // namespace zhgpt
