// The four formats of a checkpoint. Each carries the complete state and brings back the same bits.
//
//   .bin          native: aligned sections, a hash for every 16 MiB, one sequential write; what a run saves
//   .json         to read and to edit by hand: decimals in their shortest exact form
//   .mpk          MessagePack, for programs in other languages
//   .safetensors  loads in Hugging Face's library: parameters under GPT-2's names in GPT-2's layout, the rest of
//                 the state beside them
//
// All are written by AtomicFile and verified whole before anything of them is used. Errors are those of
// Checkpoint::open and save_checkpoint.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "zhgpt/checkpoint.h"

namespace zhgpt {

inline constexpr Format kFormats[] = {Format::binary, Format::json, Format::msgpack, Format::safetensors};

std::string_view format_name(Format format);       // "bin", "json", "mpk", "safetensors"
std::optional<Format> format_of_name(std::string_view name);
// By extension, whatever its case; nullopt when it names none.
std::optional<Format> format_of_path(std::string_view path);
// By content, and only where that is of no known format by extension. Throws IoError; CheckpointError when
// neither tells.
Format detect_format(const std::string& path);

void save_model(const std::string& path, const Snapshot& snapshot, Format format, bool overwrite = false);
void save_model_binary(const std::string& path, const Snapshot& snapshot, bool overwrite = false);
void save_model_json(const std::string& path, const Snapshot& snapshot, bool overwrite = false);
void save_model_msgpack(const std::string& path, const Snapshot& snapshot, bool overwrite = false);
void save_model_safetensors(const std::string& path, const Snapshot& snapshot, bool overwrite = false);

// These refuse a file of another format; load_model_auto takes any.
Checkpoint load_model_binary(const std::string& path);
Checkpoint load_model_json(const std::string& path);
Checkpoint load_model_msgpack(const std::string& path);
Checkpoint load_model_safetensors(const std::string& path);
Checkpoint load_model_auto(const std::string& path);
// From memory, without a file: `bytes` must outlive the checkpoint. `name` stands for the path in messages.
Checkpoint load_model_bytes(std::span<const std::byte> bytes, const std::string& name);

// A checkpoint that training can go on from: throws CheckpointError for one without the optimizer's moments.
Checkpoint load_checkpoint(const std::string& path);

// Whether a file is a whole checkpoint, and if not, why. Never throws.
struct Validity {
  bool ok = false;
  std::string message;
};
Validity validate_checkpoint(const std::string& path) noexcept;

}  // namespace zhgpt
