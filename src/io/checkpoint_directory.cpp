// open_newest_checkpoint: which file of a directory to resume from. Judged by contents only: names and times
// lie.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
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

namespace {

// The checkpoints of a directory by what their headers say, the newest first.
std::vector<std::string> list_checkpoints(const std::string& directory) {
  // A file whose header is damaged could be the newest, so it comes first: it is cheap to refuse and must be
  // told.
  std::vector<std::pair<std::int64_t, std::string>> candidates;
  for (const std::string& name : names_in(directory)) {
    std::string path = directory + "/" + name;
    struct stat info {};
    const bool is_candidate =
        name.ends_with(".bin") && ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
    if (!is_candidate) continue;
    const auto header = peek_checkpoint(path);
    candidates.emplace_back(header ? header->step : INT64_MAX, std::move(path));
  }
  std::ranges::sort(candidates, std::greater());
  std::vector<std::string> paths;
  for (auto& [step, path] : candidates) paths.push_back(std::move(path));
  return paths;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 || errno != ENOENT;
}

}  // namespace

std::optional<Checkpoint> open_newest_checkpoint(const std::string& directory,
                                                 std::vector<std::string>* skipped) {
  // A run that goes on meanwhile removes old files, though only after it has saved a newer one: looking again
  // finds that. Bounded, in case somebody removes faster than this reads.
  constexpr int kLooks = 64;
  for (int look = 1;; ++look) {
    std::optional<Checkpoint> newest;
    std::vector<std::string> refusals;
    bool has_vanished = false;
    for (const std::string& path : list_checkpoints(directory)) {
      try {
        newest = Checkpoint::open(path);
        break;
      } catch (const Error& error) {
        refusals.push_back(error.what());
        has_vanished = !exists(path);
        if (has_vanished) break;
      }
    }
    if (has_vanished && look < kLooks) continue;
    if (skipped) std::ranges::move(refusals, std::back_inserter(*skipped));
    return newest;
  }
}

}  // namespace zhgpt
