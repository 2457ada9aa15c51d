#include "torture/faults.h"

#include <fcntl.h>

#include <cerrno>

namespace zhgpt::test {
namespace {

// What a call changes, "" when it only reads.
std::string change(const SystemCall& call) {
  if (call.name == "fsync") return call.is_directory ? "fsync directory" : "fsync file";
  if (call.name == "renameat2") return "rename";
  if (call.name == "open") return call.flags & O_CREAT ? "create" : "";
  const bool only_reads =
      call.name == "lstat" || call.name == "fstat" || call.name == "fstatvfs" || call.name == "pread";
  return only_reads || (call.name == "close" && call.is_directory) ? "" : call.name;
}

}  // namespace

FaultScope::FaultScope(Fault fault) : fault_(std::move(fault)), scope_(*this) {}

int FaultScope::before(const SystemCall& call, std::size_t& limit) {
  if (call.name != fault_.call) return 0;
  ++seen_;
  if (seen_ != fault_.at && !(fault_.for_ever && seen_ > fault_.at)) return 0;
  has_happened_ = true;
  if (fault_.error == 0) limit = (call.bytes.size() + 1) / 2;
  return fault_.error;
}

void FaultScope::after(const SystemCall& call, std::int64_t result) {
  if (const std::string name = change(call); result >= 0 && !name.empty()) changes_.push_back(name);
}

int QuotaScope::before(const SystemCall& call, std::size_t& limit) {
  if (call.name == "fallocate") return EOPNOTSUPP;  // else nothing would come to be written
  if (call.name != "write") return 0;
  limit = left_;
  return left_ == 0 && !call.bytes.empty() ? ENOSPC : 0;
}

void QuotaScope::after(const SystemCall& call, std::int64_t result) {
  if (call.name == "write" && result > 0) left_ -= static_cast<std::size_t>(result);
}

}  // namespace zhgpt::test
