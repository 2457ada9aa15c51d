#include "cli/ckpt.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "cli/console.h"
#include "text/utf8.h"

namespace zhgpt::cli {

void add_ckpt(CLI::App& app, Action& action) {
  CLI::App* ckpt = app.add_subcommand("ckpt", tr(Msg::help_ckpt));
  add_ckpt_ls(*ckpt, action);
  add_inspect(*ckpt, action);
  add_ckpt_verify(*ckpt, action);
  add_ckpt_diff(*ckpt, action);
  add_ckpt_log(*ckpt, action);
  add_ckpt_prune(*ckpt, action);
  add_ckpt_tag(*ckpt, action);
  add_ckpt_extend(*ckpt, action);
}

Json to_json(const CheckpointEntry& e) {
  const auto number_or_null = [](double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); };
  return {{"name", e.name},
          {"whole", e.is_whole()},
          {"damage", e.damage},
          {"bytes", e.bytes},
          {"step", e.step},
          {"epoch", e.epoch},
          {"train_loss", number_or_null(e.train_loss)},
          {"val_loss", number_or_null(e.val_loss)},
          {"state_hash", e.state_hash},
          {"parent", e.parent},
          {"corpus", e.corpus},
          {"command", e.command},
          {"inference_only", e.inference_only},
          {"pointers", e.pointers}};
}

void print(const Json& json) {
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

std::string loss_text(double loss) {
  return std::isfinite(loss) ? fixed(loss, 4) : "–";
}

std::string size_text(std::int64_t bytes) {
  return fixed(static_cast<double>(bytes) / 1e6, 2) + " MB";
}

std::string characters_text(const std::vector<std::int32_t>& code_points) {
  constexpr std::size_t kMostShown = 40;
  std::string text;
  for (std::size_t i = 0; i < std::min(code_points.size(), kMostShown); ++i) {
    const std::int32_t c = code_points[i];
    if (c == '\n' || c == '\t') {
      text += c == '\n' ? "\\n" : "\\t";
    } else if (c < 0) {
      text += '?';
    } else {
      append_utf8(text, static_cast<char32_t>(c));
    }
  }
  return code_points.size() > kMostShown ? text + "…" : text;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

}  // namespace zhgpt::cli
