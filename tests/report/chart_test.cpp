// Curves: few points that keep every spike, means, round numbers on the axes, and SVG that holds all of it.
#include <gtest/gtest.h>

#include <cmath>

#include "report/chart.h"
#include "report/html.h"

namespace zhgpt::test {
namespace {

using Pairs = std::vector<std::pair<double, double>>;
Pairs pairs(const std::vector<Point>& points) {
  Pairs all;
  for (const Point& p : points) all.emplace_back(p.x, p.y);
  return all;
}

TEST(Thinned, KeepsTheLowestAndTheHighestOfEachPieceInTheirOrder) {
  const std::vector<Point> points{{0, 5}, {1, 9}, {2, 1}, {3, 4}, {4, 2}, {5, 2}, {6, 8}, {7, 3}};
  EXPECT_EQ(pairs(thinned(points, 2)), (Pairs{{1, 9}, {2, 1}, {4, 2}, {6, 8}}));
  EXPECT_EQ(pairs(thinned(points, 4)), pairs(points));
}

TEST(Thinned, AMillionPointsBecomeFewAndNoSpikeIsLost) {
  std::vector<Point> points;
  for (int i = 0; i < 1'000'000; ++i) points.push_back({double(i), std::sin(i / 1e5)});
  points[123456].y = 50;
  points[777777].y = -50;
  const std::vector<Point> kept = thinned(points, 300);
  EXPECT_LE(kept.size(), 600u);
  double highest = 0, lowest = 0, before = -1;
  for (const Point& p : kept) {
    EXPECT_GT(p.x, before);
    before = p.x;
    highest = std::max(highest, p.y);
    lowest = std::min(lowest, p.y);
  }
  EXPECT_EQ(highest, 50);
  EXPECT_EQ(lowest, -50);
}

TEST(RunningMean, ByHand) {
  EXPECT_EQ(pairs(running_mean({{0, 2}, {1, 4}, {2, 9}, {3, 2}}, 1)),
            (Pairs{{0, 2}, {1, 3}, {2, 6.5}, {3, 5.5}}));
  EXPECT_EQ(pairs(running_mean({{0, 2}, {1, 4}}, 0)), (Pairs{{0, 2}, {1, 4}}));
}

TEST(AxisTicks, AreRoundAndWithin) {
  EXPECT_EQ(axis_ticks(0, 6), (std::vector<double>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(axis_ticks(-0.5, 11), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_FALSE(std::signbit(axis_ticks(-0.5, 11)[0]));
  EXPECT_EQ(axis_ticks(130, 2600), (std::vector<double>{500, 1000, 1500, 2000, 2500}));
  for (double lowest = -3; lowest < 3; lowest += 0.37) {
    for (double width = 1e-6; width < 1e9; width *= 1.7) {
      const std::vector<double> ticks = axis_ticks(lowest, lowest + width);
      EXPECT_GE(ticks.size(), 2u) << lowest << " " << width;
      EXPECT_LE(ticks.size(), 7u) << lowest << " " << width;
    }
  }
}

TEST(Chart, DrawsWhatIsFiniteAndSaysWhereThereIsNothing) {
  Chart chart{"<t>",  "why", {{"a", "train", {{0, 1}, {5, std::nan("")}, {10, 3}}}}, {{"level", "bigram", 2}},
              "step", true};
  const std::string html = chart_html(chart);
  // 0 to 3 and a twentieth more is the height of 300.
  EXPECT_NE(html.find("d=\"M0.0 204.8L1000.0 14.3\""), html.npos) << html;
  EXPECT_NE(html.find("d=\"M0 109.5H1000\""), html.npos) << html;
  EXPECT_EQ(html.find("nan"), html.npos);
  EXPECT_EQ(html.find("<t>"), html.npos) << "a title is text";
  chart.series[0].points = {{1, std::nan("")}};
  EXPECT_EQ(chart_html(chart).find("<svg"), std::string::npos);
  chart.series[0].points = {{7, 4}};  // one point: a dot, and axes all the same
  EXPECT_NE(chart_html(chart).find("h0.1"), std::string::npos);
}

TEST(Html, EscapesTextAndNumbersAreShort) {
  EXPECT_EQ(escaped("<a href=\"x\">&</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
  EXPECT_EQ(rounded(std::nan(""), 2), "–");
  EXPECT_EQ(percent(0.1234), "12.3");
  EXPECT_EQ(brief(12345), "12.3k");
  EXPECT_EQ(brief(0.0005), "0.0005");
}

}  // namespace
}  // namespace zhgpt::test
