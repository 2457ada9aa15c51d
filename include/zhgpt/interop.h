// Models to and from other programs: Hugging Face transformers, llama.cpp, llm.c. Facts and limits:
// docs/interop.md.
//
// Tensors are read and written in pieces: host memory holds the vocabulary and some pieces of 16 MiB. The
// same input gives the same bytes.
#pragma once

#include <string>
#include <vector>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

struct Imported {
  Snapshot snapshot;               // parameters only; reads the foreign files while it is read itself
  std::vector<std::string> notes;  // what was kept and lost, for a person
};

// A directory with config.json, model.safetensors (f32, f16, bf16) and tokenizer.json or vocab.txt, or a file
// of llm.c (version 3 or 5). `vocabulary`, when not empty, is a vocab.json, tokenizer.json or vocab.txt to
// take instead; llm.c has none of its own. Throws CheckpointError naming what is not GPT-2 as it is here or
// what is wrong with a file, DataError for a vocabulary, IoError.
Imported import_model(const std::string& path, const std::string& vocabulary);

// These take a whole model, its vocabulary too; moments and history are left out. They throw CheckpointError
// when it is not one, IoError. A file appears whole or not at all; one that exists is refused unless
// `overwrite`.

// A directory that transformers loads with equal logits and a tokenizer that splits by character. It must not
// exist, or be empty.
void export_huggingface(const Snapshot& snapshot, const std::string& directory);
// `dtype` f32 or f16: of the matrices, except the positions'.
void export_gguf(const Snapshot& snapshot, const std::string& path, DType dtype, bool overwrite);
// Version 3, f32. The characters are not in it.
void export_llmc(const Snapshot& snapshot, const std::string& path, bool overwrite);

}  // namespace zhgpt
