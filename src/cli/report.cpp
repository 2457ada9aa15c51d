// zhgpt report DIR [-o FILE.html]: lets the run's model write, measures that, and writes one page about the
// run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "cli/console.h"
#include "cli/loaded_model.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/sample_texts.h"
#include "report/page.h"
#include "train/run_directory.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/checkpoint_list.h"
#include "zhgpt/error.h"
#include "zhgpt/params.h"
#include "zhgpt/sampler.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kTextCharacters = 200;  // of each measured text, at most
constexpr std::int64_t kKeptCharacters = 100;  // of what each kept checkpoint writes
constexpr std::size_t kMostKept = 8;
constexpr std::int64_t kFrequent = 30;

struct ReportArguments {
  std::string directory;
  std::string out;
  std::int64_t num_samples = 40;
  std::string device = "auto";
  std::int64_t threads = 0;
};

// The page is written over an older one, and over nothing else.
void require_replaceable(const std::string& path) {
  if (!std::filesystem::exists(path)) return;
  std::ifstream file(path, std::ios::binary);
  std::string head(512, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  if (head.find(kReportMark) == head.npos) throw ConfigError(tr(Msg::report_not_ours, path));
}

// What a bar on the terminal shows of the texts that are being written.
class Progress {
 public:
  explicit Progress(std::int64_t texts) : texts_(texts) { next(); }
  ~Progress() { end_progress_line(); }
  void next() {
    draw_progress_line(tr(Msg::report_writing) + " " +
                       progress_bar(static_cast<double>(done_++) / static_cast<double>(texts_), 10));
  }

 private:
  std::int64_t texts_, done_ = 0;
};

// What the model writes from nothing. Throws Interrupted.
std::vector<WrittenText> written_by(LoadedModel& loaded, std::int64_t count, std::int64_t most,
                                    const SamplingOptions& options, Progress& progress) {
  std::vector<WrittenText> texts;
  const auto take = [&](const std::string&, std::uint64_t, Written text) {
    texts.push_back({.ids = std::move(text.tokens), .is_cut = text.ending == Ending::max_characters});
    progress.next();
  };
  WriteRequest request;
  request.options = options;
  request.max_characters = most;
  TextWriter(loaded, request, count, take).write("");
  throw_if_interrupted();
  return texts;
}

// The whole ones that training left in the directory itself, by step, spread evenly where there are many.
std::vector<std::string> kept_checkpoints(const std::string& directory) {
  std::vector<std::string> all, kept;
  for (const CheckpointEntry& entry : list_checkpoints(directory)) {
    if (entry.is_whole() && is_checkpoint_name(entry.name)) all.push_back(entry.name);
  }
  const std::size_t count = std::min(all.size(), kMostKept);
  for (std::size_t i = 0; i < count; ++i)
    kept.push_back(all[count == 1 ? 0 : i * (all.size() - 1) / (count - 1)]);
  return kept;
}

void add_texts(ReportData& data, const LoadedModel& loaded, std::optional<Dataset>& text,
               const std::vector<WrittenText>& written) {
  data.config = loaded.config;
  data.parameters = ParameterTable(loaded.config.model).count();
  data.vocab_size = loaded.vocab.size();
  for (std::int64_t id = 2; id < std::min(data.vocab_size, 2 + kFrequent); ++id) {
    const std::string character = loaded.vocab.text(static_cast<std::int32_t>(id));
    if (character != "\n") data.frequent += character;
  }
  data.checkpoint = std::filesystem::path(loaded.checkpoint.path()).filename();
  data.longest_text = kTextCharacters;
  for (const WrittenText& w : written) data.written.push_back(loaded.vocab.decode(w.ids));
  const TokenArray nothing;
  data.model = measure_texts(written, loaded.vocab, text ? text->train : nothing);
  if (!text) return;
  data.documents = text->report.documents;
  data.train_characters = text->train.count;
  data.val_characters = text->val.count;
  data.people_are_validation = text->val.count > 0;
  data.people = measure_texts(first_texts(data.people_are_validation ? text->val : text->train,
                                          data.model->characters, kTextCharacters),
                              loaded.vocab, text->train);
  if (data.people_are_validation) {
    data.baselines = compute_baselines(text->train, text->val, loaded.vocab);
    data.five_gram = five_gram_nats(text->train, text->val, loaded.vocab.size());
  }
}

// Lets the checkpoints write: the best or else the last one to be measured, and each that was kept a little.
void add_checkpoints(ReportData& data, const std::vector<std::string>& kept,
                     const ReportArguments& arguments) {
  const bool has_best = std::filesystem::exists(arguments.directory + "/best");
  LoadedModel loaded(arguments.directory, has_best ? "best" : "last", arguments.device, arguments.threads, 1);
  std::optional<Dataset> text = dataset_beside(loaded.checkpoint);
  const SamplingOptions options{.seed = static_cast<std::uint64_t>(loaded.config.train.seed)};
  data.seed = options.seed;

  Progress progress(arguments.num_samples + std::ssize(kept));
  const std::vector<WrittenText> written =
      written_by(loaded, arguments.num_samples, kTextCharacters, options, progress);
  for (const std::string& name : kept) {
    LoadedModel other(arguments.directory + "/" + name, "last", arguments.device, arguments.threads, 1);
    data.kept.emplace_back(
        name, other.vocab.decode(written_by(other, 1, kKeptCharacters, options, progress)[0].ids));
  }
  add_texts(data, loaded, text, written);
}

int report(const ReportArguments& arguments) {
  const std::string& directory = arguments.directory;
  if (directory.empty()) throw ConfigError(tr(Msg::no_run_given, "report"));
  if (!std::filesystem::exists(directory)) throw IoError(tr(Msg::no_such_path, directory));
  const std::vector<std::string> kept =
      std::filesystem::is_directory(directory) ? kept_checkpoints(directory) : std::vector<std::string>{};
  if (kept.empty() && !std::filesystem::exists(directory + "/metrics.jsonl"))
    throw CheckpointError(tr(Msg::report_no_run, directory));
  const std::string out = arguments.out.empty() ? directory + "/report.html" : arguments.out;
  require_replaceable(out);

  ReportData data;
  const std::filesystem::path path = std::filesystem::absolute(directory).lexically_normal();
  data.directory = path;
  data.name = path.has_filename() ? path.filename() : path.parent_path().filename();
  data.log = read_run_log(directory);
  if (!kept.empty()) add_checkpoints(data, kept, arguments);
  write_text_file(out, report_page(data));
  std::cerr << tr(Msg::report_written, out) << "\n";
  return 0;
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  auto a = std::make_shared<ReportArguments>();
  CLI::App* verb = app.add_subcommand("report", tr(Msg::help_report));
  const std::string general = tr(Msg::group_general);
  verb->add_option("DIR", a->directory, tr(Msg::help_report_directory))->type_name("");
  verb->add_option("-o,--output", a->out, tr(Msg::help_report_out))->type_name("FILE")->group(general);
  add_integer(*verb, "--num-samples", a->num_samples, 0, 1 << 16, Msg::help_report_samples)->group(general);
  verb->add_option("--device", a->device, tr(Msg::help_device))->type_name("TEXT")->group(general);
  add_integer(*verb, "--threads", a->threads, 0, 1024, Msg::help_threads)->group(general);
  verb->callback([a, &action] { action = [a] { return report(*a); }; });
}

}  // namespace zhgpt::cli
