#include "zhgpt/inference.h"

#include <algorithm>
#include <cstdint>

#include "train/state_transfer.h"
#include "zhgpt/error.h"
#include "zhgpt/trainer.h"

namespace zhgpt {
namespace {

// Where a parameter lies in the checkpoint's own memory; nullptr when it can not be used there.
const float* in_place(const Checkpoint& checkpoint, const ParameterSpec& spec) {
  const std::span<const std::byte> view = checkpoint.view(SectionKind::parameter, spec.name);
  const bool aligned = reinterpret_cast<std::uintptr_t>(view.data()) % Gpt::kPlaceAlignment == 0;
  return aligned && !view.empty() ? reinterpret_cast<const float*>(view.data()) : nullptr;
}

std::unique_ptr<Gpt> make_model(Backend& backend, const Checkpoint& checkpoint, const ModelConfig& config,
                                std::int64_t max_batch, NetworkEnds ends) {
  const ParameterTable table(config, ends);
  require_tensors(checkpoint, table, {SectionKind::parameter}, Precision::any);
  const auto place = [&](const ParameterSpec& spec) { return in_place(checkpoint, spec); };
  const auto is_rounded = [](const TensorInfo& info) {
    return info.kind == SectionKind::parameter && info.dtype != DType::f32;
  };
  if (backend.reads_host_memory() && std::ranges::none_of(checkpoint.tensors(), is_rounded) &&
      std::ranges::all_of(table.specs(), place)) {
    return std::make_unique<Gpt>(backend, config, max_batch, place, ends);
  }
  auto model = std::make_unique<Gpt>(backend, config, max_batch, Gpt::Purpose::inference, DType::f32,
                                     Gpt::Recompute::none, ends);
  read_tensors(checkpoint, backend, table, SectionKind::parameter, model->params());
  return model;
}

}  // namespace

std::unique_ptr<Gpt> make_inference_model(Backend& backend, const Checkpoint& checkpoint,
                                          std::int64_t max_batch) {
  return make_model(backend, checkpoint, config_of(checkpoint).model, max_batch, {});
}

std::unique_ptr<Gpt> make_part_model(Backend& backend, const Checkpoint& part, std::int64_t max_batch) {
  const PartInfo info = part_of(part).value();
  ModelConfig config = whole_config_of(part).model;
  config.n_layer = info.layers.count();
  return make_model(backend, part, config, max_batch,
                    {.embedding = info.part == Part::bottom, .head = info.part == Part::top});
}

SplitModel::SplitModel(const SplitParts& parts, const std::array<std::string, 3>& devices, int threads) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    backends_[i] = make_backend(devices[i], threads);
    models_[i] = make_part_model(*backends_[i], parts[i], 1);
  }
}

std::span<const float> SplitModel::last_logits(std::span<const std::int32_t> tokens) {
  const auto T = static_cast<std::int64_t>(tokens.size());
  const auto hand_on = [&](std::size_t from, std::size_t to) {
    const Tensor out = models_[from]->stream_out(1, T), in = models_[to]->stream_in(1, T);
    stream_.resize(static_cast<std::size_t>(out.bytes()));
    backends_[from]->download(stream_.data(), out.data, out.bytes());
    backends_[to]->upload(in.data, stream_.data(), in.bytes());
  };
  backends_[0]->upload(models_[0]->inputs(1, T).data, tokens.data(), T * 4);
  hand_on(0, 1);
  hand_on(1, 2);
  const Tensor logits = models_[2]->last_logits(1, T);
  logits_.resize(static_cast<std::size_t>(logits.numel()));
  backends_[2]->download(logits_.data(), logits.data, logits.bytes());
  return logits_;
}

}  // namespace zhgpt
