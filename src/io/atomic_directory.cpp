#include "io/atomic_directory.h"

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

}  // namespace

AtomicDirectory::AtomicDirectory(std::string path) : path_(without_slashes(std::move(path))) {
  // What is known to fail at the end fails now.
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path_, error);
  const bool is_empty_directory =
      std::filesystem::is_directory(status) && std::filesystem::is_empty(path_, error);
  if (std::filesystem::exists(status) && !is_empty_directory) throw_io_error(path_, "mkdir", EEXIST);
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
