#include "report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/html.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

constexpr std::size_t kPieces = 300;
constexpr double kWidth = 1000, kHeight = 300;

struct Range {
  double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
  void take(double value) {
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  bool is_empty() const { return lowest > highest; }
  void widen_a_point() {
    if (lowest < highest) return;
    const double half = lowest == 0 ? 1 : std::abs(lowest) / 10;
    lowest -= half;
    highest += half;
  }
  double place(double value) const { return (value - lowest) / (highest - lowest); }  // 0 to 1
};

std::vector<Point> finite(std::vector<Point> points) {
  std::erase_if(points, [](const Point& p) { return !std::isfinite(p.x) || !std::isfinite(p.y); });
  return points;
}

std::string key(const std::string& kind, const std::string& name) {
  return element("span", "key " + kind, escaped(name));
}

class Plot {
 public:
  explicit Plot(const Chart& chart) : chart_(chart) {
    for (const Series& s : chart.series) {
      for (const Point& p : finite(s.points)) x_.take(p.x), y_.take(p.y);
    }
    if (y_.is_empty()) return;
    for (const Level& level : chart.levels) y_.take(level.y);
    if (chart.from_zero) y_.take(0);
    x_.widen_a_point();
    y_.widen_a_point();
    const double margin = (y_.highest - y_.lowest) / 20;
    y_.highest += margin;
    if (!chart.from_zero) y_.lowest -= margin;
  }
  bool is_empty() const { return y_.is_empty(); }

  std::string html() const {
    std::string drawn, words;
    for (const double y : axis_ticks(y_.lowest, y_.highest)) {
      drawn += line("grid", y);
      words +=
          "<span class=\"y\" style=\"bottom:" + rounded(100 * y_.place(y), 2) + "%\">" + brief(y) + "</span>";
    }
    for (const Level& level : chart_.levels) drawn += line("level " + level.kind, level.y);
    for (const Series& s : chart_.series) drawn += path(s);
    for (const double x : axis_ticks(x_.lowest, x_.highest)) {
      words +=
          "<span class=\"x\" style=\"left:" + rounded(100 * x_.place(x), 2) + "%\">" + brief(x) + "</span>";
    }
    return element("div", "plot",
                   "<svg viewBox=\"0 0 1000 300\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"" +
                       escaped(chart_.title) + "\">" + drawn + "</svg>" + words);
  }

 private:
  std::string at(const Point& p) const {
    return rounded(kWidth * x_.place(p.x), 1) + " " + rounded(kHeight * (1 - y_.place(p.y)), 1);
  }
  std::string line(const std::string& kind, double y) const {
    const std::string height = rounded(kHeight * (1 - y_.place(y)), 1);
    return "<path class=\"" + kind + "\" d=\"M0 " + height + "H1000\"/>";
  }
  std::string path(const Series& s) const {
    std::string d;
    for (const Point& p : thinned(finite(s.points), kPieces)) d += (d.empty() ? "M" : "L") + at(p);
    if (d.empty()) return "";
    if (d.find('L') == d.npos) d += "h0.1";  // a single point is a dot
    return "<path class=\"curve " + s.kind + "\" d=\"" + d + "\"/>";
  }

  const Chart& chart_;
  Range x_, y_;
};

}  // namespace

std::string chart_html(const Chart& chart) {
  const Plot plot(chart);
  std::string keys;
  if (chart.series.size() > 1 || !chart.levels.empty()) {
    for (const Series& s : chart.series) keys += key(s.kind, s.name);
    for (const Level& level : chart.levels) {
      keys += key("level " + level.kind, tr(Msg::key_value, level.name, rounded(level.y, 2)));
    }
  }
  return element(
      "figure", "chart",
      element("figcaption", "", element("h3", "", escaped(chart.title)) + element("p", "keys", keys)) +
          (plot.is_empty() ? element("p", "empty", escaped(tr(Msg::chart_nothing)))
                           : plot.html() + element("p", "x-name", escaped(chart.x_name))) +
          element("p", "why", escaped(chart.why)));
}

std::vector<Point> thinned(const std::vector<Point>& points, std::size_t pieces) {
  if (points.size() <= 2 * pieces) return points;
  const auto lower = [](const Point& a, const Point& b) { return a.y < b.y; };
  std::vector<Point> kept;
  for (std::size_t i = 0; i < pieces; ++i) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(points.size() * i / pieces),
               end = points.begin() + static_cast<std::ptrdiff_t>(points.size() * (i + 1) / pieces);
    auto [lowest, highest] = std::minmax_element(begin, end, lower);
    if (highest < lowest) std::swap(lowest, highest);
    kept.push_back(*lowest);
    if (highest != lowest) kept.push_back(*highest);
  }
  return kept;
}

std::vector<Point> running_mean(const std::vector<Point>& points, std::size_t before) {
  std::vector<Point> means;
  double sum = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    sum += points[i].y;
    if (i > before) sum -= points[i - before - 1].y;
    means.push_back({points[i].x, sum / static_cast<double>(std::min(i, before) + 1)});
  }
  return means;
}

std::vector<double> axis_ticks(double lowest, double highest) {
  const double rough = (highest - lowest) / 6, power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step < rough) step = factor * power;
  }
  std::vector<double> ticks;
  for (double n = std::ceil(lowest / step); n * step <= highest; ++n)
    ticks.push_back(n * step + 0.0);  // no -0
  return ticks;
}

}  // namespace zhgpt
