// Small functions on text.
#include "base/text.h"

#include <gtest/gtest.h>

#include <clocale>
#include <locale>
#include <string>

#include "base/wording.h"

namespace mlxe::text_test {
namespace {

struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
};

TEST(FiniteNumber, IsOfDecimalDigitsWithBlanksAround) {
  for (const auto& [text, number] : {std::pair("1", 1.0),
                                     {"-1.5e3", -1500},
                                     {"+.5", 0.5},
                                     {"5.", 5},
                                     {"010", 10},
                                     {" 2 ", 2},
                                     {"1E-2", 0.01},
                                     {"0", 0}})
    EXPECT_EQ(finite_number(text), number) << text;
  for (const char* text :
       {"",    " ",   "x",   "1x",    "0x10", "0x1p3", "nan", "inf", "-infinity", "1e999", "-1e999",
        "1,5", "1_0", "1 2", "1.2.3", "--1",  "1e",    "e5",  "-",   "\t1",       "1\n"})
    EXPECT_EQ(finite_number(text), std::nullopt) << text;
  EXPECT_EQ(finite_number(std::string_view("1\0", 2)), std::nullopt);
}

TEST(FiniteNumber, IsTheSameInEveryLocale) {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  EXPECT_EQ(finite_number("0.5"), 0.5);
  EXPECT_EQ(finite_number("0,5"), std::nullopt);
  EXPECT_EQ(parse_bytes("1.5 KiB"), 1536u);
  std::locale::global(before);
  if (std::setlocale(LC_NUMERIC, "de_DE.UTF-8") == nullptr) return;
  EXPECT_EQ(finite_number("0.5"), 0.5);
  EXPECT_EQ(parse_bytes("1.5 KiB"), 1536u);
  std::setlocale(LC_NUMERIC, "C");
}

}  // namespace
}  // namespace mlxe::text_test
