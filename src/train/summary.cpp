#include "train/summary.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/fingerprint.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"

namespace zhgpt {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kBeginning = "{\n  \"format\": \"zhgpt-summary\",";

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32] = "";
  if (::localtime_r(&now, &parts)) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

// A record's value as JSON: "text", true, false, or a number; null when that is not finite.
Json value_of(const std::string& text) {
  if (text.starts_with('"')) return toml_unquote(text);
  const Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json() : value;
}

// An object, a member a line. Not the library's own: destroying that takes memory, and where there is none it
// ends the program.
class ObjectText {
 public:
  explicit ObjectText(std::size_t indent) : indent_(indent) {}
  void add(const std::string& key, const Json& scalar) {
    add_text(key, scalar.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  void add_text(const std::string& key, const std::string& json) {
    text_ += (text_.size() > 1 ? ",\n" : "\n") + std::string(indent_ + 2, ' ') + Json(key).dump() + ": " + json;
  }
  std::string finish() const { return text_ + "\n" + std::string(indent_, ' ') + "}"; }

 private:
  std::size_t indent_;
  std::string text_ = "{";
};

}  // namespace

std::string summary_path(const std::string& checkpoint_path) {
  return std::filesystem::path(checkpoint_path).replace_extension(".json").string();
}

bool is_summary(const std::string& path) noexcept {
  try {
    std::string beginning(kBeginning.size(), '\0');
    std::ifstream in(path, std::ios::binary);
    in.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
    return in && beginning == kBeginning;
  } catch (const std::exception&) {
    return false;
  }
}

void write_summary(const std::string& checkpoint_path, const Snapshot& snapshot, std::uint64_t state_hash,
                   double learning_rate) {
  const std::filesystem::path path(checkpoint_path);
  std::error_code ignored;
  ObjectText summary(0), config(2);
  summary.add("format", "zhgpt-summary");
  summary.add("checkpoint", path.filename().string());
  summary.add("bytes", std::filesystem::file_size(path, ignored));
  summary.add("state_hash", fingerprint_text(state_hash));
  summary.add("timestamp", local_time());
  summary.add("learning_rate", learning_rate);
  for (const auto& [key, value] : snapshot.progress.entries()) summary.add(key, value_of(value));
  for (const auto& [key, value] : snapshot.config.entries()) config.add(key, value_of(value));
  summary.add_text("config", config.finish());
  write_text_file(summary_path(checkpoint_path), summary.finish() + "\n");
}

}  // namespace zhgpt
