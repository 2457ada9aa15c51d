// zhgpt ckpt: the verbs that look after checkpoints, one a file.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "zhgpt/checkpoint_list.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {

void add_ckpt_ls(CLI::App& ckpt, Action& action);
void add_ckpt_verify(CLI::App& ckpt, Action& action);
void add_ckpt_diff(CLI::App& ckpt, Action& action);
void add_ckpt_log(CLI::App& ckpt, Action& action);
void add_ckpt_prune(CLI::App& ckpt, Action& action);
void add_ckpt_tag(CLI::App& ckpt, Action& action);
void add_ckpt_extend(CLI::App& ckpt, Action& action);

using Json = nlohmann::ordered_json;
Json to_json(const CheckpointEntry& entry);
void print(const Json& json);  // on standard output

std::string loss_text(double loss);         // "–" for one that is not known
std::string size_text(std::int64_t bytes);  // "12.34 MB"
std::string characters_text(const std::vector<std::int32_t>& code_points);  // of many only the first
std::string joined(const std::vector<std::string>& words, const char* separator);

}  // namespace zhgpt::cli
