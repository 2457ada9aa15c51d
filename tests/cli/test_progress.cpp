// What a person sees while a model trains: one line that redraws itself, on a terminal and nowhere else.
#include <regex>

#include "cli/journey.h"

namespace zhgpt::test {
namespace {

// As much of a terminal as the program uses: carriage return, line feed, erasing to the end of the line. Han
// characters and full-width forms take two columns.
struct Screen {
  std::vector<std::string> lines;  // those that a line feed finished, as they stood there
  std::vector<std::string> drawn;  // the line at each erasure that found something to the left
  std::size_t widest_drawn = 0;

  explicit Screen(const std::string& bytes) {
    std::vector<std::string> cells;  // "" is the right half of a wide character
    std::size_t column = 0;
    const auto text = [&](std::size_t end) {
      std::string out;
      for (std::size_t i = 0; i < std::min(end, cells.size()); ++i) out += cells[i];
      return out;
    };
    for (std::size_t i = 0; i < bytes.size();) {
      if (bytes[i] == '\r') {
        column = 0;
        ++i;
      } else if (bytes[i] == '\n') {
        lines.push_back(text(cells.size()));
        cells.clear();
        ++i;
      } else if (bytes.compare(i, 3, "\033[K") == 0) {
        cells.resize(std::min(column, cells.size()));
        if (column > 0) drawn.push_back(text(column));
        widest_drawn = std::max(widest_drawn, column);
        i += 3;
      } else {
        const auto lead = static_cast<unsigned char>(bytes[i]);
        const std::size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        const std::size_t width = lead >= 0xe3 ? 2 : 1;  // from U+3000 on
        if (cells.size() < column + width) cells.resize(column + width, " ");
        cells[column] = bytes.substr(i, n);
        if (width == 2) cells[column + 1].clear();
        column += width;
        i += n;
      }
    }
  }
};

class Progress : public Journey, public testing::WithParamInterface<const char*> {
 protected:
  bool is_chinese() const { return GetParam() == std::string("zh"); }
  Screen train_on_terminal(int columns) const {
    Invocation invocation = training(run(), 30, {"--lang", GetParam(), "--eval-interval=10"});
    invocation.terminal_columns = columns;
    const ProcessResult result = run_program(invocation);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Screen(result.err);
  }
};

TEST_P(Progress, ShowsAllNumbersOnOneLineOf80Columns) {
  const Screen screen = train_on_terminal(80);
  EXPECT_LT(screen.widest_drawn, 80u) << "a character in the last column may wrap";
  const std::regex all(
      is_chinese()
          ? "损失 [0-9.]+ 验证 [0-9.]+ 学习率 [0-9.]+e-[0-9]+ \\|g\\| [0-9.]+ [0-9.]+[kM]? 字/秒 剩余 [0-9:]+"
          : "loss [0-9.]+ val [0-9.]+ lr [0-9.]+e-[0-9]+ \\|g\\| [0-9.]+ [0-9.]+[kM]? chars/s left [0-9:]+");
  std::size_t complete = 0;
  for (const std::string& line : screen.drawn) complete += std::regex_search(line, all);
  EXPECT_GE(complete, 15u) << "each of the 20 steps after the first evaluation draws it anew";
  for (const std::string& line : screen.lines) {
    EXPECT_FALSE(holds(line, "|g|")) << "still there when other words follow: " << line;
  }
}

TEST_P(Progress, HasRoomForMoreOnAWideTerminal) {
  const Screen screen = train_on_terminal(160);
  ASSERT_FALSE(screen.drawn.empty());
  const std::string& last = screen.drawn.back();
  EXPECT_TRUE(holds(last, is_chinese() ? "训练 30/30 第 1." : "train 30/30 epoch 1.")) << last;
  EXPECT_TRUE(holds(last, "▕██████████▏100%")) << last;
  EXPECT_LT(screen.widest_drawn, 160u);
}

TEST_P(Progress, StaysOnOneLineOfANarrowTerminal) {
  EXPECT_LT(train_on_terminal(40).widest_drawn, 40u);
}

TEST_P(Progress, IsNotDrawnWhereNoTerminalIs) {
  const ProcessResult result = run_program(training(run(), 30, {"--lang", GetParam()}));
  EXPECT_EQ(result.err.find_first_of("\r\033"), std::string::npos) << result.err;
  EXPECT_TRUE(holds(result.err, "30/30")) << "but the lines of the log are: " << result.err;
}

INSTANTIATE_TEST_SUITE_P(In, Progress, testing::Values("en", "zh"));

}  // namespace
}  // namespace zhgpt::test
