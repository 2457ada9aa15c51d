#include "cli/three_parts.h"

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {

void add_three_parts(CLI::App& verb, std::vector<std::string>& paths) {
  verb.add_option("BOTTOM TRUNK TOP", paths, tr(Msg::help_three_parts))->type_name("");
}

SplitParts open_three_parts(const std::vector<std::string>& paths, const char* verb) {
  if (paths.size() != 3) throw ConfigError(tr(Msg::not_three_parts, paths.size(), verb));
  return open_parts({paths[0], paths[1], paths[2]});
}

}  // namespace zhgpt::cli
