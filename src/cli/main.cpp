#include "cli/program.h"

int main(int argc, char** argv) { return zhgpt::cli::run_program(argc, argv); }
