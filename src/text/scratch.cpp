#include "text/scratch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::size_t kPendingBytes = 1 << 18;

[[noreturn]] void throw_scratch_failed(const std::string& directory) {
  throw IoError(tr(Msg::scratch_failed, directory, std::strerror(errno)));
}

}  // namespace

ScratchFile::ScratchFile(const std::string& directory) : directory_(directory) {
  std::string path = directory + "/.tmp-text-XXXXXX";
  fd_ = mkostemp(path.data(), O_CLOEXEC);
  if (fd_ < 0) throw_scratch_failed(directory_);
  unlink(path.c_str());
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      fd_(std::exchange(other.fd_, -1)),
      written_(other.written_),
      pending_(std::move(other.pending_)) {}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) close(fd_);
}

void ScratchFile::append(std::span<const std::byte> bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  if (pending_.size() >= kPendingBytes) flush();
}

void ScratchFile::flush() {
  std::size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t n = pwrite(fd_, pending_.data() + done, pending_.size() - done, written_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_scratch_failed(directory_);
    done += static_cast<std::size_t>(n);
    written_ += n;
  }
  pending_.clear();
}

std::size_t ScratchFile::read(std::int64_t offset, std::span<std::byte> to) {
  flush();
  std::size_t done = 0;
  while (done < to.size()) {
    const ssize_t n =
        pread(fd_, to.data() + done, to.size() - done, offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_scratch_failed(directory_);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::shared_ptr<const std::byte> ScratchFile::map() {
  flush();
  const auto size = static_cast<std::size_t>(written_);
  if (size == 0) return nullptr;
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) throw_scratch_failed(directory_);
  return {static_cast<const std::byte*>(memory),
          [size](const std::byte* at) { munmap(const_cast<std::byte*>(at), size); }};
}

}  // namespace zhgpt
