// The program: finds the verb, runs it, and turns every failure into a sentence and an exit code.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "zhgpt/checkpoint.h"

namespace zhgpt::cli {

int run_program(int argc, char** argv);

// What this process was called with, as a shell would take it: one line of UTF-8, cut short when it is very
// long.
const std::string& command_line();

// Each verb adds its subcommand; the callback that CLI11 runs leaves the work to be done in `action`, so that
// nothing happens before the whole command line has been understood.
using Action = std::function<int()>;
void add_train(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_resume(CLI::App& app, Action& action);
void add_sample(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_import(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_convert(CLI::App& app, Action& action);
void add_ckpt(CLI::App& app, Action& action);
void add_resume_check(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_selftest(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_split(CLI::App& app, Action& action);
void add_merge(CLI::App& app, Action& action);
void add_run_split(CLI::App& app, Action& action);
void add_pack(CLI::App& app, Action& action);

// The program as one that does nothing but sample from this model: the flags of `sample`, without a verb.
void make_sampler(CLI::App& app, Action& action, const Checkpoint& model);

}  // namespace zhgpt::cli
