// Config: every number and choice of a run, as plain data with defaults, in one place.
//
// One table of fields (src/base/config_fields.cpp) gives each its name, range and help; command-line flags,
// ZHGPT_* environment variables, TOML files, the record in a checkpoint and `--help` are all driven by that
// table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "zhgpt/key_values.h"
#include "zhgpt/messages.h"

namespace zhgpt {

// What the network is. Changing any of these makes another model.
struct ModelConfig {
  std::int64_t n_layer = 4;
  std::int64_t n_head = 4;
  std::int64_t n_embd = 128;
  std::int64_t block_size = 64;  // the longest context, in characters
  std::int64_t vocab_size = 0;   // from the vocabulary; never set by hand
  double dropout = 0;            // on embeddings and on the two branches of each block

  std::int64_t head_size() const { return n_embd / n_head; }
  void validate() const;  // throws ConfigError naming the field
};

// How text becomes documents, characters and ids.
struct TextConfig {
  std::string corpus;                // absolute paths, one a line; "-" is standard input
  std::string text_field = "text";   // of a JSONL record
  std::string encoding = "auto";     // or any name that iconv knows
  std::string normalize = "nfc";     // none, nfc, nfkc
  std::string on_invalid = "error";  // error, replace, skip
  std::string document = "auto";     // auto, file, line, blank-line, or a line that separates documents
  double val_fraction = 0.1;
  std::string val_corpus;      // validate on this file instead of on a part of the corpus
  std::int64_t min_count = 1;  // rarer characters become <unk>
  std::string vocab;           // take the vocabulary from this file
};

struct TrainConfig {
  std::int64_t epochs = 0;     // these three: 0 is no limit of that kind; with none given, 10 epochs
  std::int64_t max_iters = 0;  // optimizer steps
  double max_time = 0;         // seconds, of this process
  std::int64_t batch_size = 12;
  std::int64_t gradient_accumulation_steps = 1;
  double learning_rate = 1e-3;
  std::string lr_schedule = "cosine";  // cosine, linear, constant, wsd
  std::int64_t warmup_iters = 100;
  double min_lr = -1;  // below 0: a tenth of learning_rate
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, grad_clip = 1.0;
  std::int64_t seed = 1337;
  std::int64_t eval_interval = 0;    // steps; 0: once an epoch
  std::int64_t save_interval = 0;    // steps, besides the epoch checkpoints; 0: those only
  std::int64_t sample_interval = 0;  // steps; 0: at each evaluation
  std::int64_t log_interval = 10;    // steps
  std::int64_t patience = 0;         // evaluations without improvement before stopping; 0: never
  std::string save_policy = "best+last";  // parts of SavePolicy, joined by +
  std::string best_by = "loss";           // loss, accuracy: of the validation text
  std::int64_t keep_last = 3;             // the newest checkpoints that are kept
  std::int64_t keep_best = 1;             // and the best ones, where save_policy has best
  std::int64_t major_every = 0;           // steps; what is saved there is kept for ever; 0: nothing is
  bool verify_saves = false;              // read each checkpoint back before it counts as saved
  double spike_z = 0;                // go back after a loss or norm so many deviations too high; 0: never
  std::int64_t max_rollbacks = 3;    // in the whole run, before it ends as diverged
  std::string device = "auto";
  std::string dtype = "auto";        // fp32, tf32, bf16; auto: bf16 where the device has it
  std::string attention = "native";  // native, cudnn: whose attention, in bf16 on a CUDA device
  std::string recompute = "none";    // none, gelu, block: what backward computes again, to save memory
  bool deterministic = true;  // false: a CUDA device may add up in another order each run, if that is faster
  std::int64_t threads = 0;   // 0: all that this process may use
};

// When a run saves besides its end, save_interval and major_every, and what it keeps for that.
struct SavePolicy {
  bool last = false;       // "last": after each epoch
  bool best = false;       // "best": after an evaluation that is better than all before; those are kept
  std::int64_t every = 0;  // "every:N": after each N epochs, and all of these are kept; 0: never
};
// Throws ConfigError.
SavePolicy parse_save_policy(std::string_view text);

struct Config {
  ModelConfig model;
  TextConfig text;
  TrainConfig train;

  // Sets one field from text. Throws ConfigError naming the field, the value and what is allowed; an unknown
  // name brings the nearest known one. Both n_layer and n-layer are names.
  void set(std::string_view name, std::string_view value);
  void apply_preset(std::string_view name);  // micro, tiny, small, gpt2
  void validate() const;

  KeyValues to_key_values() const;                         // every field, in table order
  static Config from_key_values(const KeyValues& record);  // unknown or missing fields are errors
};

enum class FieldGroup { model, text, train };

struct ConfigField {
  using Ref = std::variant<std::int64_t*, double*, std::string*, bool*>;
  const char* name;  // snake_case
  FieldGroup group;
  Ref (*ref)(Config&);
  Msg help;
  double lowest = 0, highest = 0;  // of numbers, inclusive
  const char* choices = nullptr;   // of strings: "a|b|c"; nullptr: any
  bool is_duration = false;        // accepts 90, 90s, 10m, 2h
  bool added_later = false;        // records of older programs lack it: they mean the default
};
std::span<const ConfigField> config_fields();

// The name in `known` nearest to `name` by edit distance, or "" when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace zhgpt
