#include "base/wording.h"

#include <gtest/gtest.h>

#include <vector>

namespace mlxe::wording_test {
namespace {

TEST(Wording, ListsTheFirstAndCountsTheRest) {
  const std::vector<std::string> names{"a", "b", "c"};
  EXPECT_EQ(listed(names, 3), "a, b, c");
  EXPECT_EQ(listed(names, 2), "a, b and 1 more");
  EXPECT_EQ(listed(names, 2, "; "), "a; b; and 1 more");
  EXPECT_EQ(listed({}, 2), "");
}

TEST(Wording, BytesAndCounts) {
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(12.9 * (1 << 20)), "12.9 MiB");
  EXPECT_EQ(human_count(22'700'000), "22.70 M");
  EXPECT_DOUBLE_EQ(mib(3 << 19), 1.5);
}

TEST(Wording, NothingAFileHoldsReachesTheTerminalAsACommand) {
  EXPECT_EQ(cleaned("caf\xC3\xA9\tb\n"), "caf\xC3\xA9\tb\n");
  EXPECT_EQ(cleaned("\x1b[2J\x7f"), "\\u001b[2J\\u007f");
  EXPECT_EQ(cleaned("good\rbad"), "good\\u000dbad") << "a carriage return writes over what stands before it";
  EXPECT_EQ(cleaned("\xC2\x9B"
                    "2J\xC2\xA0"),
            "\\u009b2J\xC2\xA0")
      << "CSI in one character; no-break space stays";
  EXPECT_EQ(cleaned(cleaned("\x1b\xFF")), cleaned("\x1b\xFF"));
  EXPECT_EQ(cleaned("a\xE9z"), "a\xEF\xBF\xBDz");
}

TEST(Wording, ASizeIsReadInAnyUnit) {
  EXPECT_EQ(parse_bytes("5GB"), 5'000'000'000u);
  EXPECT_EQ(parse_bytes("1.5 KiB"), 1536u);
  EXPECT_EQ(parse_bytes("1048576"), 1048576u);
  EXPECT_EQ(parse_bytes("2 mb"), 2'000'000u);
  for (const char* text : {"", "MB", "-1", "0", "5 pounds", "nan", "1e40", "5 GB!"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Wording, AFolderIsCalledByItsLastName) {
  EXPECT_EQ(folder_name("a/b-4bit"), "b-4bit");
  EXPECT_EQ(folder_name("/a/b-4bit/"), "b-4bit");
  EXPECT_EQ(folder_name("a/x/../b/."), "b");
  EXPECT_EQ(folder_name("minilm/model"), "minilm/model");
  EXPECT_EQ(folder_name(""), "");
}

}  // namespace
}  // namespace mlxe::wording_test
