#include "interop/huggingface_files.h"

#include <nlohmann/json.hpp>

namespace zhgpt::interop {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUnknown = "<unk>";
constexpr const char* kEndOfText = "<|endoftext|>";

std::string to_text(const Json& file) {
  return file.dump(2) + "\n";
}

Json added_token(std::int32_t id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

}  // namespace

// One character a token. What was tried with tokenizers 0.23: "." as the pattern loses newlines, "(?s)." does
// not load, and without the Fuse decoder a space comes between all characters.
std::string tokenizer_json(const Vocabulary& vocab) {
  Json ids = Json::object();
  ids[kUnknown] = kUnknownId;
  ids[kEndOfText] = kEndOfTextId;
  for (std::int32_t id = 2; id < vocab.size(); ++id) ids.emplace(vocab.text(id), id);
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", Json::array({added_token(kUnknownId, kUnknown),
                                                   added_token(kEndOfTextId, kEndOfText)})},
                     {"normalizer", nullptr},
                     {"pre_tokenizer",
                      {{"type", "Split"},
                       {"pattern", {{"Regex", "[\\s\\S]"}}},
                       {"behavior", "Isolated"},
                       {"invert", false}}},
                     {"post_processor", nullptr},
                     {"decoder", {{"type", "Fuse"}}},
                     {"model", {{"type", "WordLevel"}, {"vocab", std::move(ids)}, {"unk_token", kUnknown}}}};
  return to_text(file);
}

// Without the class transformers would take GPT-2's byte-level tokenizer; with clean-up it would swallow
// spaces before punctuation.
std::string tokenizer_config_json(const ModelConfig& model) {
  return to_text({{"tokenizer_class", "PreTrainedTokenizerFast"},
                  {"unk_token", kUnknown},
                  {"bos_token", kEndOfText},
                  {"eos_token", kEndOfText},
                  {"pad_token", kEndOfText},
                  {"model_max_length", model.block_size},
                  {"clean_up_tokenization_spaces", false}});
}

std::string special_tokens_map_json() {
  return to_text({{"unk_token", kUnknown},
                  {"bos_token", kEndOfText},
                  {"eos_token", kEndOfText},
                  {"pad_token", kEndOfText}});
}

// <unk> is never generated, as `zhgpt sample` never does.
std::string generation_config_json() {
  return to_text({{"bos_token_id", kEndOfTextId},
                  {"eos_token_id", kEndOfTextId},
                  {"pad_token_id", kEndOfTextId},
                  {"suppress_tokens", Json::array({kUnknownId})}});
}

std::string model_card(const ModelSource& source) {
  const ModelConfig& m = source.model();
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  return "---\nlanguage: zh\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- gpt2\n- "
         "character-level\n"
         "---\n\n# A tiny Chinese GPT\n\nGPT-2, character by character, trained with zhgpt for " +
         number(source.step()) + " steps: " + number(m.n_layer) + " layers, " + number(m.n_head) +
         " heads, width " + number(m.n_embd) + ", context " + number(m.block_size) + " characters, " +
         number(m.vocab_size) + " tokens, " + number(source.table().count()) +
         " parameters.\n\n```python\n"
         "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
         "tokenizer = AutoTokenizer.from_pretrained(\".\")\n"
         "model = AutoModelForCausalLM.from_pretrained(\".\")\n"
         "inputs = tokenizer(\"春\", return_tensors=\"pt\", return_token_type_ids=False)\n"
         "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=" +
         number(std::min<std::int64_t>(60, std::max<std::int64_t>(1, m.block_size - 1))) +
         ", do_sample=True)[0]))\n```\n\n"
         "A character that the model never saw becomes `<unk>`; `<|endoftext|>` ends a text. Text was "
         "normalised to " +
         source.config().text.normalize + " before training, and inputs should be too. More than " +
         number(m.block_size) + " characters do not fit: positions are learned.\n";
}

}  // namespace zhgpt::interop
