#include "cli/table.h"

#include <algorithm>

#include "cli/console.h"

namespace zhgpt::cli {

std::string table(const std::vector<std::vector<std::string>>& rows, std::string_view sides) {
  std::vector<int> widths(sides.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(static_cast<std::size_t>(widths[i] - display_width(row[i])), ' ');
      line += (i ? "  " : "") + (sides[i] == 'r' ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::vector<std::string> cells_of(std::string_view row) {
  std::vector<std::string> cells{""};
  for (const char c : row) {
    if (c == '|')
      cells.emplace_back();
    else
      cells.back() += c;
  }
  return cells;
}

}  // namespace zhgpt::cli
