#include "interop/gpt2_config.h"

#include <algorithm>
#include <initializer_list>

#include "interop/foreign_json.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"

namespace zhgpt::interop {
namespace {

using Json = nlohmann::json;

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {
    file_ = parse_foreign_json(read_text_file(path, 1 << 20));
    if (!file_.is_object()) refuse("JSON", "?", "{…}");
  }

  // The first of these names that is there, or null.
  const Json& find(std::initializer_list<const char*> names) const {
    static const Json kNull;
    for (const char* name : names) {
      if (const auto at = file_.find(name); at != file_.end() && !at->is_null()) return *at;
    }
    return kNull;
  }

  // The old name and the one that other models of transformers use.
  std::int64_t size(const char* name, const char* other, std::int64_t most) const {
    const Json& value = find({name, other});
    const std::string range = "1.." + std::to_string(most);
    if (!value.is_number_unsigned()) refuse(name, shown(value), range);
    const auto number = value.get<std::uint64_t>();
    if (number < 1 || number > static_cast<std::uint64_t>(most)) refuse(name, shown(value), range);
    return static_cast<std::int64_t>(number);
  }

  // Of what changes the computation only one value will do; absent, it is `otherwise`.
  void require(const char* name, const Json& otherwise, std::initializer_list<Json> allowed) const {
    const Json& found = find({name});
    const Json& value = found.is_null() ? otherwise : found;
    for (const Json& one : allowed) {
      if (value == one) return;
    }
    refuse(name, shown(value), shown(*allowed.begin()));
  }

  double dropout() const {
    const Json& value = find({"resid_pdrop"});
    if (value.is_null()) return 0.1;
    const double p = value.is_number() ? value.get<double>() : -1;
    if (!(p >= 0 && p <= 0.99)) refuse("resid_pdrop", shown(value), "0..0.99");
    return p;
  }

  [[noreturn]] void refuse(const char* name, const std::string& found, const std::string& expected) const {
    throw CheckpointError(tr(Msg::interop_config_refused, path_, name, found, expected));
  }

 private:
  std::string path_;
  Json file_;
};

}  // namespace

Gpt2Config read_gpt2_config(const std::string& path) {
  const Reader in(path);
  in.require("model_type", "gpt2", {"gpt2"});
  Gpt2Config config;
  config.model.n_layer = in.size("n_layer", "num_hidden_layers", 1000);
  config.model.n_head = in.size("n_head", "num_attention_heads", 1000);
  config.model.n_embd = in.size("n_embd", "hidden_size", 65536);
  config.model.block_size = in.size("n_positions", "max_position_embeddings", 1 << 20);
  config.model.vocab_size = in.size("vocab_size", "vocab_size", 1 << 21);
  config.model.dropout = in.dropout();
  if (config.model.n_embd % config.model.n_head != 0) {
    in.refuse("n_head", std::to_string(config.model.n_head), "n_embd % n_head = 0");
  }
  in.require("n_inner", 4 * config.model.n_embd, {4 * config.model.n_embd});
  in.require("activation_function", "gelu_new", {"gelu_new", "gelu_pytorch_tanh"});
  in.require("layer_norm_epsilon", 1e-5, {1e-5});
  in.require("scale_attn_weights", true, {true});
  in.require("scale_attn_by_inverse_layer_idx", false, {false});
  in.require("add_cross_attention", false, {false});
  in.require("tie_word_embeddings", true, {true});
  if (const Json& id = in.find({"eos_token_id"}); id.is_number_unsigned()) {
    config.end_id = static_cast<std::int64_t>(std::min<std::uint64_t>(id.get<std::uint64_t>(), 1 << 21));
  }
  config.from_pytorch = in.find({"converted_from_pytorch"}) == true;
  if (const Json& epoch = in.find({"epoch"});
      epoch.is_number_unsigned() && epoch.get<std::uint64_t>() < (1ULL << 53)) {
    config.epoch = static_cast<std::int64_t>(epoch.get<std::uint64_t>());
  }
  return config;
}

std::string gpt2_config_json(const ModelConfig& model) {
  const nlohmann::ordered_json file = {{"architectures", nlohmann::ordered_json::array({"GPT2LMHeadModel"})},
                                       {"model_type", "gpt2"},
                                       {"vocab_size", model.vocab_size},
                                       {"n_positions", model.block_size},
                                       {"n_ctx", model.block_size},  // llama.cpp's converter wants it
                                       {"n_embd", model.n_embd},
                                       {"n_layer", model.n_layer},
                                       {"n_head", model.n_head},
                                       {"n_inner", nullptr},
                                       {"activation_function", "gelu_new"},
                                       {"layer_norm_epsilon", 1e-5},
                                       {"attn_pdrop", 0.0},  // attention has no dropout here
                                       {"embd_pdrop", model.dropout},
                                       {"resid_pdrop", model.dropout},
                                       {"scale_attn_weights", true},
                                       {"tie_word_embeddings", true},
                                       {"bos_token_id", 1},
                                       {"eos_token_id", 1},
                                       {"torch_dtype", "float32"}};
  return file.dump(2) + "\n";
}

}  // namespace zhgpt::interop
