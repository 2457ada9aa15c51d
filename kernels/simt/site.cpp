#include "simt/site.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

namespace zhgpt::simt {
namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

const char* keep(std::string text) {
  static std::set<std::string> texts;
  return texts.insert(std::move(text)).first->c_str();
}

bool Site::operator==(const Site& other) const {
  return where.line() == other.where.line() && where.column() == other.where.column() &&
         std::strcmp(where.file_name(), other.where.file_name()) == 0;
}

const char* Site::text() const {
  std::string chain = source_of(pc);
  if (chain.empty()) chain = base_name(where.file_name()) + ":" + std::to_string(where.line());
  return keep(std::move(chain));
}

std::string source_of(const void* pc) {
  Dl_info info;
  link_map* map = nullptr;
  if (!pc || !dladdr1(pc, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP)) return "";
  // The main program's name is as it was called, which a changed directory makes useless.
  const char* file = map->l_name[0] ? info.dli_fname : "/proc/$PPID/exe";
  char command[512];
  std::snprintf(command, sizeof command, "addr2line -i -e %s 0x%llx 2>/dev/null", file,
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(pc) - map->l_addr - 1));
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command, "r"), pclose);
  if (!output) return "";

  std::string chain;
  char line[1024];
  while (std::fgets(line, sizeof line, output.get())) {
    std::string frame(line, std::strcspn(line, " \n"));  // a space begins " (discriminator 3)"
    const bool known = frame.find('?') == std::string::npos;
    if (!known || frame.find("/kernels/simt/") != std::string::npos) continue;
    chain += (chain.empty() ? "" : " < ") + base_name(frame);
  }
  return chain;
}

}  // namespace zhgpt::simt
