#include "zhgpt/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fingerprint.h"
#include "train/state_transfer.h"
#include "train/text_feed.h"
#include "zhgpt/error.h"
#include "zhgpt/split.h"

namespace zhgpt {
namespace {

constexpr std::int64_t kFewestStepsBetweenEpochs = 50;
constexpr std::int64_t kMostSkippedBatches = std::int64_t{1} << 40;  // that a file is believed
constexpr std::int64_t kRates = 4096;  // learning rates that are on the device at a time

DataOrder order_of(const Config& config, const Dataset& dataset) {
  const std::int64_t T = config.model.block_size;
  if (dataset.train.count <= T) throw DataError(tr(Msg::corpus_too_short, dataset.train.count, T + 1, T));
  return {.seed = static_cast<std::uint64_t>(config.train.seed),
          .n_tokens = dataset.train.count,
          .block_size = T};
}

// "auto" is bf16 where the device has it.
DType training_dtype(const Backend& backend, const std::string& dtype) {
  if (dtype == "auto") return backend.computes_in(DType::bf16) ? DType::bf16 : DType::f32;
  if (dtype != "bf16") return DType::f32;
  if (!backend.computes_in(DType::bf16)) throw ConfigError(tr(Msg::no_bf16_here, backend.name()));
  return DType::bf16;
}

CudaOptions options_of(const TrainConfig& config) {
  return {.tf32 = config.dtype == "tf32",
          .cudnn_attention = config.attention == "cudnn",
          .deterministic = config.deterministic};
}

std::unique_ptr<Backend> checked(std::unique_ptr<Backend> backend, const TrainConfig& config) {
  if (config.attention == "cudnn" && training_dtype(*backend, config.dtype) != DType::bf16) {
    throw ConfigError(tr(Msg::cudnn_needs_bf16, backend->name(), config.dtype));
  }
  return backend;
}

Gpt::Recompute recompute_of(const std::string& name) {
  if (name == "none") return Gpt::Recompute::none;
  return name == "gelu" ? Gpt::Recompute::gelu : Gpt::Recompute::block;
}

}  // namespace

std::unique_ptr<Backend> make_backend(const TrainConfig& config) {
  return checked(make_backend(config.device, static_cast<int>(config.threads), options_of(config)), config);
}

std::unique_ptr<Backend> make_dry_backend(const TrainConfig& config, std::int64_t memory_bytes) {
  return checked(
      make_dry_backend(config.device, static_cast<int>(config.threads), options_of(config), memory_bytes),
      config);
}

std::int64_t planned_steps(const TrainConfig& config, const DataOrder& order) {
  const std::int64_t samples = config.batch_size * config.gradient_accumulation_steps;
  const bool unlimited = config.epochs == 0 && config.max_iters == 0;
  const std::int64_t epochs = unlimited ? 10 : config.epochs;
  std::int64_t steps = std::numeric_limits<std::int64_t>::max();
  if (epochs > 0) steps = std::max<std::int64_t>(1, (epochs * order.n_windows() + samples - 1) / samples);
  if (config.max_iters > 0) steps = std::min(steps, config.max_iters);
  return steps;
}

Trainer::Trainer(Backend& backend, const Config& config, Dataset& dataset)
    : backend_(backend), config_(config), dataset_(dataset), order_(order_of(config, dataset)) {
  model_ = std::make_unique<Gpt>(backend, config.model, config.train.batch_size, Gpt::Purpose::training,
                                 training_dtype(backend, config.train.dtype),
                                 recompute_of(config.train.recompute));
  optimizer_ = std::make_unique<Optimizer>(*model_);
  state_buffer_ = backend.allocate(sizeof(StepState), "the step's state");
  total_steps_ = planned_steps(config.train, order_);
  history_buffer_ =
      backend.allocate(kHistory * static_cast<std::int64_t>(sizeof(StepState)), "the steps' history");
  rates_buffer_ = backend.allocate(kRates * 4, "learning rates");
  rates_.resize(static_cast<std::size_t>(kRates));
  history_readback_ = backend.make_readback(history_buffer_.bytes(), "the steps' history, read back");
  copy_ = backend.make_device_copy({model_->params(), optimizer_->m(), optimizer_->v()}, kSavePieceBytes,
                                   "copy to save from");
  text_ = std::make_unique<TextFeed>(backend, dataset.train, order_, samples_per_step());
  finished_.reserve(static_cast<std::size_t>(kHistory));
  recorded_step_ = backend.record([this] { run_step(); });
  backend.reserve([this] {
    run_step();
    model_->evaluate(config_.train.batch_size, config_.model.block_size);
    model_->last_logits(1, config_.model.block_size);  // for samples
  });

  if (!backend.is_dry()) model_->set_parameters(model_->table().initial_values(order_.seed));
  upload_state({.seed = order_.seed});
}

Trainer::Trainer(Backend& backend, const Config& config, Dataset& dataset, const Checkpoint& from)
    : Trainer(backend, config, dataset) {
  try {
    restore(from);
    parent_ = fingerprint_text(from.state_hash());
  } catch (const ConfigError& error) {  // an entry of its progress is missing or no number
    throw CheckpointError(from.path() + ": " + error.what());
  }
}

Trainer::~Trainer() = default;

std::int64_t Trainer::samples_per_step() const {
  return config_.train.batch_size * config_.train.gradient_accumulation_steps;
}
std::int64_t Trainer::epoch_after(std::int64_t steps) const {
  return order_.epoch_of((steps + skipped_batches_) * samples_per_step());
}
double Trainer::epochs_after(std::int64_t steps) const {
  return static_cast<double>((steps + skipped_batches_) * samples_per_step()) /
         static_cast<double>(order_.n_windows());
}

bool Trainer::at_epoch_boundary() const {
  const std::int64_t steps_an_epoch = std::max<std::int64_t>(1, order_.n_windows() / samples_per_step());
  return completes_epochs(steps_done_, (kFewestStepsBetweenEpochs + steps_an_epoch - 1) / steps_an_epoch);
}

bool Trainer::completes_epochs(std::int64_t step, std::int64_t count) const {
  return step > 0 && epoch_after(step) / count > epoch_after(step - 1) / count;
}

bool Trainer::text_is_on_device() const {
  return text_->is_on_device();
}

bool Trainer::has_validation() const {
  return dataset_.val.count > 1;
}

void Trainer::upload_state(const StepState& state) {
  backend_.upload(device_state(), &state, sizeof state);
  steps_done_ = steps_seen_ = steps_read_ = state.step;
  skipped_batches_ = state.skipped_batches;
  upload_learning_rates();
}

StepState Trainer::state() const {
  StepState state;
  backend_.download(&state, device_state(), sizeof state);
  return state;
}

void Trainer::step() {
  const Span step(backend_.observer(), Observer::Place::training, "step");
  if (steps_done_ % kRates == 0) upload_learning_rates();
  if (!text_is_on_device()) {
    const Span data(backend_.observer(), Observer::Place::training, "data");
    text_->prepare(steps_done_ + skipped_batches_);
  }
  if (backend_.observer()) {  // who would see nothing of a graph
    run_step();
  } else {
    recorded_step_->replay();
  }
  ++steps_done_;
}

// Those of the kRates steps around the next one.
void Trainer::upload_learning_rates() {
  const std::int64_t first = steps_done_ / kRates * kRates;
  for (std::int64_t i = 0; i < kRates; ++i) {
    rates_[static_cast<std::size_t>(i)] =
        static_cast<float>(learning_rate_at(config_.train, first + i, total_steps_));
  }
  backend_.upload(rates_buffer_.data(), rates_.data(), rates_buffer_.bytes());
}

std::span<const StepState> Trainer::finished_steps(bool wait) {
  finished_.clear();
  while (steps_seen_ < steps_done_) {
    if (steps_read_ == steps_seen_) {
      history_readback_->start(history_buffer_.data());
      steps_read_ = steps_done_;
    }
    if (!wait && !history_readback_->ready()) break;
    take_history();
  }
  return finished_;
}

void Trainer::take_history() {
  const auto* history = static_cast<const StepState*>(history_readback_->wait());
  for (; steps_seen_ < steps_read_; ++steps_seen_) finished_.push_back(history[steps_seen_ % kHistory]);
}

// What a step puts on the device: the same operations with the same operands every time.
void Trainer::run_step() {
  const TrainConfig& t = config_.train;
  const std::int64_t B = t.batch_size, T = config_.model.block_size,
                     micro_steps = t.gradient_accumulation_steps;
  const double scale = 1.0 / static_cast<double>(B * T * micro_steps);  // every target counts the same

  backend_.run(
      BeginStep{.state = device_state(), .rates = Tensor(rates_buffer_.data(), DType::f32, {kRates})});
  backend_.zero(model_->grads().data, model_->grads().bytes());
  for (std::int64_t micro = 0; micro < micro_steps; ++micro) {
    backend_.run(GatherBatch{.inputs = model_->inputs(B, T),
                             .targets = model_->targets(B, T),
                             .tokens = text_->tokens(),
                             .order = order_,
                             .micro_step = micro,
                             .micro_steps = micro_steps,
                             .state = device_state()});
    const Dropout dropout{.p = static_cast<float>(config_.model.dropout),
                          .site = 0,
                          .micro_step = micro,
                          .micro_steps = micro_steps,
                          .state = device_state()};
    model_->forward_backward(B, T, scale, dropout);
    backend_.run(AccumulateLoss{
        .state = device_state(), .losses = model_->losses(B, T), .scale = scale, .first = micro == 0});
  }
  optimizer_->step(t, device_state(), static_cast<StepState*>(history_buffer_.data()), kHistory);
}

EvaluationResult Trainer::evaluate(std::int64_t max_batches) {
  if (!has_validation()) return {.loss = std::numeric_limits<double>::quiet_NaN()};
  const std::int64_t B = config_.train.batch_size;
  return evaluate_tokens(*model_, B, dataset_.val, max_batches * B);
}

EvaluationResult evaluate_tokens(Gpt& model, std::int64_t max_batch, const TokenArray& tokens,
                                 std::int64_t max_windows, const TokenScored& scored) {
  Backend& backend = model.backend();
  const std::int64_t T = model.config().block_size;
  const std::int64_t whole = (tokens.count - 1) / T;  // windows of T targets
  const std::int64_t tail =
      whole ? 0 : tokens.count - 1;  // a text shorter than one window is one short window
  const std::int64_t windows = whole ? whole : 1;
  const std::int64_t used = max_windows > 0 ? std::min(max_windows, windows) : windows;
  const std::int64_t length = whole ? T : tail;
  if (length <= 0) return {};

  std::vector<std::int32_t> inputs, targets;
  std::vector<std::int64_t> places;  // of the targets in the text
  std::vector<float> losses(static_cast<std::size_t>(max_batch * length));
  std::vector<std::int32_t> ranks(losses.size());
  EvaluationResult result;
  double sum = 0;
  std::int64_t first_rank = 0, first_five = 0;
  const auto run = [&](std::int64_t B, std::int64_t width) {
    backend.upload(model.inputs(B, width).data, inputs.data(), B * width * 4);
    backend.upload(model.targets(B, width).data, targets.data(), B * width * 4);
    model.evaluate(B, width);
    backend.download(losses.data(), model.losses(B, width).data, B * width * 4);
    backend.download(ranks.data(), model.ranks(B, width).data, B * width * 4);
    for (std::size_t i = 0; i < static_cast<std::size_t>(B * width); ++i) {
      sum += static_cast<double>(losses[i]);
      first_rank += ranks[i] < 1;
      first_five += ranks[i] < std::min<std::int64_t>(5, model.config().vocab_size);
      if (scored) scored(places[i], static_cast<double>(losses[i]), ranks[i]);
    }
    result.tokens += B * width;
  };
  const auto gather = [&](std::int64_t start, std::int64_t width) {
    for (std::int64_t t = 0; t < width; ++t) {
      inputs.push_back(tokens[start + t]);
      targets.push_back(tokens[start + t + 1]);
      places.push_back(start + t + 1);
    }
  };
  for (std::int64_t first = 0; first < used; first += max_batch) {
    const std::int64_t B = std::min(max_batch, used - first);
    inputs.clear();
    targets.clear();
    places.clear();
    // With fewer windows than there are, they are spread evenly over the text.
    for (std::int64_t b = 0; b < B; ++b) gather((first + b) * windows / used * T, length);
    run(B, length);
  }
  const std::int64_t rest = tokens.count - 1 - windows * length;
  if (used == windows && rest > 0) {
    inputs.clear();
    targets.clear();
    places.clear();
    gather(windows * length, rest);
    run(1, rest);
  }
  result.loss = sum / static_cast<double>(result.tokens);
  result.accuracy = static_cast<double>(first_rank) / static_cast<double>(result.tokens);
  result.accuracy_5 = static_cast<double>(first_five) / static_cast<double>(result.tokens);
  return result;
}

Snapshot Trainer::snapshot() {
  Snapshot snapshot = records();
  const auto append = [&](SectionKind kind, Tensor flat) {
    append_tensors(snapshot, model_->table(), kind,
                   [this, flat](std::int64_t offset, std::span<std::byte> to) {
                     backend_.download(to.data(), static_cast<char*>(flat.data) + offset,
                                       static_cast<std::int64_t>(to.size()));
                   });
  };
  append(SectionKind::parameter, model_->params());
  append(SectionKind::adam_m, optimizer_->m());
  append(SectionKind::adam_v, optimizer_->v());
  return snapshot;
}

Snapshot Trainer::copied_snapshot() {
  Snapshot snapshot = records();
  copy_->take();
  std::int64_t begin = 0;
  for (SectionKind kind : {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v}) {
    append_tensors(snapshot, model_->table(), kind,
                   [copy = copy_.get(), begin](std::int64_t offset, std::span<std::byte> to) {
                     copy->read(begin + offset, to);
                   });
    begin += model_->params().bytes();
  }
  return snapshot;
}

std::int64_t Trainer::host_bytes_to_save() const {
  return DeviceCopy::kPieces * std::min(kSavePieceBytes, 3 * model_->params().bytes());
}

Snapshot Trainer::records() {
  const StepState s = state();
  Snapshot snapshot;
  snapshot.step = s.step;
  snapshot.run_id = run_id_;
  snapshot.config = config_.to_key_values();
  KeyValues& p = snapshot.progress;
  p.set_integer("step", s.step);
  p.set_integer("epoch", epoch_after(s.step));
  p.set_integer("updates", s.updates);
  p.set_integer("skipped", s.skipped);
  p.set_integer("skipped_in_a_row", s.skipped_in_a_row);
  p.set_integer("skipped_batches", s.skipped_batches);
  p.set_integer("samples", s.step * samples_per_step());
  p.set_integer("tokens", s.step * tokens_per_step());
  p.set_integer("total_steps", total_steps_);
  p.set_real("train_loss", static_cast<double>(s.loss));
  p.set_real("best_val_loss", evaluations_.best_val_loss);
  p.set_real("best_val_accuracy", evaluations_.best_val_accuracy);
  p.set_integer("best_step", evaluations_.best_step);
  p.set_real("last_val_loss", evaluations_.last_val_loss);
  p.set_real("last_val_accuracy", evaluations_.last_val_accuracy);
  p.set_integer("last_evaluation_step", evaluations_.last_step);
  p.set_integer("evaluations_without_improvement", evaluations_.without_improvement);
  stability_.save_to(p);
  p.set_quoted("corpus_fingerprint", fingerprint_text(dataset_.fingerprint));
  p.set_integer("train_tokens", dataset_.train.count);
  p.set_integer("val_tokens", dataset_.val.count);
  p.set_quoted("parent", parent_);
  p.set_quoted("command", command_);
  p.set_quoted("program", "zhgpt " ZHGPT_VERSION);
  p.set_quoted("backend", backend_.name());
  snapshot.vocab = dataset_.vocab.code_points();
  snapshot.history = history_;
  return snapshot;
}

void Trainer::restore(const Checkpoint& from) {
  require_tensors(from, model_->table(), {SectionKind::parameter, SectionKind::adam_m, SectionKind::adam_v},
                  Precision::f32);
  const KeyValues& p = from.progress();
  StepState s;
  s.step = from.step();
  s.updates = p.get_integer("updates");
  s.skipped = p.get_integer("skipped");
  s.skipped_in_a_row = p.get_integer("skipped_in_a_row");
  if (p.has("skipped_batches")) s.skipped_batches = p.get_integer("skipped_batches");  // none in older files
  if (s.skipped_batches < 0 || s.skipped_batches > kMostSkippedBatches) {
    throw ConfigError(tr(Msg::out_of_range, "skipped_batches", s.skipped_batches, 0, kMostSkippedBatches));
  }
  s.seed = order_.seed;
  s.loss = static_cast<float>(p.get_real("train_loss"));
  evaluations_.best_val_loss = p.get_real("best_val_loss");
  evaluations_.best_step = p.get_integer("best_step");
  evaluations_.last_val_loss = p.get_real("last_val_loss");
  evaluations_.last_step = p.get_integer("last_evaluation_step");
  evaluations_.without_improvement = p.get_integer("evaluations_without_improvement");
  if (p.has("best_val_accuracy")) {  // unknown to older programs
    evaluations_.best_val_accuracy = p.get_real("best_val_accuracy");
    evaluations_.last_val_accuracy = p.get_real("last_val_accuracy");
  }
  stability_.restore_from(p);
  history_ = from.history();
  if (const std::string fingerprint = fingerprint_text(dataset_.fingerprint);
      p.get_quoted("corpus_fingerprint") != fingerprint) {
    evaluations_ = {};  // losses on another text are no measure for those on this one
    history_ += "{\"step\":" + to_text(s.step) + ",\"corpus_fingerprint\":\"" + fingerprint + "\"}\n";
  }
  run_id_ = from.run_id();
  read_tensors(from, backend_, model_->table(), SectionKind::parameter, model_->params());
  read_tensors(from, backend_, model_->table(), SectionKind::adam_m, optimizer_->m());
  read_tensors(from, backend_, model_->table(), SectionKind::adam_v, optimizer_->v());
  model_->parameters_changed();
  upload_state(s);
}

void Trainer::roll_back(const Checkpoint& to, std::int64_t trouble) {
  finished_steps(true);  // nothing may be under way
  const std::int64_t skipped_batches = skipped_batches_ + trouble - to.step(),
                     rollbacks = stability_.rollbacks() + 1;
  restore(to);
  StepState s = state();
  s.skipped_batches = skipped_batches;
  upload_state(s);
  stability_.count_rollback(rollbacks);
}

Config config_of(const Checkpoint& checkpoint) {
  if (const auto part = part_of(checkpoint)) {
    throw CheckpointError(tr(Msg::split_is_part, checkpoint.path(), part->text()));
  }
  return whole_config_of(checkpoint);
}

Config whole_config_of(const Checkpoint& checkpoint) {
  try {
    return Config::from_key_values(checkpoint.config());
  } catch (const ConfigError& error) {
    throw CheckpointError(checkpoint.path() + ": " + error.what());
  }
}

}  // namespace zhgpt
