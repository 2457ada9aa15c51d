#include "cuda/shared_library.h"

#include <dlfcn.h>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cuda {

SharedLibrary::SharedLibrary(std::initializer_list<std::string> files, const char* package) {
  std::string reasons;
  for (const std::string& file : files) {
    handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    file_ = file;
    if (handle_) return;
    reasons += (reasons.empty() ? "" : "; ") + std::string(dlerror());
  }
  throw DeviceError(tr(Msg::library_missing, *files.begin(), reasons, package));
}

void* SharedLibrary::address(const char* name) const {
  void* found = dlsym(handle_, name);
  if (!found) throw DeviceError(tr(Msg::library_too_old, file_, name));
  return found;
}

}  // namespace zhgpt::cuda
