// A table of text, its columns aligned by what a terminal shows of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zhgpt::cli {

// One line a row. `sides` has a letter a column: 'l' or 'r', where the text stands. Cells left out are empty.
std::string table(const std::vector<std::vector<std::string>>& rows, std::string_view sides);

// The cells of "a|b||c", as messages hold the first row of a table.
std::vector<std::string> cells_of(std::string_view row);

}  // namespace zhgpt::cli
