#include "report/chart.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"

namespace mlxe {
namespace {

constexpr double kLargestDrawn = 1e100;  // between it and its inverse axis ticks are safe to compute

nlohmann::json drawn_number(double value) {
  if (!(std::abs(value) <= kLargestDrawn)) return nullptr;
  return std::abs(value) < 1 / kLargestDrawn ? 0.0 : value;
}

nlohmann::json series_of(const std::vector<ChartSeries>& all) {
  nlohmann::json result = nlohmann::json::array();
  for (const ChartSeries& series : all) {
    nlohmann::json values = nlohmann::json::array();
    for (const double value : series.values) values.push_back(drawn_number(value));
    result.push_back({{"name", series.name}, {"values", std::move(values)}});
  }
  return result;
}

// A value without a name, or the other way round, is a mistake of the caller.
void check_lengths(const std::string& title, size_t names, const std::vector<ChartSeries>& all) {
  for (const ChartSeries& series : all)
    if (series.values.size() != names)
      throw Error(ErrorCode::usage, "chart \"" + title + "\": series \"" + series.name + "\" has " +
                                        std::to_string(series.values.size()) + " values, expected " +
                                        std::to_string(names));
}

std::string draw(const nlohmann::json& chart) {
  const std::string text = chart.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  MlxeString svg{}, error{};
  const int status = mlxe_chart_svg(text.data(), text.size(), &svg, &error);
  const MlxeString& filled = status == MLXE_OK ? svg : error;
  std::string result(filled.data, filled.size);
  mlxe_free_string(filled);
  if (status != MLXE_OK) throw Error(status == MLXE_USAGE ? ErrorCode::usage : ErrorCode::internal, result);
  return result;
}

}  // namespace

std::string to_svg(const BarChart& chart) {
  check_lengths(chart.title, chart.categories.size(), chart.series);
  return draw({{"kind", "bars"},
               {"title", chart.title},
               {"y_label", chart.y_label},
               {"categories", chart.categories},
               {"series", series_of(chart.series)}});
}

std::string to_svg(const StackedBars& chart) {
  check_lengths(chart.title, chart.rows.size(), chart.series);
  return draw({{"kind", "stacked_bars"},
               {"title", chart.title},
               {"x_label", chart.x_label},
               {"rows", chart.rows},
               {"series", series_of(chart.series)}});
}

std::string to_svg(const LineChart& chart) {
  nlohmann::json lines = nlohmann::json::array();
  for (const ChartLine& line : chart.lines) {
    nlohmann::json points = nlohmann::json::array();
    for (const auto& [x, y] : line.points) points.push_back({drawn_number(x), drawn_number(y)});
    lines.push_back({{"name", line.name}, {"points", std::move(points)}});
  }
  return draw({{"kind", "lines"},
               {"title", chart.title},
               {"x_label", chart.x_label},
               {"y_label", chart.y_label},
               {"logarithmic", chart.y_scale == Scale::logarithmic},
               {"lines", std::move(lines)}});
}

std::string to_svg(const Histogram& chart) {
  if (chart.bins < 1 || chart.bins > 500)
    throw Error(ErrorCode::usage,
                "chart \"" + chart.title + "\": " + std::to_string(chart.bins) + " bins, expected 1 to 500");
  return draw({{"kind", "histogram"},
               {"title", chart.title},
               {"x_label", chart.x_label},
               {"bins", chart.bins},
               {"series", series_of(chart.series)}});
}

}  // namespace mlxe
