// The kinds of failure, each with the exit code that the command line ends with.
//
// Library code throws one of these and never exits. The kind tells the caller what can be done about it; the
// text says which thing, what was got, what was expected and what to do next.
#pragma once

#include <stdexcept>
#include <string>

namespace zhgpt {

// The program's exit codes; 128 + signal number is added for a run that a signal stopped after saving.
enum class ExitCode : int {
  ok = 0,
  other = 1,
  config = 2,      // usage, flags, configuration
  data = 3,        // corpus or tokenizer input
  checkpoint = 4,  // a checkpoint is invalid or does not fit
  io = 5,          // I/O failed or the disk is full
  memory = 6,      // out of memory, device lost
  diverged = 7,    // loss or gradients are no longer finite
  busy = 8,        // the run directory is in use
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

#define ZHGPT_DEFINE_ERROR(Name, exit_code)                                      \
  class Name : public Error {                                                    \
   public:                                                                       \
    explicit Name(const std::string& text) : Error(ExitCode::exit_code, text) {} \
  }
ZHGPT_DEFINE_ERROR(ConfigError, config);
ZHGPT_DEFINE_ERROR(DataError, data);
ZHGPT_DEFINE_ERROR(CheckpointError, checkpoint);
ZHGPT_DEFINE_ERROR(IoError, io);
ZHGPT_DEFINE_ERROR(DeviceError, memory);
ZHGPT_DEFINE_ERROR(DivergedError, diverged);
ZHGPT_DEFINE_ERROR(BusyError, busy);
#undef ZHGPT_DEFINE_ERROR

// A checkpoint is not written because an element of a tensor is not finite.
class NotFiniteError : public CheckpointError {
  using CheckpointError::CheckpointError;
};

}  // namespace zhgpt
