// A library that is loaded when it is first needed, so that a program that never needs it starts without it.
#pragma once

#include <initializer_list>
#include <string>

namespace zhgpt::cuda {

// Stays loaded to the end of the process: what its functions left behind may be used until then.
class SharedLibrary {
 public:
  // The first of `files` that can be loaded: names that the dynamic linker looks for, or paths. Throws
  // DeviceError that says which file is missing, and that `package` holds it.
  SharedLibrary(std::initializer_list<std::string> files, const char* package);

  // Sets `function` to the one of that name. Throws DeviceError when the library has none.
  template <class F>
  void find(const char* name, F*& function) const {
    function = reinterpret_cast<F*>(address(name));
  }

 private:
  void* address(const char* name) const;
  std::string file_;
  void* handle_ = nullptr;
};

}  // namespace zhgpt::cuda
