// Models for inference from checkpoints: in parts on their own devices, and in memory without a copy.
#include "zhgpt/inference.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <bit>

#include "parts/parts_test.h"
#include "zhgpt/formats.h"

namespace zhgpt::test {
namespace {

using Bits = std::vector<std::uint32_t>;

Bits bits(std::span<const float> values) {
  Bits out;
  for (float value : values) out.push_back(std::bit_cast<std::uint32_t>(value));
  return out;
}

Bits logits_of(Backend& backend, Gpt& model, std::span<const std::int32_t> tokens) {
  const auto T = static_cast<std::int64_t>(tokens.size());
  backend.upload(model.inputs(1, T).data, tokens.data(), T * 4);
  const Tensor logits = model.last_logits(1, T);
  std::vector<float> values(static_cast<std::size_t>(logits.numel()));
  backend.download(values.data(), logits.data, logits.bytes());
  return bits(values);
}

const std::vector<std::int32_t> kTokens{1, 5, 9, 2, 23, 4, 4, 17};

std::int64_t bytes_for_parameters(const Backend& backend) {
  std::int64_t bytes = 0;
  for (const MemoryUse& use : backend.memory()) {
    if (use.what.find("parameters") != std::string::npos) bytes += use.bytes;
  }
  return bytes;
}

// A file's bytes where sections want to lie: at a page, or `shift` bytes behind one.
class InMemory {
 public:
  explicit InMemory(const std::string& file, std::size_t shift = 0) : size_(file.size()) {
    memory_ = static_cast<std::byte*>(::aligned_alloc(4096, (size_ + shift + 4095) / 4096 * 4096));
    begin_ = memory_ + shift;
    std::memcpy(begin_, file.data(), size_);
  }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;
  ~InMemory() { ::free(memory_); }
  std::span<const std::byte> bytes() const { return {begin_, size_}; }

 private:
  std::size_t size_;
  std::byte *memory_, *begin_;
};

class InferenceTest : public SplitModelTest {
 protected:
  InferenceTest() : backend_(make_backend("cpu", 1)), model_(make_inference_model(*backend_, whole_, 1)) {}
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Gpt> model_;
};

// S4-8, S4-20, S4-25
TEST_F(InferenceTest, SplitModelsGiveTheLogitsOfTheWholeBitForBit) {
  for (const SplitPoints at : {SplitPoints{1, 2}, {1, 4}, {2, 3}, {3, 4}}) {
    SplitModel parts(open_parts(split(at, at.text())), {"cpu", "cpu", "cpu"}, 2);
    for (std::size_t length = 1; length <= kTokens.size(); ++length) {
      const auto tokens = std::span(kTokens).first(length);
      EXPECT_EQ(bits(parts.last_logits(tokens)), logits_of(*backend_, *model_, tokens))
          << at.text() << " " << length;
    }
  }
}

// S4-20, S4-26: a part alone takes memory for its own tensors only.
TEST_F(InferenceTest, APartReadsItsOwnTensorsOnly) {
  const SplitParts parts = open_parts(split({1, 3}));
  for (const Checkpoint& part : parts) {
    std::int64_t bytes = 0, rounded = 0;
    for (const TensorInfo& info : part.tensors()) {
      if (info.kind != SectionKind::parameter) continue;
      bytes += info.bytes();
      rounded += (info.bytes() + 255) / 256 * 256;  // each begins at a multiple of 64 elements
    }
    const auto backend = make_backend("cpu", 1);
    const auto model = make_part_model(*backend, part, 1);
    EXPECT_EQ(bytes_for_parameters(*backend), rounded) << part.path();
    EXPECT_LT(bytes, whole_.file_bytes() / 3);
  }
}

// S4-22
TEST_F(InferenceTest, APartIsNoWholeModel) {
  const Checkpoint part = Checkpoint::open(split()[1]);
  const std::string text = refusal<CheckpointError>([&] { make_inference_model(*backend_, part, 1); });
  EXPECT_TRUE(holds(text, "zhgpt merge") && holds(text, "zhgpt run-split") &&
              holds(text, "trunk: layers 1 to 2"))
      << text;
}

// S5-9, S5-14, S5-17
TEST_F(InferenceTest, WeightsOfAModelInMemoryAreUsedWhereTheyLie) {
  const InMemory file(contents(whole_.path()));
  const Checkpoint checkpoint = load_model_bytes(file.bytes(), "memory");
  const auto backend = make_backend("cpu", 1);
  const auto model = make_inference_model(*backend, checkpoint, 1);
  EXPECT_EQ(bytes_for_parameters(*backend), 0);
  EXPECT_GT(bytes_for_parameters(*backend_), 0) << "the same model from a file";
  EXPECT_EQ(logits_of(*backend, *model, kTokens), logits_of(*backend_, *model_, kTokens));
  const auto* wte = reinterpret_cast<const std::byte*>(model->param_tensors().wte.data);
  EXPECT_TRUE(wte >= file.bytes().data() && wte < file.bytes().data() + file.bytes().size());
}

// S5-14: memory at any place will do, at the price of a copy.
TEST_F(InferenceTest, WeightsThatAreNotAlignedAreCopied) {
  const InMemory file(contents(whole_.path()), 4);
  const Checkpoint checkpoint = load_model_bytes(file.bytes(), "memory");
  const auto backend = make_backend("cpu", 1);
  const auto model = make_inference_model(*backend, checkpoint, 1);
  EXPECT_GT(bytes_for_parameters(*backend), 0);
  EXPECT_EQ(logits_of(*backend, *model, kTokens), logits_of(*backend_, *model_, kTokens));
}

// S5-10, S5-18: one allocation for parameters, and none of its bytes drawn at random before the file's are
// there.
TEST_F(InferenceTest, LoadingTakesMemoryForParametersOnce) {
  EXPECT_EQ(bytes_for_parameters(*backend_), model_->table().flat_size() * 4);
}

}  // namespace
}  // namespace zhgpt::test
