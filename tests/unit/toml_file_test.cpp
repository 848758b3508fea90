#include "format/toml_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_files.h"

namespace mlxe::toml_file_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TomlFile read(std::string_view text) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "q.toml", text);
  return read_toml(folder / "q.toml");
}

// The error's text from "q.toml:" on.
std::string error_of(std::string_view text) {
  const std::string error = test::error_text([&] { read(text); }, ErrorCode::format);
  return error.substr(std::min(error.size(), error.find("q.toml")));
}

TEST(Toml, every_kind_of_value_is_read) {
  const TomlFile file = read(
      "title = \"\\u00e9\" # said\nn = 0x1F\nx = -1.5e-3\nyes = true\nwhen = 2025-01-02\nlist = [1, 2.5,\n"
      "  \"c\"]\na.b.c = 1_000\n[table]\n'quoted key' = '''raw'''\n[[rows]]\nname = "
      "\"first\"\n[[rows]]\nname = "
      "\"second\"\ninline = {k = 1, l = []}\n");
  EXPECT_EQ(file.values, nlohmann::json::parse(R"({"title": "é", "n": 31, "x": -1.5e-3, "yes": true,
      "when": "2025-01-02", "list": [1, 2.5, "c"], "a": {"b": {"c": 1000}}, "table": {"quoted key": "raw"},
      "rows": [{"name": "first"}, {"name": "second", "inline": {"k": 1, "l": []}}]})"));
  EXPECT_TRUE(file.values["n"].is_number_integer());
  EXPECT_TRUE(file.values["x"].is_number_float());
}

TEST(Toml, a_value_knows_its_line) {
  const TomlFile file = read("a = 1\n\n[t]\n'x/y~' = [\n1,\n2]\n[[rows]]\nname = 1\n[[rows]]\nname = 2\n");
  EXPECT_EQ(file.lines.at("/a"), 1);
  EXPECT_EQ(file.lines.at("/t/x~1y~0"), 4);
  EXPECT_EQ(file.lines.at("/t/x~1y~0/1"), 6);
  EXPECT_EQ(file.lines.at("/rows/1/name"), 10);
  EXPECT_EQ(file.lines.at("/rows/1"), 9);
  EXPECT_THAT(file.where("/rows/0/name"), testing::EndsWith("q.toml:8"));
  EXPECT_THAT(file.where("/none"), testing::EndsWith("q.toml"));
}

TEST(Toml, what_is_wrong_is_said_with_line_and_column) {
  EXPECT_THAT(error_of("a = 1\nb = \n"), StartsWith("q.toml:2:"));
  EXPECT_THAT(error_of("a = 1\na = 2\n"), AllOf(StartsWith("q.toml:2:1: "), HasSubstr("duplicate")));
  EXPECT_THAT(error_of("a = \"open\n"), StartsWith("q.toml:1:"));
  EXPECT_THAT(error_of("a = inf"), AllOf(StartsWith("q.toml:1:1: "), HasSubstr("finite")));
  EXPECT_THAT(error_of("\n  a = 99999999999999999999"),
              AllOf(StartsWith("q.toml:2:3: "), HasSubstr("64 bits")));
  EXPECT_THAT(error_of("a = 1\nb = \"\xe9\""), AllOf(StartsWith("q.toml:2:6: "), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of("[a\n"), StartsWith("q.toml:1:"));
}

TEST(Toml, nesting_and_size_are_bounded) {
  EXPECT_THAT(error_of("a = " + std::string(100'000, '[')), StartsWith("q.toml:1:"));
  std::string deep = "a";
  for (int i = 0; i < 100'000; ++i) deep += ".a";
  EXPECT_THAT(error_of(deep + " = 1"), StartsWith("q.toml:1:"));
  EXPECT_THAT(error_of("[" + deep + "]\n"), StartsWith("q.toml:1:"));
  EXPECT_THAT(error_of(std::string(5 << 20, ' ')), HasSubstr("expected at most"));
}

TEST(Toml, an_empty_file_is_an_empty_table) {
  EXPECT_EQ(read("").values, nlohmann::json::object());
  test::error_text([] { read_toml("/nowhere/q.toml"); }, ErrorCode::not_found);
}

}  // namespace
}  // namespace mlxe::toml_file_test
