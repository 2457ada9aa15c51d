// The loop: a person writes the beginning of a text, the model goes on, and again; lines that begin with a
// slash are commands (chat_commands.h). Nothing that is typed ends it but /bye and Ctrl-D.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/line_editor.h"
#include "cli/loaded_model.h"
#include "cli/writer.h"

namespace zhgpt::cli {

// Opens another model: "latest", "best", "epoch:N", "v:NAME" or a file. Throws as LoadedModel does.
using ModelOpener = std::function<std::unique_ptr<LoadedModel>(const std::string& which)>;

class Chat {
 public:
  // request: what texts are written with, until a command changes it; its seed is used from sample 0 on.
  Chat(std::unique_ptr<LoadedModel> loaded, ModelOpener open, WriteRequest request);

  // Until the user leaves: 0, or 128 + n after signal n other than Ctrl-C. Throws IoError when standard
  // output was closed.
  int run();

  // The commands.
  void help(const std::string&);
  void set(const std::string& key_and_value);
  void show(const std::string&);
  void seed(const std::string& number);
  void retry(const std::string&);
  void go_on(const std::string&);
  void undo(const std::string&);
  void clear(const std::string&);
  void acrostic(const std::string& heads);
  void length(const std::string& number);
  void top(const std::string& count);
  void why(const std::string& count);
  void score(const std::string& text);
  void compare(const std::string& file);
  void load(const std::string& which);
  void save(const std::string& file);
  void stats(const std::string&);
  void bye(const std::string&);

 private:
  std::optional<std::string> read_text(const std::string& first_prompt);  // a line, or several between """
  void obey(const std::string& line);
  void begin(const std::vector<std::int32_t>& ids);  // a new text, as the next sample
  void write(const WriteRequest& request);           // goes on with it, on the screen
  std::string likely(const WriteRequest& request, bool may_end, std::int64_t rows, std::int32_t chosen);
  // ConfigError: there is no text, or all of it was typed.
  [[noreturn]] void throw_nothing_written() const;
  std::string text() const;       // all of it
  std::string beginning() const;  // what was typed of it
  std::int64_t size() const { return static_cast<std::int64_t>(generator_->tokens().size()); }
  void use(std::unique_ptr<LoadedModel> loaded);

  std::unique_ptr<LoadedModel> loaded_;
  std::unique_ptr<Generator> generator_;
  ModelOpener open_;
  WriteRequest request_;
  LineEditor editor_;
  std::uint64_t next_sample_ = 0;
  // How a text was written, piece by piece: how many tokens there were before, and with what request.
  struct Piece {
    std::int64_t begin;
    WriteRequest request;
  };
  std::vector<Piece> pieces_;
  std::optional<Written> last_;
  bool leaving_ = false;
};

// Whole characters to standard output, at once. Throws IoError when it was closed.
void write_out(std::string_view text);

}  // namespace zhgpt::cli
