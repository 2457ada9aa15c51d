#include "torture/disk.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace zhgpt::test {
namespace {

using Kind = Operation::Kind;

constexpr std::size_t kSectorBytes = 512;

// How data looks that was written, but had not come to the disk.
enum class Lost { absent, zeros, garbage, torn_over_zeros, torn_over_garbage };
constexpr Lost kWaysToLose[] = {Lost::absent, Lost::zeros, Lost::garbage, Lost::torn_over_zeros,
                                Lost::torn_over_garbage};

bool is_data(Kind kind) {
  return kind == Kind::write || kind == Kind::truncate;
}
bool is_name(Kind kind) {
  return kind == Kind::create || kind == Kind::rename || kind == Kind::unlink;
}

// Of the first `count` operations, those that may not be there.
std::vector<std::size_t> pending_operations(const Trace& trace, std::size_t count) {
  std::vector<std::size_t> pending;
  for (std::size_t i = 0; i < count; ++i) {
    const Operation& operation = trace[i];
    if (is_data(operation.kind) || is_name(operation.kind)) pending.push_back(i);
    if (operation.kind == Kind::sync_directory)
      std::erase_if(pending, [&](std::size_t p) { return is_name(trace[p].kind); });
    if (operation.kind == Kind::sync_file) {
      std::erase_if(pending,
                    [&](std::size_t p) { return is_data(trace[p].kind) && trace[p].file == operation.file; });
    }
  }
  return pending;
}

void write_what_was_lost(const Operation& write, Lost lost, std::vector<std::byte>& content,
                         std::mt19937_64& random) {
  if (lost == Lost::absent) return;
  const bool is_garbage = lost == Lost::garbage || lost == Lost::torn_over_garbage;
  const bool is_torn = lost == Lost::torn_over_zeros || lost == Lost::torn_over_garbage;
  const auto start = static_cast<std::size_t>(write.number), end = start + write.bytes.size();
  content.resize(std::max(content.size(), end));
  for (std::size_t at = start; at < end;) {
    const std::size_t sector_end = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    if (is_torn && random() & 1) {
      std::copy_n(write.bytes.begin() + static_cast<std::ptrdiff_t>(at - start), sector_end - at,
                  content.begin() + static_cast<std::ptrdiff_t>(at));
      at = sector_end;
    }
    for (std::uint64_t noise = 0; at < sector_end; ++at, noise >>= 8) {
      if (is_garbage && noise == 0) noise = random();
      content[at] = is_garbage ? static_cast<std::byte>(noise) : std::byte{0};
    }
  }
}

DiskState state_of(const Trace& trace, std::size_t count, const std::vector<bool>& is_there, Lost lost,
                   std::mt19937_64& random) {
  std::map<std::string, int> issued, names;  // as the program saw them, and as the disk holds them
  std::map<int, std::vector<std::byte>> contents;
  for (std::size_t i = 0; i < count; ++i) {
    const Operation& operation = trace[i];
    if (operation.kind == Kind::create) {
      issued[operation.name] = operation.file;
      contents.try_emplace(operation.file);
      if (is_there[i]) names[operation.name] = operation.file;
    } else if (operation.kind == Kind::rename) {
      issued[operation.to] = issued.at(operation.name);
      issued.erase(operation.name);
      if (is_there[i]) {
        names.erase(operation.name);
        names[operation.to] = issued.at(operation.to);
      }
    } else if (operation.kind == Kind::unlink) {
      issued.erase(operation.name);
      if (is_there[i]) names.erase(operation.name);
    } else if (operation.kind == Kind::truncate && is_there[i]) {
      contents[operation.file].resize(static_cast<std::size_t>(operation.number));
    } else if (operation.kind == Kind::write && !is_there[i]) {
      write_what_was_lost(operation, lost, contents[operation.file], random);
    } else if (operation.kind == Kind::write) {
      std::vector<std::byte>& content = contents[operation.file];
      const auto offset = static_cast<std::size_t>(operation.number);
      content.resize(std::max(content.size(), offset + operation.bytes.size()));
      std::ranges::copy(operation.bytes, content.begin() + static_cast<std::ptrdiff_t>(offset));
    }
  }
  DiskState state;
  for (const auto& [name, file] : names) state[name] = contents[file];
  return state;
}

}  // namespace

bool DiskRecorder::name_in_directory(const std::string& path, std::string& name) const {
  if (!path.starts_with(directory_ + "/")) return false;
  name = path.substr(directory_.size() + 1);
  return true;
}

void DiskRecorder::after(const SystemCall& call, std::int64_t result) {
  if (result < 0) return;
  std::string name, to;
  if (call.name == "fsync" && call.is_directory && call.path == directory_)
    trace_.push_back({.kind = Kind::sync_directory});
  if (!name_in_directory(call.path, name)) return;
  if (call.name == "open" && call.flags & O_CREAT) {
    const auto known = names_.find(name);
    if (known == names_.end()) {
      struct stat info {};
      ::stat(call.path.c_str(), &info);
      trace_.push_back(
          {.kind = Kind::create, .name = name, .file = names_[name] = files_[info.st_ino] = ++created_});
    } else if (call.flags & O_TRUNC) {
      trace_.push_back({.kind = Kind::truncate, .file = known->second});
    }
  } else if (call.name == "write" || call.name == "pwrite") {
    const auto bytes = call.bytes.first(static_cast<std::size_t>(result));
    trace_.push_back({.kind = Kind::write,
                      .file = files_[call.inode],
                      .number = call.offset,
                      .bytes = {bytes.begin(), bytes.end()}});
  } else if (call.name == "ftruncate") {
    trace_.push_back({.kind = Kind::truncate, .file = files_[call.inode], .number = call.offset});
  } else if (call.name == "fsync") {
    trace_.push_back({.kind = Kind::sync_file, .file = files_[call.inode]});
  } else if (call.name == "unlink" && names_.erase(name)) {
    trace_.push_back({.kind = Kind::unlink, .name = name});
  } else if (call.name.starts_with("rename") && name_in_directory(call.to, to)) {
    names_[to] = names_[name];
    names_.erase(name);
    trace_.push_back({.kind = Kind::rename, .name = name, .to = to});
  }
}

std::int64_t for_each_disk_state(const Trace& trace, int exhaustive, int samples, std::mt19937_64& random,
                                 const std::function<void(const DiskState&, std::int64_t)>& check) {
  std::int64_t states = 0, acknowledged = 0;
  for (std::size_t cut = 0; cut <= trace.size(); ++cut) {
    if (cut > 0 && trace[cut - 1].kind == Kind::acknowledge) acknowledged = trace[cut - 1].number;
    const std::vector<std::size_t> pending = pending_operations(trace, cut);
    const bool is_exhaustive = pending.size() <= static_cast<std::size_t>(exhaustive);
    const std::int64_t combinations = is_exhaustive ? std::int64_t{1} << pending.size() : samples;
    for (std::int64_t combination = 0; combination < combinations; ++combination) {
      std::vector<bool> is_there(cut, true);
      // Sampled: the first so many of them in order, or each with a chance of 1/8, 1/2 or 7/8.
      const std::size_t in_order = random() % (pending.size() + 1);
      const std::uint64_t chances = std::array{1, 4, 7, 0}[static_cast<std::size_t>(combination % 4)];
      for (std::size_t i = 0; i < pending.size(); ++i) {
        is_there[pending[i]] = is_exhaustive ? (combination >> i & 1)
                               : chances     ? random() % 8 < chances
                                             : i < in_order;
      }
      for (const Lost lost : kWaysToLose) {
        check(state_of(trace, cut, is_there, lost, random), acknowledged);
        ++states;
      }
    }
  }
  return states;
}

}  // namespace zhgpt::test
