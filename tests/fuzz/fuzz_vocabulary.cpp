// Target: any bytes given as vocab.json are refused with a DataError, or are a vocabulary that is the same
// when it is written and read again, and whose every token is found by its text.
#include <fstream>

#include "fuzz/fuzz.h"
#include "zhgpt/error.h"
#include "zhgpt/tokenizer.h"

namespace zhgpt::fuzz {

void write_seeds(const std::string& directory) {
  const CharacterCounts counts = {{U'天', 3}, {U'地', 2}, {U'"', 1}, {U'\\', 1}, {U'\n', 1}, {U'𠀀', 1}};
  std::ofstream(directory + "/six") << Vocabulary::build(counts, 1).to_json();
  std::ofstream(directory + "/none") << Vocabulary::build({}, 1).to_json();
  std::ofstream(directory + "/deep") << std::string(1000, '[');
  std::ofstream(directory + "/deep-token") << R"({"format": "zhgpt-vocab", "version": 1, "tokens": )"
                                           << std::string(200000, '[') << std::string(200000, ']') << "}";
  std::ofstream(directory + "/twice")
      << R"({"format": "zhgpt-vocab", "version": 1, "tokens": ["<unk>", "<|endoftext|>", "一", "一"]})";
}

}  // namespace zhgpt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zhgpt;
  try {
    const auto vocabulary = Vocabulary::load(fuzz::InputFile(data, size).path());
    const std::string json = vocabulary.to_json();
    const fuzz::InputFile again(reinterpret_cast<const std::uint8_t*>(json.data()), json.size());
    ZHGPT_REQUIRE(Vocabulary::load(again.path()).code_points() == vocabulary.code_points());
    for (std::int32_t id = kEndOfTextId + 1; id < vocabulary.size(); ++id) {
      ZHGPT_REQUIRE(vocabulary.encode(vocabulary.text(id)) == std::vector<std::int32_t>{id});
    }
  } catch (const DataError&) {
  }
  return 0;
}
