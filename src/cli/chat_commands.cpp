#include "cli/chat_commands.h"

#include <algorithm>
#include <vector>

#include "cli/chat.h"
#include "cli/table.h"
#include "text/utf8.h"
#include "zhgpt/config.h"

namespace zhgpt::cli {
namespace {

constexpr ChatCommand kCommands[] = {
    {"help", "帮助", "", Msg::chat_help_help, &Chat::help},
    {"set", "设置", "KEY VALUE", Msg::chat_help_set, &Chat::set},
    {"show", "显示", "", Msg::chat_help_show, &Chat::show},
    {"seed", "种子", "N", Msg::chat_help_seed, &Chat::seed},
    {"retry", "重来", "", Msg::chat_help_retry, &Chat::retry},
    {"continue", "继续", "", Msg::chat_help_continue, &Chat::go_on},
    {"undo", "撤销", "", Msg::chat_help_undo, &Chat::undo},
    {"clear", "清空", "", Msg::chat_help_clear, &Chat::clear},
    {"acrostic", "藏头", "春夏秋冬", Msg::chat_help_acrostic, &Chat::acrostic},
    {"length", "句长", "5|7|0", Msg::chat_help_length, &Chat::length},
    {"top", "候选", "[N]", Msg::chat_help_top, &Chat::top},
    {"why", "为何", "[N]", Msg::chat_help_why, &Chat::why},
    {"score", "评分", "TEXT", Msg::chat_help_score, &Chat::score},
    {"compare", "对比", "FILE", Msg::chat_help_compare, &Chat::compare},
    {"load", "加载", "latest|best|epoch:N|FILE", Msg::chat_help_load, &Chat::load},
    {"save", "保存", "FILE", Msg::chat_help_save, &Chat::save},
    {"stats", "统计", "", Msg::chat_help_stats, &Chat::stats},
    {"bye", "再见", "", Msg::chat_help_bye, &Chat::bye},
};

constexpr std::string_view kBlanks[] = {" ", "\t", "\n", "　"};

// Where the first blank begins, and how many bytes there are of blanks from there on.
std::pair<std::size_t, std::size_t> first_blanks(std::string_view text) {
  const auto blank_at = [&](std::size_t at) -> std::size_t {
    for (std::string_view blank : kBlanks) {
      if (text.substr(at).starts_with(blank)) return blank.size();
    }
    return 0;
  };
  std::size_t begin = 0;
  while (begin < text.size() && blank_at(begin) == 0) ++begin;
  std::size_t end = begin;
  while (end < text.size() && blank_at(end) > 0) end += blank_at(end);
  return {begin, end - begin};
}

std::string with_slash(std::string_view name) {
  return std::string(1, '/').append(name);
}

}  // namespace

std::span<const ChatCommand> chat_commands() {
  return kCommands;
}

std::optional<CommandLine> parse_command(std::string_view line) {
  for (std::string_view slash : {"/", "／", "、"}) {
    if (!line.starts_with(slash)) continue;
    line.remove_prefix(slash.size());
    const auto [end, blanks] = first_blanks(line);
    CommandLine command{std::string(line.substr(0, end)), std::string(line.substr(end + blanks))};
    bool trimmed = true;
    while (trimmed) {
      trimmed = false;
      for (std::string_view blank : kBlanks) {
        if (!command.argument.ends_with(blank)) continue;
        command.argument.resize(command.argument.size() - blank.size());
        trimmed = true;
      }
    }
    return command;
  }
  return std::nullopt;
}

const ChatCommand* find_command(const std::string& name) {
  const std::string plain = name == "?" ? "help" : name == "exit" || name == "quit" ? "bye" : name;
  const auto is_meant = [&](const ChatCommand& c) { return plain == c.name || plain == c.chinese; };
  const auto* found = std::find_if(std::begin(kCommands), std::end(kCommands), is_meant);
  return found == std::end(kCommands) ? nullptr : found;
}

std::string nearest_command(const std::string& name) {
  std::vector<std::string> known;
  for (const ChatCommand& c : kCommands) known.push_back(c.name);
  if (const std::string nearest = nearest_name(name, known); !nearest.empty()) return with_slash(nearest);
  // Words of two characters, where a distance says little: one that shares a character is meant.
  std::u32string typed, own;
  decode_utf8(name, true, typed);
  for (const ChatCommand& c : kCommands) {
    own.clear();
    decode_utf8(c.chinese, true, own);
    if (own.find_first_of(typed) != std::u32string::npos) return with_slash(c.chinese);
  }
  return {};
}

std::string help_text() {
  std::vector<std::vector<std::string>> rows;
  for (const ChatCommand& c : kCommands) {
    rows.push_back({with_slash(c.name), with_slash(c.chinese), c.arguments, tr(c.help)});
  }
  return table(rows, "llll") + tr(Msg::chat_help_end) + "\n";
}

}  // namespace zhgpt::cli
