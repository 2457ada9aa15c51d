#include "io/atomic_directory.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "io/posix_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

// "out/" is "out": the temporary one must lie beside it.
std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// What killed processes left of the same directory; a process that lives is at work on its own.
void remove_leftovers(const std::string& path) {
  namespace fs = std::filesystem;
  const std::string prefix = "." + fs::path(path).filename().string() + ".tmp-";
  std::error_code ignored;
  std::vector<std::string> names;
  try {
    names = names_in(directory_of(path));
  } catch (const IoError&) {  // where nothing can be listed, nothing was left that could be removed
  }
  for (const std::string& name : names) {
    const auto owner = static_cast<pid_t>(name.starts_with(prefix) ? owner_of_temporary(name) : 0);
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH)
      fs::remove_all(directory_of(path) + "/" + name, ignored);
  }
}

}  // namespace

AtomicDirectory::AtomicDirectory(std::string path) : path_(without_slashes(std::move(path))) {
  // What is known to fail at the end fails now.
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path_, error);
  const bool is_empty_directory =
      std::filesystem::is_directory(status) && std::filesystem::is_empty(path_, error);
  if (std::filesystem::exists(status) && !is_empty_directory) throw_io_error(path_, "mkdir", EEXIST);
  remove_leftovers(path_);
  temporary_ = temporary_name(path_);
  if (::mkdir(temporary_.c_str(), 0777) != 0) throw_io_error(path_, "mkdir", errno);
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  if (const int error = sync_directory(temporary_)) throw_io_error(path_, "fsync", error);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw_io_error(path_, "rename", errno == ENOTEMPTY ? EEXIST : errno);
  }
  temporary_.clear();
  if (const int error = sync_directory(directory_of(path_))) {
    throw IoError(tr(Msg::io_directory_not_confirmed, path_, error_text(error)));
  }
}

}  // namespace zhgpt
