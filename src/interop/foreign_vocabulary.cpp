#include "interop/foreign_vocabulary.h"

#include <algorithm>
#include <map>

#include "interop/foreign_json.h"
#include "interop/tensor_views.h"
#include "text/utf8.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxFileBytes = 32 << 20;
constexpr std::size_t kMaxTokens = 1 << 21;  // as vocab_size is bounded

// Names of the two tokens where nothing else tells them, the likeliest first.
constexpr const char* kUnknownNames[] = {"<unk>", "[UNK]", "<UNK>"};
constexpr const char* kEndNames[] = {"<|endoftext|>", "</s>", "<eos>", "[EOS]", "[SEP]"};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw DataError(tr(Msg::interop_vocab_refused, path, why));
}

bool is_byte_level(const Json& part) {
  if (!part.is_object()) return false;
  if (part.value("type", Json()) == "ByteLevel") return true;
  for (const char* list : {"pretokenizers", "decoders"}) {
    if (!part.contains(list) || !part[list].is_array()) continue;
    for (const Json& inner : part[list]) {
      if (inner.is_object() && inner.value("type", Json()) == "ByteLevel") return true;
    }
  }
  return false;
}

void put(ForeignVocabulary& vocabulary, const std::string& token, const Json& id) {
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaxTokens) {
    refuse(vocabulary.path, tr(Msg::interop_vocab_bad_id, shown_name(token), shown(id)));
  }
  const auto at = id.get<std::size_t>();
  if (at >= vocabulary.tokens.size()) vocabulary.tokens.resize(at + 1);
  if (!vocabulary.tokens[at].empty() && vocabulary.tokens[at] != token) {
    refuse(vocabulary.path,
           tr(Msg::interop_vocab_same_id, shown_name(token), shown_name(vocabulary.tokens[at])));
  }
  vocabulary.tokens[at] = token;
}

// The layout of tokenizer.json is that of Hugging Face's tokenizers 0.13 and later.
void read_tokenizer_json(const Json& file, ForeignVocabulary& vocabulary) {
  const Json& model = file["model"];
  const Json type = model.value("type", Json());
  if (type != "WordLevel" && type != "WordPiece" && type != "BPE") {
    refuse(vocabulary.path, tr(Msg::interop_vocab_type, shown(type)));
  }
  const bool has_merges = model.contains("merges") && !model["merges"].empty();
  if (has_merges || is_byte_level(file.value("pre_tokenizer", Json())) ||
      is_byte_level(file.value("decoder", Json()))) {
    refuse(vocabulary.path, tr(Msg::interop_vocab_merges));
  }
  if (!model.contains("vocab") || !model["vocab"].is_object())
    refuse(vocabulary.path, tr(Msg::interop_vocab_no_map));
  for (const auto& [token, id] : model["vocab"].items()) put(vocabulary, token, id);
  const Json added = file.value("added_tokens", Json::array());
  for (const Json& token : added) {
    if (token.is_object() && token.contains("content") && token["content"].is_string()) {
      put(vocabulary, token["content"].get<std::string>(), token.value("id", Json()));
    }
  }
  if (const Json unknown = model.value("unk_token", Json()); unknown.is_string())
    vocabulary.unknown = unknown.get<std::string>();
}

void read_lines(const std::string& text, ForeignVocabulary& vocabulary) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string token = text.substr(begin, end - begin);
    if (token.ends_with('\r')) token.pop_back();
    if (vocabulary.tokens.size() == kMaxTokens)
      refuse(vocabulary.path, tr(Msg::interop_vocab_too_long, kMaxTokens));
    vocabulary.tokens.push_back(std::move(token));
    begin = end + 1;
  }
}

// The one character that a token is.
std::optional<char32_t> single_character(const std::string& token) {
  if (token.empty() || token.size() > 4) return std::nullopt;
  std::u32string characters;
  const DecodeStep step = decode_utf8(token, true, characters);
  if (step.invalid > 0 || characters.size() != 1) return std::nullopt;
  return characters[0];
}

std::optional<std::size_t> find(const std::vector<std::string>& tokens, const std::string& name) {
  const auto at = std::find(tokens.begin(), tokens.end(), name);
  if (name.empty() || at == tokens.end()) return std::nullopt;
  return static_cast<std::size_t>(at - tokens.begin());
}

template <std::size_t N>
std::optional<std::size_t> find_any(const std::vector<std::string>& tokens, const char* const (&names)[N]) {
  for (const char* name : names) {
    if (const auto at = find(tokens, name)) return at;
  }
  return std::nullopt;
}

}  // namespace

ForeignVocabulary load_foreign_vocabulary(const std::string& path) {
  const std::string text = read_text_file(path, kMaxFileBytes);
  std::u32string characters;
  if (const DecodeStep step = decode_utf8(text, true, characters); step.invalid > 0) {
    refuse(path, tr(Msg::text_not_utf8, step.consumed));
  }
  ForeignVocabulary vocabulary{.path = path};
  const Json file = text.starts_with('{') ? parse_foreign_json(text) : Json();
  if (!file.is_object()) {
    read_lines(text, vocabulary);
  } else if (file.contains("model") && file["model"].is_object()) {
    read_tokenizer_json(file, vocabulary);
  } else if (file.contains("format")) {
    const Vocabulary ours = Vocabulary::load(path);
    vocabulary.tokens = {kUnknownNames[0], kEndNames[0]};
    for (std::int32_t id = 2; id < ours.size(); ++id) vocabulary.tokens.push_back(ours.text(id));
  } else {
    refuse(path, tr(Msg::interop_vocab_no_map));
  }
  return vocabulary;
}

VocabularyMapping map_vocabulary(const ForeignVocabulary& from, std::int64_t model_rows,
                                 std::optional<std::int64_t> end_id) {
  const auto count = static_cast<std::int64_t>(from.tokens.size());
  if (count > model_rows) refuse(from.path, tr(Msg::interop_vocab_rows, count, model_rows));
  auto unknown = find(from.tokens, from.unknown);
  if (!unknown) unknown = find_any(from.tokens, kUnknownNames);
  const bool is_told =
      end_id && *end_id >= 0 && *end_id < count && from.tokens[static_cast<std::size_t>(*end_id)] != "";
  const auto end =
      is_told ? std::optional(static_cast<std::size_t>(*end_id)) : find_any(from.tokens, kEndNames);

  const auto row_of = [](std::optional<std::size_t> id) {
    return id ? static_cast<std::int64_t>(*id) : kMeanRow;
  };
  std::vector<std::int32_t> code_points = {-1, -2};
  std::vector<std::int64_t> rows = {row_of(unknown), row_of(end)};
  std::map<char32_t, std::size_t> place;  // of a character among them
  for (std::size_t id = 0; id < from.tokens.size(); ++id) {
    const auto character = single_character(from.tokens[id]);
    if (!character || id == unknown || id == end) continue;
    const auto [at, is_new] = place.emplace(*character, rows.size());
    if (!is_new) {  // a line that comes twice in vocab.txt: the later one is what its tokenizer uses
      rows[at->second] = static_cast<std::int64_t>(id);
      continue;
    }
    code_points.push_back(static_cast<std::int32_t>(*character));
    rows.push_back(static_cast<std::int64_t>(id));
  }
  if (place.empty()) refuse(from.path, tr(Msg::interop_vocab_no_characters, count));

  VocabularyMapping mapping{.vocab = Vocabulary::from_code_points(code_points)};
  mapping.unknown = unknown ? from.tokens[*unknown] : "";
  mapping.end = end ? from.tokens[*end] : "";
  const auto kept = std::count_if(rows.begin(), rows.end(), [](std::int64_t row) { return row >= 0; });
  mapping.dropped = model_rows - kept;
  mapping.rows = std::make_shared<const std::vector<std::int64_t>>(std::move(rows));
  return mapping;
}

}  // namespace zhgpt::interop
