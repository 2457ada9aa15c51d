// The commands that change the text, and how it is written.
#include <iostream>
#include <limits>

#include "cli/chat.h"
#include "cli/chat_settings.h"
#include "cli/console.h"
#include "cli/prompt.h"
#include "cli/table.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/key_values.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

constexpr std::int64_t kLongestLine = 64;

}  // namespace

void Chat::set(const std::string& key_and_value) {
  if (key_and_value.empty()) return show("");
  std::cerr << change_setting(request_, key_and_value) << "\n";
}

void Chat::seed(const std::string& number) {
  const std::int64_t value = parse_integer(number, "/seed");
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  if (value < 0) throw ConfigError(tr(Msg::out_of_range, "/seed", value, 0, kLargest));
  request_.options.seed = static_cast<std::uint64_t>(value);
  next_sample_ = 0;  // so that the same seed and beginning give the same text again
  std::cerr << "seed = " << value << "\n";
}

void Chat::throw_nothing_written() const {
  throw ConfigError(tr(size() > 1 ? Msg::chat_only_typed : Msg::chat_nothing_written));
}

void Chat::retry(const std::string&) {
  if (pieces_.empty()) throw_nothing_written();
  const std::vector<Piece> earlier(pieces_.begin(), pieces_.end() - 1);
  WriteRequest again = request_;  // what is set now, but for the same kind of verse
  again.heads = pieces_.back().request.heads;
  again.may_end_at_once = pieces_.back().request.may_end_at_once;
  const auto tokens = generator_->tokens().subspan(1, static_cast<std::size_t>(pieces_.back().begin) - 1);
  begin(std::vector<std::int32_t>(tokens.begin(), tokens.end()));
  pieces_ = earlier;
  again.sample = request_.sample;
  write_out(text());
  write(again);
}

void Chat::go_on(const std::string&) {
  WriteRequest request = request_;
  request.may_end_at_once = false;
  write(request);
}

void Chat::undo(const std::string&) {
  if (pieces_.empty()) throw_nothing_written();
  generator_->undo(size() - pieces_.back().begin);
  pieces_.pop_back();
  write_out(text() + "\n");
}

void Chat::clear(const std::string&) {
  begin({});
  last_.reset();
  std::cerr << tr(Msg::chat_cleared) << "\n";
}

void Chat::acrostic(const std::string& heads) {
  if (heads.empty()) throw ConfigError(tr(Msg::chat_acrostic_usage));
  const Prompt prompt = read_prompt(loaded_->vocab, loaded_->config.text, heads);
  say_notes(prompt);
  WriteRequest request = request_;
  for (char32_t c : characters_of(prompt.text)) {
    if (counts_in_line(c)) request.heads += c;
  }
  if (request.heads.empty()) throw ConfigError(tr(Msg::chat_acrostic_usage));
  begin({});
  request.sample = request_.sample;
  write(request);
}

void Chat::length(const std::string& number) {
  const std::int64_t value = parse_integer(number, "/length");
  if (value < 0 || value > kLongestLine)
    throw ConfigError(tr(Msg::out_of_range, "/length", value, 0, kLongestLine));
  request_.line_length = value;
  std::cerr << "length = " << value << "\n";
}

void Chat::save(const std::string& file) {
  if (file.empty()) throw ConfigError(tr(Msg::chat_save_usage));
  AtomicFile out(file, AtomicFile::Existing::refuse);
  out.write(text() + "\n");
  out.commit();
  std::cerr << tr(Msg::chat_saved, file) << "\n";
}

void Chat::stats(const std::string&) {
  if (!last_) throw_nothing_written();
  static constexpr Msg kEnded[] = {Msg::chat_ended_end_of_text, Msg::chat_ended_max_characters,
                                   Msg::chat_ended_stop_text,   Msg::chat_ended_complete,
                                   Msg::chat_ended_impossible,  Msg::chat_ended_interrupted};
  const auto characters = static_cast<double>(last_->tokens.size());
  const double speed = last_->seconds > 0 ? characters / last_->seconds : 0;
  std::cerr << tr(Msg::chat_stats, last_->tokens.size(), fixed(last_->seconds, 2), fixed(speed, 0),
                  tr(kEnded[static_cast<std::size_t>(last_->ending)]))
            << "\n";
}

void Chat::show(const std::string&) {
  std::vector<std::vector<std::string>> rows;
  for (const ChatSetting& setting : chat_settings(request_)) {
    rows.push_back({setting.name, setting.chinese, setting.text()});
  }
  rows.push_back({"length", "句长", to_text(request_.line_length)});
  rows.push_back({"seed", "种子", to_text(request_.options.seed)});
  const ModelConfig& m = loaded_->model->config();
  std::cerr << table(rows, "llr")
            << tr(Msg::chat_model, loaded_->checkpoint.path(), loaded_->checkpoint.step(), m.n_layer,
                  m.n_head, m.n_embd, m.block_size, loaded_->vocab.size())
            << "\n";
}

}  // namespace zhgpt::cli
