// llm.c's model files (train_gpt2.py, write_model): version 3 in f32, version 5 in bf16.
//
// 256 i32: magic 20240326, version, T, V, L, NH, C, V padded to a multiple of 128, zeros. Then the tensors:
// wte (padded V, C), wpe (T, C), each kind of a block's parameters for all layers in turn, ln_f; weights (OC,
// C). They hold no characters.
#pragma once

#include <string>

#include "interop/foreign_model.h"

namespace zhgpt::interop {

bool is_llmc(const std::string& path);  // by its magic; false when it can not be read

// Throws CheckpointError unless every size is possible and the file has exactly the bytes that they take.
ForeignModel open_llmc(const std::string& path);

}  // namespace zhgpt::interop
