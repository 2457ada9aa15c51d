// zhgpt plan CORPUS...|--vocab-size N: what a training run would take, before anything runs.
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/console.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/roofline.h"
#include "cli/session.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/plan.h"

namespace zhgpt::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PlanArguments {
  std::vector<std::string> corpus;
  std::int64_t vocab_size = 0;
  std::string memory, card;
  bool json = false;
  ConfigOptions config;
};

// "80GB", "24GiB", "1000000".
std::int64_t parse_bytes(const std::string& text) {
  static constexpr std::pair<const char*, double> kUnits[] = {{"", 1},
                                                              {"B", 1},
                                                              {"kB", 1e3},
                                                              {"KB", 1e3},
                                                              {"MB", 1e6},
                                                              {"GB", 1e9},
                                                              {"TB", 1e12},
                                                              {"KiB", 1 << 10},
                                                              {"MiB", 1 << 20},
                                                              {"GiB", 1 << 30},
                                                              {"TiB", 1024. * (1 << 30)}};
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  for (const auto& [unit, bytes] : kUnits) {
    if (end == 0 || text.substr(end) != unit) continue;
    const double value = parse_real(text.substr(0, end), "memory") * bytes;
    if (value >= 1 && value < 9e18) return static_cast<std::int64_t>(value);
  }
  throw ConfigError(tr(Msg::not_a_size, "memory", text));
}

// The length of the training text; what the vocabulary is goes into `config`. Reading a corpus leaves
// nothing.
std::int64_t training_tokens(const PlanArguments& arguments, Config& config) {
  if (!arguments.corpus.empty()) config.text.corpus = absolute_paths(arguments.corpus);
  if (config.text.corpus.empty() == (arguments.vocab_size == 0)) throw ConfigError(tr(Msg::plan_of_what));
  if (arguments.vocab_size > 0) {
    config.model.vocab_size = arguments.vocab_size;
    return config.model.block_size + 1;
  }
  const std::string scratch =
      (std::filesystem::temp_directory_path() / ("zhgpt-plan-" + std::to_string(getpid()))).string();
  const NewRunDirectory directory(scratch);
  const Dataset dataset = read_corpus(config, scratch);
  config.model.vocab_size = dataset.vocab.size();
  return dataset.train.count;
}

// Where the run would run: how much memory there is for it, and what a GPU could do at most.
struct Place {
  std::int64_t memory_bytes = 0;
  std::string memory_source;
  const Card* card = nullptr;  // of a GPU
};

Place place_of(const PlanArguments& arguments, const Config& config, bool is_gpu) {
  std::unique_ptr<Backend> present;
  try {
    present = make_backend(config.train.device, static_cast<int>(config.train.threads));
  } catch (const DeviceError&) {  // planned for a card that is not here
  }
  Place place;
  if (!arguments.card.empty()) {
    if (!is_gpu) throw ConfigError(tr(Msg::card_of_cpu, "card", arguments.card));
    place.card = &known_card("card", arguments.card);
  } else if (is_gpu) {
    place.card = present ? find_card(present->name()) : nullptr;
    if (!place.card) place.card = find_card("H100");
  }
  if (!arguments.memory.empty()) {
    place.memory_bytes = parse_bytes(arguments.memory);
    place.memory_source = "--memory " + arguments.memory;
  } else if (present && arguments.card.empty()) {
    place.memory_bytes = memory_for_a_run(*present);
    place.memory_source = tr(Msg::plan_free_now, present->name());
  } else {
    place.memory_bytes = place.card->memory_bytes;
    place.memory_source = place.card->name;
  }
  return place;
}

void print_text(const RunPlan& plan, const Config& config, const Place& place, std::int64_t batch) {
  const std::int64_t parameters = ParameterTable(config.model).count();
  std::cout << tr(Msg::plan_run, short_number(static_cast<double>(parameters)), precision_of(plan, config),
                  place.card ? "cuda" : "cpu", config.train.batch_size, plan.tokens_per_step)
            << "\n";
  const auto mib = [](std::int64_t bytes) { return fixed(static_cast<double>(bytes) / (1 << 20), 1); };
  print_plan_row("", {tr(Msg::plan_bytes), "MiB"});
  for (const MemoryUse& use : plan.memory) {
    print_plan_row(spoken_name(use.what), {to_text(use.bytes), mib(use.bytes)});
  }
  print_plan_row(tr(Msg::plan_in_all), {to_text(plan.memory_bytes), mib(plan.memory_bytes)});
  if (plan.host_bytes > 0) std::cout << tr(Msg::plan_host, plan.host_bytes) << "\n";
  std::cout << tr(Msg::plan_place, place.memory_bytes, place.memory_source) << " "
            << (batch > 0 ? tr(Msg::batch_that_fits, batch) : tr(Msg::no_batch_fits)) << "\n";
  if (!place.card) return;

  print_roofline(plan, config, *place.card);
}

void print_json(const RunPlan& plan, const Config& config, const Place& place, std::int64_t batch) {
  Json out;
  out["device"] = place.card ? "cuda" : "cpu";
  out["dtype"] = precision_of(plan, config);
  out["parameters"] = ParameterTable(config.model).count();
  out["batch_size"] = config.train.batch_size;
  out["tokens_per_step"] = plan.tokens_per_step;
  for (const MemoryUse& use : plan.memory)
    out["memory"].push_back({{"what", use.what}, {"bytes", use.bytes}});
  out["memory_bytes"] = plan.memory_bytes;
  out["host_bytes"] = plan.host_bytes;
  out["available_bytes"] = place.memory_bytes;
  out["largest_batch_size"] = batch;
  if (place.card) {
    out["card"] = place.card->name;
    out["step"] = roofline_json(plan, *place.card);
  }
  std::cout << out.dump(2) << "\n";
}

int plan(const PlanArguments& arguments) {
  Config config = arguments.config.resolve();
  const std::int64_t tokens = training_tokens(arguments, config);
  const bool is_gpu = !plan_run(config, tokens).launches.empty();
  const Place place = place_of(arguments, config, is_gpu);
  const RunPlan plan = plan_run(config, tokens, place.memory_bytes);
  const std::int64_t batch = largest_batch(config, tokens, place.memory_bytes);
  (arguments.json ? print_json : print_text)(plan, config, place, batch);
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* verb = app.add_subcommand("plan", tr(Msg::help_plan));
  verb->add_option("CORPUS", arguments->corpus, tr(Msg::help_corpus_argument))->type_name("");
  const std::string general = tr(Msg::group_general);
  add_integer(*verb, "--vocab-size", arguments->vocab_size, 2, 1 << 21, Msg::help_plan_vocab_size)
      ->default_str("")
      ->group(general);
  verb->add_option("--memory", arguments->memory, tr(Msg::help_plan_memory))
      ->type_name("80GB")
      ->group(general);
  verb->add_option("--card", arguments->card, tr(Msg::help_plan_card))->type_name("NAME")->group(general);
  verb->add_flag("--json", arguments->json, tr(Msg::help_json))->group(general);
  arguments->config.add_all(*verb);
  verb->callback([arguments, &action] { action = [arguments] { return plan(*arguments); }; });
}

}  // namespace zhgpt::cli
