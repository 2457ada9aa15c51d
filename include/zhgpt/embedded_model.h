// The checkpoint that CMake put into this program: zhgpt_embed_model(target file), cmake/embed_model.cmake.
#pragma once

#include <cstddef>
#include <span>

namespace zhgpt {

// The file's bytes, at a multiple of 4096, as long as the program runs: for load_model_bytes. Defined only in
// targets that a model was embedded in.
std::span<const std::byte> embedded_model();

}  // namespace zhgpt
