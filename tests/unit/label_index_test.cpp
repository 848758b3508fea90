#include "evaluate/label_index.h"

#include <gtest/gtest.h>

#include <vector>

namespace mlxe::label_index_test {
namespace {

TEST(LabelIndex, FindsNamesWhateverTheirCaseAndNumbers) {
  const std::vector<std::string> names{"ENTAILMENT", "neutral"};
  const LabelIndex labels(names);
  EXPECT_EQ(labels.find("entailment"), 0);
  EXPECT_EQ(labels.find("Neutral"), 1);
  EXPECT_EQ(labels.find("1"), 1);
  EXPECT_EQ(labels.find("2"), std::nullopt);
  EXPECT_EQ(labels.find(""), std::nullopt);
}

// A name that is another label's number means the label of that name.
TEST(LabelIndex, NamesGoBeforeNumbers) {
  const std::vector<std::string> names{"2", "1", "0"};
  const LabelIndex labels(names);
  EXPECT_EQ(labels.find("0"), 2);
  EXPECT_EQ(labels.find("2"), 0);
}

TEST(Text, LinesAreCutAtEveryTab) {
  EXPECT_EQ(split_tabs("a\tb c\t"), (std::vector<std::string>{"a", "b c", ""}));
  EXPECT_EQ(split_tabs(""), (std::vector<std::string>{""}));
  EXPECT_EQ(lowercase("B-Per \xc3\x89"), "b-per \xc3\x89");
}

}  // namespace
}  // namespace mlxe::label_index_test
