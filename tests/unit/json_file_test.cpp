#include "format/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "test_files.h"

namespace mlxe::json_file_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
  return test::error_text([&] { parse_json(text, "c.json"); }, ErrorCode::format);
}

TEST(Json, SaysWhereItIsBroken) {
  EXPECT_THAT(error_of(""), HasSubstr("c.json: not valid JSON at line 1, column 1"));
  EXPECT_THAT(error_of("{\n  \"a\": 1,\n  \"b\": }"), HasSubstr("line 3, column 8"));
  EXPECT_THAT(error_of("{\"a\": NaN}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of("{\"a\": 1} x"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of("{\"a\": 1e999}"), HasSubstr("c.json: "));
}

TEST(Json, RefusesBytesThatAreNotUtf8) {
  EXPECT_THAT(error_of("{\n\"a\": \"\xe9\"}"),
              AllOf(HasSubstr("not UTF-8 at byte 8"), HasSubstr("line 2, column 7")));
  EXPECT_THAT(error_of(std::string_view("\xff\xfe{\0}\0", 6)), HasSubstr("not UTF-8"));
}

TEST(Json, RefusesAKeyThatComesTwice) {
  EXPECT_THAT(error_of(R"({"a": {"b": 1, "b": 2}})"), HasSubstr("\"b\" appears twice"));
  EXPECT_NO_THROW(parse_json(R"({"a": {"b": 1}, "b": {"b": 1}, "c": [{"b": 1}, {"b": 2}]})", "c.json"));
}

TEST(Json, BoundsTheNesting) {
  EXPECT_NO_THROW(parse_json(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']'), "c.json"));
  EXPECT_THAT(error_of(std::string(kMaxJsonDepth + 1, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("c.json: nested deeper than 64 levels"));
  // Brackets inside strings do not count as nesting, also after escapes.
  const std::string many(1000, '[');
  EXPECT_NO_THROW(parse_json(R"({"a\\": ")" + many + R"(\"[", "b\"[[": 1})", "c.json"));
  std::string siblings = "[{}";
  for (int i = 0; i < 500; ++i) siblings += ",[]";
  EXPECT_NO_THROW(parse_json(siblings + "]", "c.json"));
}

TEST(Json, AcceptsAByteOrderMark) {
  EXPECT_EQ(parse_json("\xef\xbb\xbf{\"a\": 1}", "c.json").at("a"), 1);
}

TEST(Json, PrintableTextIsShortAndEscaped) {
  EXPECT_EQ(printable("a\"b\x1b[31m"), "\"a\\\"b\\u001b[31m\"");
  EXPECT_LE(printable(std::string(10'000, 'x')).size(), 130u);
  EXPECT_EQ(first_invalid_utf8(printable("\xff\xfe" + std::string(200, '\xe9'))), kValidUtf8);
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\u20ac";
  EXPECT_EQ(first_invalid_utf8(printable(wide)), kValidUtf8);
}

TEST(Utf8, KnowsTheEdges) {
  for (const char* good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(first_invalid_utf8(good), kValidUtf8) << good;
  for (const char* bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    EXPECT_EQ(first_invalid_utf8(std::string("ab") + bad), 2u) << testing::PrintToString(bad);
}

}  // namespace
}  // namespace mlxe::json_file_test
