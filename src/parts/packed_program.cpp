#include "zhgpt/packed_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "io/contents.h"
#include "io/format.h"
#include "io/posix_file.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/convert.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr const char* kSelf = "/proc/self/exe";

// Part of the program's file. In a copy with a model inside, the two numbers are others.
struct Slot {
  char mark[32];  // by which the slot is found; nothing else in the program may hold these bytes
  std::int64_t model_offset, model_bytes;
};
// Volatile, since what the file says counts, not what the compiler saw.
const volatile Slot slot = {"zhgpt: a model's place is here", 0, 0};

Slot read_slot() {
  Slot copy;
  for (std::size_t i = 0; i < sizeof copy.mark; ++i) copy.mark[i] = slot.mark[i];
  copy.model_offset = slot.model_offset;
  copy.model_bytes = slot.model_bytes;
  return copy;
}

// The running program's file. It can be mapped: the system lets nobody write to a program that runs.
std::span<const std::byte> map_self() {
  const FileDescriptor file(::open(kSelf, O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw_io_error(kSelf, "open", errno);
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) throw_io_error(kSelf, "fstat", errno);
  const auto size = static_cast<std::size_t>(found.st_size);
  const void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) throw_io_error(kSelf, "mmap", errno);
  return {static_cast<const std::byte*>(memory), size};
}

// Where in the program's bytes the slot lies.
std::size_t find_slot(std::span<const std::byte> program) {
  const Slot own = read_slot();
  const auto mark = std::as_bytes(std::span(own.mark));
  const auto found = std::ranges::search(program, mark);
  const std::span rest(found.end(), program.end());
  if (found.empty() || !std::ranges::search(rest, mark).empty()) throw IoError(tr(Msg::pack_no_slot, kSelf));
  return static_cast<std::size_t>(found.begin() - program.begin());
}

}  // namespace

std::optional<Checkpoint> packed_model() {
  const Slot own = read_slot();
  if (own.model_bytes == 0 && own.model_offset == 0) return std::nullopt;
  const std::span<const std::byte> program = map_self();
  const auto size = static_cast<std::int64_t>(program.size());
  if (own.model_offset <= 0 || own.model_bytes <= 0 || own.model_offset > size ||
      own.model_bytes != size - own.model_offset) {
    throw CheckpointError(tr(Msg::pack_model_gone, own.model_bytes, own.model_offset, size));
  }
  return load_model_bytes(program.subspan(static_cast<std::size_t>(own.model_offset)),
                          tr(Msg::pack_model_inside));
}

void pack_program(const std::string& to, const Checkpoint& model, std::int64_t max_bytes, bool overwrite) {
  const Snapshot snapshot = convert(model, {.inference_only = true}).snapshot;
  std::span<const std::byte> program = map_self();
  Slot own = read_slot();
  if (own.model_bytes > 0) program = program.first(static_cast<std::size_t>(own.model_offset));
  own.model_offset = format::align_up(static_cast<std::int64_t>(program.size()));
  own.model_bytes = binary_bytes(to, snapshot);
  const std::int64_t bytes = own.model_offset + own.model_bytes;
  constexpr std::int64_t kMb = 1'000'000;
  if (bytes > max_bytes)
    throw ConfigError(tr(Msg::pack_too_large, to, (bytes + kMb - 1) / kMb, max_bytes / kMb));

  constexpr unsigned kExecutable = 0777;
  AtomicFile file(to, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse, bytes,
                  kExecutable);
  const std::size_t at = find_slot(program);
  file.write(program.first(at));
  file.write(std::as_bytes(std::span(&own, 1)));
  file.write(program.subspan(at + sizeof own));
  const std::vector<std::byte> padding(static_cast<std::size_t>(own.model_offset - file.written()));
  file.write(padding);
  write_binary(file, snapshot);
  file.commit();
}

}  // namespace zhgpt
