// zhgpt doctor: what this program is and what it would use here.
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/console.h"
#include "cli/program.h"
#include "zhgpt/backend.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt::cli {
namespace {

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(": ") + 2, line.size()));
  }
  return "?";
}

void row(Msg name, const std::string& value) {
  const std::string label = tr(name);
  std::cout << label << padding(label, 14) << value << "\n";
}

int doctor() {
  row(Msg::doctor_program, "zhgpt " ZHGPT_VERSION ", C++20, " __VERSION__);
  row(Msg::doctor_processor, processor_name());
  const double gib = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30);
  row(Msg::doctor_memory, fixed(gib, 1) + " GiB");
  row(Msg::doctor_device, make_backend("auto", 0)->name());
  try {
    row(Msg::doctor_cuda, make_backend("cuda", 0)->name());
  } catch (const DeviceError& error) {
    row(Msg::doctor_cuda, error.what());
  }
  row(Msg::doctor_locale, std::string(std::setlocale(LC_CTYPE, nullptr)) + ", " + nl_langinfo(CODESET));
  std::error_code error;
  const auto space = std::filesystem::space(".", error);
  row(Msg::doctor_disk, error ? error.message() : fixed(static_cast<double>(space.available) / 1e9, 1) + " GB");
  return 0;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  app.add_subcommand("doctor", tr(Msg::help_doctor))->callback([&action] { action = doctor; });
}

}  // namespace zhgpt::cli
