#include "base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace mlxe::nearest_test {
namespace {

TEST(Nearest, OfTypingMistakesTheNameThatWasMeant) {
  const std::vector<std::string> commands{"convert", "compare", "classify", "tag", "inspect"};
  EXPECT_EQ(nearest("convret", commands), "convert") << "two letters swapped";
  EXPECT_EQ(nearest("comparee", commands), "compare") << "one too many";
  EXPECT_EQ(nearest("clasify", commands), "classify") << "one missing";
  EXPECT_EQ(nearest("Inspect", commands), "inspect");
  EXPECT_EQ(nearest("insp", commands), "inspect") << "the begin of a name";
  EXPECT_EQ(nearest("tga", commands), "tag");
  for (const char* far : {"", "x", "frobnicate", "co"}) EXPECT_EQ(nearest(far, commands), "") << far;
  EXPECT_EQ(nearest(std::string(100'000, 'c'), commands), "") << "no work for a name that long";
}

TEST(Nearest, TheNearerOfTwoTheFirstOfEquals) {
  EXPECT_EQ(nearest("--q-bit", std::vector<std::string>{"--q-bits", "--q-mode"}), "--q-bits");
  EXPECT_EQ(nearest("ab", std::vector<std::string>{"ac", "ad"}), "ac");
  EXPECT_EQ(nearest("ad", std::vector<std::string>{"ac", "ad"}), "ad");
}

}  // namespace
}  // namespace mlxe::nearest_test
