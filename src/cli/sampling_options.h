// The flags that say how the next character is chosen, for every verb that writes.
#pragma once

#include <CLI/CLI.hpp>

#include "zhgpt/sampling.h"

namespace zhgpt::cli {

// llama.cpp's names. The options hold the defaults and must live until parsing ends. Ranges are checked by
// SamplingOptions::validate().
void add_sampling_flags(CLI::App& verb, SamplingOptions& options);

}  // namespace zhgpt::cli
