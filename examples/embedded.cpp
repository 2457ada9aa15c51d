// A program with a model inside, which opens no file: it goes on with the words it is given.
//
//   add_executable(poem embedded.cpp)
//   target_link_libraries(poem PRIVATE zhgpt_core ${ZHGPT_DEVICES})
//   zhgpt_embed_model(poem model.bin)
#include <exception>
#include <iostream>

#include "zhgpt/embedded_model.h"
#include "zhgpt/formats.h"
#include "zhgpt/inference.h"
#include "zhgpt/sampler.h"

int main(int argc, char** argv) try {
  using namespace zhgpt;
  const std::string prompt = argc > 1 ? argv[1] : "天地";
  const Checkpoint checkpoint = load_model_bytes(embedded_model(), "the model in this program");
  const Vocabulary vocab = Vocabulary::from_code_points(checkpoint.vocab());
  const auto backend = make_backend("cpu", 0);
  const auto model = make_inference_model(*backend, checkpoint, 1);  // its weights stay where they lie

  Generator generator(*model);
  generator.start(vocab.encode(prompt), 0);
  std::cout << prompt;
  for (int i = 0; i < 40; ++i) {
    const std::int32_t id = generator.next({.temperature = 0});
    if (id == kEndOfTextId) break;
    std::cout << vocab.text(id);
  }
  std::cout << "\n";
  for (const MemoryUse& use : backend->memory()) std::cerr << use.what << ": " << use.bytes << " bytes\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
