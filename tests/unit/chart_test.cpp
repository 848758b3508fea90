#include "report/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <regex>

#include "test_files.h"

namespace mlxe::chart_test {
namespace {

using test::error_text;
using testing::HasSubstr;
using testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kFirst = "#4E79A7";  // the colour of the first series
constexpr const char* kSecond = "#E0905A";

// The elements `<name ...>` as attributes.
std::vector<std::map<std::string, std::string>> elements(const std::string& svg, const std::string& name) {
  std::vector<std::map<std::string, std::string>> result;
  const std::regex element("<" + name + " ([^>]*)>"), attribute("([a-z-]+)=\"([^\"]*)\"");
  for (std::sregex_iterator e(svg.begin(), svg.end(), element), end; e != end; ++e) {
    const std::string inside = (*e)[1];
    auto& attributes = result.emplace_back();
    for (std::sregex_iterator a(inside.begin(), inside.end(), attribute); a != end; ++a)
      attributes[(*a)[1]] = (*a)[2];
  }
  return result;
}

std::vector<std::map<std::string, std::string>> coloured(const std::string& svg, const std::string& name,
                                                         const std::string& colour) {
  auto all = elements(svg, name);
  std::erase_if(all, [&](const auto& e) {
    const auto is = [&](const char* key) { return e.contains(key) && e.at(key) == colour; };
    return !is("fill") && !is("stroke");
  });
  return all;
}

// Checks that every tag is closed, in order, and that no text would end a tag.
void expect_well_formed(const std::string& svg) {
  EXPECT_THAT(svg, testing::StartsWith("<svg "));
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)([^<>]*?)(/?)>");
  std::string text = svg;
  for (std::sregex_iterator t(svg.begin(), svg.end(), tag), end; t != end; ++t) {
    if ((*t)[1] == "/") {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), (*t)[2]);
      open.pop_back();
    } else if ((*t)[4] != "/") {
      open.push_back((*t)[2]);
    }
  }
  EXPECT_TRUE(open.empty());
  const std::string without = std::regex_replace(svg, tag, "");
  EXPECT_THAT(without, Not(HasSubstr("<")));
  EXPECT_FALSE(std::regex_search(without, std::regex("&(?!(lt|gt|amp|quot|apos);)")));
  for (const char c : svg) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
}

TEST(Chart, bars_are_as_high_as_their_values) {
  const std::string svg = to_svg(BarChart{"Size", "MiB", {"a", "b", "c"}, {{"size", {10, 20, -5}}}});
  expect_well_formed(svg);
  const auto bars = coloured(svg, "rect", kFirst);
  ASSERT_EQ(bars.size(), 3u);
  // Two edges, each rounded to a whole pixel.
  EXPECT_NEAR(std::stod(bars[1].at("height")), 2 * std::stod(bars[0].at("height")), 2);
  EXPECT_NEAR(std::stod(bars[2].at("height")), std::stod(bars[0].at("height")) / 2, 2);
  EXPECT_GT(std::stod(bars[2].at("y")), std::stod(bars[0].at("y")));
  for (const char* text : {"Size", "MiB", "\na\n", "\nc\n", "20", "-5"}) EXPECT_THAT(svg, HasSubstr(text));
}

TEST(Chart, a_legend_names_two_series_and_more) {
  const auto svg = [](std::vector<ChartSeries> series) {
    return to_svg(BarChart{"t", "y", {"a"}, std::move(series)});
  };
  EXPECT_THAT(svg({{"alone", {1}}}), Not(HasSubstr("alone")));
  const std::string both = svg({{"eight bits", {1}}, {"four bits", {2}}});
  EXPECT_THAT(both, HasSubstr("eight bits"));
  EXPECT_THAT(both, HasSubstr("four bits"));
  EXPECT_EQ(coloured(both, "rect", kFirst).size(), 2u);  // the bar and its place in the legend
}

TEST(Chart, stacked_bars_lie_end_to_end) {
  const std::string svg =
      to_svg(StackedBars{"Bytes", "MiB", {"whole", "half"}, {{"x", {30, 15}}, {"y", {10, 5}}}});
  expect_well_formed(svg);
  auto first = coloured(svg, "rect", kFirst), second = coloured(svg, "rect", kSecond);
  std::erase_if(first, [](const auto& e) { return e.at("width") == "12"; });  // legend
  std::erase_if(second, [](const auto& e) { return e.at("width") == "12"; });
  ASSERT_EQ(first.size(), 2u);
  ASSERT_EQ(second.size(), 2u);
  for (int row : {0, 1}) {
    EXPECT_EQ(std::stoi(first[row].at("x")) + std::stoi(first[row].at("width")),
              std::stoi(second[row].at("x")));
    EXPECT_NEAR(std::stod(first[row].at("width")), 3 * std::stod(second[row].at("width")), 4);
  }
  EXPECT_LT(std::stoi(first[0].at("y")), std::stoi(first[1].at("y")));  // the first row on top
  EXPECT_THAT(svg, HasSubstr("\n40\n"));
}

TEST(Chart, lines_break_where_there_is_no_value) {
  LineChart chart{
      "Cosine", "layer", "cosine", {{"8-bit", {{0, 1}, {1, 0.9}, {2, kNan}, {3, 0.8}, {4, 0.7}}}}};
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  EXPECT_EQ(coloured(svg, "polyline", kFirst).size(), 2u);
  EXPECT_EQ(coloured(svg, "circle", kFirst).size(), 4u);
  chart.lines[0].points[2].second = 0.85;
  EXPECT_EQ(coloured(to_svg(chart), "polyline", kFirst).size(), 1u);
}

TEST(Chart, a_logarithmic_scale_has_equal_steps_for_equal_ratios_and_leaves_out_zero) {
  const LineChart chart{
      "MSE", "layer", "mse", {{"8-bit", {{0, 1e-6}, {1, 1e-5}, {2, 1e-4}, {3, 0}}}}, Scale::logarithmic};
  const auto dots = coloured(to_svg(chart), "circle", kFirst);
  ASSERT_EQ(dots.size(), 3u);
  const auto y = [&](int i) { return std::stod(dots[i].at("cy")); };
  EXPECT_NEAR(y(0) - y(1), y(1) - y(2), 1.5);  // whole pixels
}

TEST(Chart, a_histogram_counts_shares) {
  Histogram chart{"Cosine", "cosine", {{"8-bit", {0, 0, 0, 1}}}, 2};
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr("share of values, %"));
  const auto outline = coloured(svg, "polyline", kFirst);
  ASSERT_EQ(outline.size(), 1u);
  std::vector<double> y;
  const std::string points = outline[0].at("points");
  const std::regex pair("([0-9]+),([0-9]+)");
  for (std::sregex_iterator p(points.begin(), points.end(), pair), end; p != end; ++p)
    y.push_back(std::stod((*p)[2]));
  ASSERT_EQ(y.size(), 6u);  // down, two bins of two points, down
  EXPECT_NEAR(y[0] - y[1], 3 * (y[5] - y[4]), 3);
  chart.bins = 0;
  error_text([&] { to_svg(chart); }, ErrorCode::usage);
}

TEST(Chart, any_text_is_only_text) {
  const std::string evil = "<script>alert('x')</script> & \"quoted\" \x01 \xff ]]>";
  for (const std::string& svg : {to_svg(BarChart{evil, evil, {evil, "b"}, {{evil, {1, 2}}, {evil, {1, 2}}}}),
                                 to_svg(StackedBars{evil, evil, {evil}, {{evil, {1}}, {evil, {1}}}}),
                                 to_svg(LineChart{evil, evil, evil, {{evil, {{1, 2}}}, {evil, {{3, 4}}}}}),
                                 to_svg(Histogram{evil, evil, {{evil, {1, 2}}, {evil, {1, 2}}}})})
    expect_well_formed(svg);
}

TEST(Chart, without_values_says_so) {
  for (const std::string& svg :
       {to_svg(BarChart{"t", "y", {}, {}}), to_svg(BarChart{"t", "y", {"a"}, {{"s", {kNan}}}}),
        to_svg(StackedBars{"t", "x", {}, {}}), to_svg(LineChart{"t", "x", "y", {{"l", {}}}}),
        to_svg(Histogram{"t", "x", {{"s", {}}}})}) {
    expect_well_formed(svg);
    EXPECT_THAT(svg, HasSubstr("no data"));
  }
}

TEST(Chart, values_of_any_size_can_be_drawn) {
  const double max = std::numeric_limits<double>::max(), tiny = std::numeric_limits<double>::denorm_min();
  for (const std::vector<double>& values :
       std::vector<std::vector<double>>{{0, 0},
                                        {1, 1},
                                        {1e300, -1e300},
                                        {max, -max},
                                        {tiny, 0},
                                        {1e17, 1e17 + 16},
                                        {-3, -3},
                                        {std::numeric_limits<double>::infinity(), 1},
                                        {1e-9, 1e9}}) {
    SCOPED_TRACE(testing::PrintToString(values));
    expect_well_formed(to_svg(BarChart{"t", "y", {"a", "b"}, {{"s", values}}}));
    expect_well_formed(to_svg(StackedBars{"t", "y", {"a", "b"}, {{"s", values}}}));
    for (const Scale scale : {Scale::linear, Scale::logarithmic})
      expect_well_formed(
          to_svg(LineChart{"t", "x", "y", {{"l", {{values[0], values[1]}, {values[1], values[0]}}}}, scale}));
    expect_well_formed(to_svg(Histogram{"t", "x", {{"s", values}}}));
  }
}

TEST(Chart, a_value_too_few_is_a_mistake) {
  EXPECT_THAT(error_text(
                  [] {
                    to_svg(BarChart{"Size", "y", {"a", "b"}, {{"s", {1}}}});
                  },
                  ErrorCode::usage),
              HasSubstr("chart \"Size\": series \"s\" has 1 values, expected 2"));
}

}  // namespace
}  // namespace mlxe::chart_test
