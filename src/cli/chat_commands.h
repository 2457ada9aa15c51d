// The commands of the loop: one table, which /help prints and the loop obeys.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "zhgpt/messages.h"

namespace zhgpt::cli {

class Chat;

struct ChatCommand {
  const char* name;       // without the slash
  const char* chinese;    // the same in Chinese
  const char* arguments;  // as /help shows them
  Msg help;
  void (Chat::*run)(const std::string& argument);
};
std::span<const ChatCommand> chat_commands();

// A line that is a command: its first word without the slash, and the rest without blanks around it. The
// slash may be what a Chinese keyboard makes of it, ／ or 、. nullopt for a line of text.
struct CommandLine {
  std::string name, argument;
};
std::optional<CommandLine> parse_command(std::string_view line);

// By either name, "?", "exit" or "quit"; else nullptr.
const ChatCommand* find_command(const std::string& name);
// What was perhaps meant, "/top"; empty when nothing is near.
std::string nearest_command(const std::string& name);
std::string help_text();

}  // namespace zhgpt::cli
