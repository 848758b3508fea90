// Charts as SVG documents: white background, 760 pixels wide, can be embedded in an HTML page.
//
// Texts may hold anything; they are escaped. A value that is not finite is left out (a gap in a line). A
// chart with nothing to draw says "no data".
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mlxe {

struct ChartSeries {
  std::string name;  // in the legend, which is drawn for two series and more
  std::vector<double> values;
};

// Vertical bars from zero, the series side by side; values[i] belongs to categories[i].
struct BarChart {
  std::string title, y_label;
  std::vector<std::string> categories;
  std::vector<ChartSeries> series;
};
std::string to_svg(const BarChart& chart);

// A horizontal bar for each row, its parts stacked. values[i] >= 0 belongs to rows[i].
struct StackedBars {
  std::string title, x_label;
  std::vector<std::string> rows;
  std::vector<ChartSeries> series;
};
std::string to_svg(const StackedBars& chart);

struct ChartLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x, y in drawing order
};

enum class Scale {
  linear,
  logarithmic,  // values that are not positive are left out
};

struct LineChart {
  std::string title, x_label, y_label;
  std::vector<ChartLine> lines;
  Scale y_scale = Scale::linear;
};
std::string to_svg(const LineChart& chart);

// A histogram: percentage of a series' values in each of `bins` equal bins, which are the same for all series.
struct Histogram {
  std::string title, x_label;
  std::vector<ChartSeries> series;
  int bins = 40;  // 1 to 500
};
std::string to_svg(const Histogram& chart);

}  // namespace mlxe
