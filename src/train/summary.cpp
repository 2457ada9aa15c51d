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

using Json = nlohmann::ordered_json;

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
  Json summary;
  summary["format"] = "zhgpt-summary";
  summary["checkpoint"] = path.filename().string();
  summary["bytes"] = std::filesystem::file_size(path, ignored);
  summary["state_hash"] = fingerprint_text(state_hash);
  summary["timestamp"] = local_time();
  summary["learning_rate"] = learning_rate;
  for (const auto& [key, value] : snapshot.progress.entries()) summary[key] = value_of(value);
  for (const auto& [key, value] : snapshot.config.entries()) summary["config"][key] = value_of(value);
  write_text_file(summary_path(checkpoint_path),
                  summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace zhgpt
