#include "cli/sampling_options.h"

#include "cli/options.h"

namespace zhgpt::cli {

void add_sampling_flags(CLI::App& verb, SamplingOptions& o) {
  const std::string group = tr(Msg::group_sampling);
  const auto real = [&](const char* names, double& value, Msg help) {
    add_real(verb, names, value, help)->group(group);
  };
  const auto integer = [&](const char* names, std::int64_t& value, std::int64_t lowest, std::int64_t highest,
                           Msg help) {
    add_integer(verb, names, value, lowest, highest, help)->group(group);
  };
  real("--temperature,--temp", o.temperature, Msg::help_temperature);
  integer("--top-k", o.top_k, 0, 1'000'000'000, Msg::help_top_k);
  real("--typical,--typical-p", o.typical_p, Msg::help_typical);
  real("--top-p", o.top_p, Msg::help_top_p);
  real("--min-p", o.min_p, Msg::help_min_p);
  real("--repeat-penalty", o.repeat_penalty, Msg::help_repeat_penalty);
  integer("--repeat-last-n", o.repeat_last_n, -1, kSampleHistory, Msg::help_repeat_last_n);
  real("--presence-penalty", o.presence_penalty, Msg::help_presence_penalty);
  real("--frequency-penalty", o.frequency_penalty, Msg::help_frequency_penalty);
  integer("--no-repeat-ngram", o.no_repeat_ngram, 0, kSampleHistory, Msg::help_no_repeat_ngram);
  // Added last, and so acted upon last, whatever --temperature says.
  verb.add_flag_callback(
          "--greedy", [&o] { o.temperature = 0; }, tr(Msg::help_greedy))
      ->group(group);
}

}  // namespace zhgpt::cli
