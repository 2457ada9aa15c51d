// zhgpt merge BOTTOM TRUNK TOP -o FILE: the model that was split, as it was.
#include <iostream>
#include <memory>

#include "cli/program.h"
#include "cli/three_parts.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"
#include "zhgpt/split.h"

namespace zhgpt::cli {
namespace {

struct MergeArguments {
  std::vector<std::string> parts;
  std::string to;
  bool overwrite = false;
};

int merge(const MergeArguments& arguments) {
  const SplitParts parts = open_three_parts(arguments.parts, "merge");
  if (arguments.to.empty()) throw ConfigError(tr(Msg::merge_no_output));
  save_checkpoint(arguments.to, merged(parts), arguments.overwrite);
  std::cout << tr(Msg::merged_into, arguments.to, part_of(parts[0])->parent_file,
                  part_of(parts[0])->parent_hash)
            << "\n";
  return 0;
}

}  // namespace

void add_merge(CLI::App& app, Action& action) {
  auto a = std::make_shared<MergeArguments>();
  CLI::App* verb = app.add_subcommand("merge", tr(Msg::help_merge));
  const std::string general = tr(Msg::group_general);
  add_three_parts(*verb, a->parts);
  verb->add_option("-o,--output", a->to, tr(Msg::help_merge_output))->type_name("FILE")->group(general);
  verb->add_flag("--overwrite", a->overwrite, tr(Msg::help_parts_overwrite))->group(general);
  verb->callback([a, &action] { action = [a] { return merge(*a); }; });
}

}  // namespace zhgpt::cli
