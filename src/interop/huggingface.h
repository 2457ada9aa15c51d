// A Hugging Face GPT-2 directory, read: config.json, model.safetensors, and where its vocabulary lies.
//
// Names come with or without the prefix `transformer.`. The four products of a block are Conv1D there, (C,
// OC): seen here transposed. The causal masks of old files are skipped; a head must equal the embedding,
// since here they are one.
#pragma once

#include <string>

#include "interop/foreign_model.h"

namespace zhgpt::interop {

// Throws CheckpointError, or IoError.
ForeignModel open_huggingface(const std::string& directory);

}  // namespace zhgpt::interop
