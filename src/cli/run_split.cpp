// zhgpt run-split BOTTOM TRUNK TOP: a split model at work, each part on its own device; and whether its
// logits are those of the whole one, to the bit.
#include <algorithm>
#include <bit>
#include <cmath>
#include <iostream>
#include <memory>
#include <numeric>

#include "base/fingerprint.h"
#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/prompt.h"
#include "cli/three_parts.h"
#include "zhgpt/error.h"
#include "zhgpt/inference.h"
#include "zhgpt/sampling.h"
#include "zhgpt/trainer.h"

namespace zhgpt::cli {
namespace {

struct RunSplitArguments {
  std::vector<std::string> parts;
  std::string prompt, devices = "bottom=auto,trunk=auto,top=auto", check;
  std::int64_t max_characters = 20, threads = 0;
};

// "bottom=cpu,trunk=cuda:0,top=cpu"; a part that is not named gets "auto".
std::array<std::string, 3> parse_devices(const std::string& list) {
  std::array<std::string, 3> devices{"auto", "auto", "auto"};
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string entry = list.substr(begin, end - begin);
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) throw ConfigError(tr(Msg::not_devices, list));
    devices[static_cast<std::size_t>(parse_part(entry.substr(0, equals)))] = entry.substr(equals + 1);
    begin = end + 1;
  }
  return devices;
}

// The ten likeliest next characters.
void print_table(std::span<const float> logits, const Vocabulary& vocab) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) {
    return static_cast<double>(logits[static_cast<std::size_t>(id)]);
  };
  const auto shown = std::min<std::ptrdiff_t>(10, std::ssize(ids));
  std::partial_sort(ids.begin(), ids.begin() + shown, ids.end(), [&](std::int32_t a, std::int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  });
  double sum = 0;
  for (std::int32_t id : ids) sum += std::exp(logit(id) - logit(ids.front()));
  for (std::int32_t id : std::span(ids).first(static_cast<std::size_t>(shown))) {
    std::string text = id == kEndOfTextId ? tr(Msg::run_split_end) : vocab.text(id);
    if (text == "\n") text = "↵";  // a line break would break the table
    std::cout << text << padding(text, 8) << fixed(std::exp(logit(id) - logit(ids.front())) / sum, 4) << "\n";
  }
}

// The whole model beside its parts, asked the same.
class WholeModel {
 public:
  WholeModel(const std::string& file, const SplitParts& parts, const std::array<std::string, 3>& devices,
             std::int64_t threads)
      : loaded_(Checkpoint::open(file), devices[0], threads, 1) {
    if (devices[1] != devices[0] || devices[2] != devices[0])
      throw ConfigError(tr(Msg::check_needs_one_device));
    const std::string hash = fingerprint_text(loaded_.checkpoint.state_hash()),
                      parent = part_of(parts[0])->parent_hash;
    if (hash != parent) throw CheckpointError(tr(Msg::check_other_model, file, hash, parent));
  }

  // Throws CheckpointError at the first bit that differs.
  void require_same(std::span<const float> logits, std::span<const std::int32_t> tokens) {
    const auto T = static_cast<std::int64_t>(tokens.size());
    loaded_.backend->upload(loaded_.model->inputs(1, T).data, tokens.data(), T * 4);
    const Tensor tensor = loaded_.model->last_logits(1, T);
    std::vector<float> whole(logits.size());
    loaded_.backend->download(whole.data(), tensor.data, tensor.bytes());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (std::bit_cast<std::uint32_t>(whole[i]) == std::bit_cast<std::uint32_t>(logits[i])) continue;
      throw CheckpointError(
          tr(Msg::check_differs, T, i, static_cast<double>(logits[i]), static_cast<double>(whole[i])));
    }
    ++positions_;
  }
  std::int64_t positions() const { return positions_; }

 private:
  LoadedModel loaded_;
  std::int64_t positions_ = 0;
};

void say_memory(const SplitModel& model) {
  for (Part part : kParts) {
    std::int64_t bytes = 0;
    for (const MemoryUse& use : model.backend(part).memory()) bytes += use.bytes;
    std::cerr << tr(Msg::run_split_memory, part_name(part), model.backend(part).name(),
                    fixed(static_cast<double>(bytes) / 1e6, 3))
              << "\n";
  }
}

int run_split(const RunSplitArguments& arguments) {
  const std::array<std::string, 3> devices = parse_devices(arguments.devices);
  const SplitParts parts = open_three_parts(arguments.parts, "run-split");
  const Vocabulary vocab = Vocabulary::from_code_points(parts[0].vocab());
  const Config config = whole_config_of(parts[0]);
  SplitModel model(parts, devices, static_cast<int>(arguments.threads));
  std::unique_ptr<WholeModel> whole;
  if (!arguments.check.empty()) {
    whole = std::make_unique<WholeModel>(arguments.check, parts, devices, arguments.threads);
  }

  std::vector<std::int32_t> tokens{kEndOfTextId};
  for (std::int32_t id : encode_prompt(vocab, config.text, arguments.prompt)) tokens.push_back(id);
  const SamplingOptions greedy{.temperature = 0};
  std::string text = arguments.prompt;
  for (std::int64_t i = 0; i < arguments.max_characters && stop_signal.load() == 0; ++i) {
    const auto window =
        std::span(tokens).last(std::min(tokens.size(), static_cast<std::size_t>(model.block_size())));
    const std::span<const float> logits = model.last_logits(window);
    if (whole) whole->require_same(logits, window);
    if (i == 0) print_table(logits, vocab);
    const std::int32_t id = choose_token(logits, tokens, greedy, 0, tokens.size());
    if (id == kEndOfTextId) break;
    tokens.push_back(id);
    text += vocab.text(id);
  }
  std::cout << text << "\n";
  say_memory(model);
  if (whole) std::cerr << tr(Msg::check_passed, whole->positions(), vocab.size(), arguments.check) << "\n";
  return stop_signal.load() ? 128 + stop_signal.load() : 0;
}

}  // namespace

void add_run_split(CLI::App& app, Action& action) {
  auto a = std::make_shared<RunSplitArguments>();
  CLI::App* verb = app.add_subcommand("run-split", tr(Msg::help_run_split));
  const std::string general = tr(Msg::group_general), sampling = tr(Msg::group_sampling);
  add_three_parts(*verb, a->parts);
  verb->add_option("-p,--prompt", a->prompt, tr(Msg::help_prompt))->type_name("TEXT")->group(sampling);
  add_integer(*verb, "-n,--max-chars", a->max_characters, 1, std::int64_t{1} << 40, Msg::help_max_characters)
      ->group(sampling);
  verb->add_option("--devices", a->devices, tr(Msg::help_devices))
      ->type_name("LIST")
      ->default_str(a->devices)
      ->group(general);
  verb->add_option("--check", a->check, tr(Msg::help_check))->type_name("FILE")->group(general);
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(general);
  verb->callback([a, &action] { action = [a] { return run_split(*a); }; });
}

}  // namespace zhgpt::cli
