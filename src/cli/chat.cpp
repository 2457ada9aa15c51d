#include "cli/chat.h"

#include <signal.h>

#include <iostream>
#include <new>
#include <utility>

#include "cli/chat_commands.h"
#include "cli/console.h"
#include "cli/prompt.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

}  // namespace

void write_out(std::string_view text) {
  std::cout << text << std::flush;
  if (!std::cout) throw IoError(tr(Msg::stdout_closed));
}

Chat::Chat(std::unique_ptr<LoadedModel> loaded, ModelOpener open, WriteRequest request)
    : open_(std::move(open)), request_(std::move(request)), editor_(history_path()) {
  use(std::move(loaded));
}

int Chat::run() {
  std::cerr << tr(Msg::interactive_hint) << "\n";
  while (!leaving_) {
    try {
      const std::optional<std::string> line = read_text("> ");
      if (!line && stop_signal.load() == 0) {  // Ctrl-D
        std::cerr << "\n";
        break;
      }
      if (line) {
        obey(*line);
      } else {
        std::cerr << "\n" << tr(Msg::chat_how_to_leave) << "\n";
      }
    } catch (const Error& error) {  // a slip ends nothing
      if (!std::cout) throw;
      std::cerr << error.what() << "\n";
    } catch (const std::bad_alloc&) {
      std::cerr << tr(Msg::program_out_of_memory) << "\n";
    }
    if (const int number = stop_signal.load(); number == SIGINT) {
      stop_signal.store(0);
    } else if (number != 0) {
      return 128 + number;
    }
  }
  return 0;
}

std::optional<std::string> Chat::read_text(const std::string& first_prompt) {
  std::optional<std::string> line = editor_.read(first_prompt);
  if (!line || !line->starts_with(kQuotes)) return line;
  std::string text = line->substr(kQuotes.size());
  while (!text.ends_with(kQuotes)) {
    line = editor_.read("… ");
    if (!line) return line;
    text += (text.empty() ? "" : "\n") + *line;
  }
  text.resize(text.size() - kQuotes.size());
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void Chat::obey(const std::string& line) {
  if (const std::optional<CommandLine> command = parse_command(line)) {
    if (const ChatCommand* known = find_command(command->name)) return (this->*known->run)(command->argument);
    const std::string nearest = nearest_command(command->name);
    throw ConfigError(nearest.empty() ? tr(Msg::chat_no_command, command->name)
                                      : tr(Msg::chat_no_command_hint, command->name, nearest));
  }
  const Prompt prompt = read_prompt(loaded_->vocab, loaded_->config.text, line);
  say_notes(prompt);
  begin(prompt.ids);
  write_out(prompt.text);
  write(request_);
}

void Chat::begin(const std::vector<std::int32_t>& ids) {
  generator_->start(ids, next_sample_);
  request_.sample = next_sample_++;
  pieces_.clear();
}

void Chat::write(const WriteRequest& request) {
  pieces_.push_back({size(), request});
  last_ = write_text(loaded_->vocab, *generator_, request, write_out);
  write_out("\n");
  if (last_->ending == Ending::impossible) std::cerr << tr(Msg::chat_impossible) << "\n";
}

std::string Chat::text() const {
  return loaded_->vocab.decode(generator_->tokens());
}

std::string Chat::beginning() const {
  const std::int64_t end = pieces_.empty() ? size() : pieces_.front().begin;
  return loaded_->vocab.decode(generator_->tokens().first(static_cast<std::size_t>(end)));
}

void Chat::use(std::unique_ptr<LoadedModel> loaded) {
  generator_.reset();  // before the model that it asks
  loaded_ = std::move(loaded);
  generator_ = std::make_unique<Generator>(*loaded_->model, 1, loaded_->weights);
  generator_->start({}, 0);
  pieces_.clear();
  last_.reset();
}

void Chat::help(const std::string&) {
  std::cerr << help_text();
}

void Chat::bye(const std::string&) {
  leaving_ = true;
}

}  // namespace zhgpt::cli
