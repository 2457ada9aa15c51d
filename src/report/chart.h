// A curve as inline SVG that stretches with its place: lines keep their width, words are HTML and keep their
// size.
#pragma once

#include <string>
#include <vector>

namespace zhgpt {

struct Point {
  double x = 0, y = 0;
};
struct Series {
  std::string name, kind;     // kind: the class of its colour in style.inc
  std::vector<Point> points;  // by rising x; those that are not finite are left out
};
struct Level {  // a horizontal line to compare with
  std::string name, kind;
  double y = 0;
};
struct Chart {
  std::string title, why;  // text
  std::vector<Series> series;
  std::vector<Level> levels;
  std::string x_name;
  bool from_zero = false;  // the axis begins at 0, not at the smallest value
};

std::string chart_html(const Chart& chart);

// Fewer points that draw the same picture: of each of `pieces` stretches the lowest and the highest, in their
// order, so that no spike is lost; all, where there are no more than 2 * pieces.
std::vector<Point> thinned(const std::vector<Point>& points, std::size_t pieces);
// Each point the mean of itself and those up to `before` places before it.
std::vector<Point> running_mean(const std::vector<Point>& points, std::size_t before);
// Round numbers from lowest to highest, both within: 1, 2 or 5 times a power of ten apart, 2 to 7 of them.
// REQUIRES: lowest < highest.
std::vector<double> axis_ticks(double lowest, double highest);

}  // namespace zhgpt
