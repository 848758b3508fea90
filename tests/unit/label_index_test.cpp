#include "evaluate/label_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "test_files.h"

namespace mlxe::label_index_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Strings = std::vector<std::string>;

const Strings kStars{"1", "2", "3"};

GoldLabels read(const Strings& gold, const Strings& names, test::Heard& heard) {
  return read_gold_labels(gold, names, heard.warning());
}

TEST(GoldLabels, AreNamesWhateverTheirCaseOrNumbers) {
  const Strings names{"ENTAILMENT", "neutral"};
  test::Heard heard;
  EXPECT_THAT(read({"entailment", "Neutral", "1"}, names, heard).indices, ElementsAre(0, 1, 1));
  EXPECT_THAT(read({"1", "0"}, names, heard).indices, ElementsAre(1, 0));
  for (const char* wrong : {"2", "", "-1", "yes"})
    EXPECT_EQ(read({"entailment", wrong, "neutral"}, names, heard).misfit, 1u) << wrong;
  EXPECT_THAT(heard.sentences, IsEmpty());
}

// If each label were read on its own, "1" (a name) and "0" (a number) would both be the first class.
TEST(GoldLabels, AreAllNamesOrAllNumbersWhereANameIsAnotherClasssNumber) {
  test::Heard heard;
  EXPECT_THAT(read({"0", "1", "2", "0"}, kStars, heard).indices, ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(read({"1", "2", "3", "1"}, kStars, heard).indices, ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(heard.sentences, IsEmpty());
  EXPECT_EQ(read({"3", "1", "0"}, kStars, heard).misfit, 2u) << "a name first, a number last";
  EXPECT_EQ(read({"0", "1", "3"}, kStars, heard).misfit, 2u) << "a number first, a name last";
  EXPECT_THAT(read({"0", "1", "2"}, {"2", "1", "0"}, heard).indices, ElementsAre(2, 1, 0))
      << "names, in any order";
}

TEST(GoldLabels, ThatBothReadingsFitIsSaid) {
  test::Heard heard;
  EXPECT_THAT(read({"1", "2", "1"}, kStars, heard).indices, ElementsAre(0, 1, 0));
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("were read as names")));
  heard.sentences.clear();
  EXPECT_THAT(read({"0", "1"}, {"0", "1"}, heard).indices, ElementsAre(0, 1));
  EXPECT_THAT(heard.sentences, IsEmpty()) << "both mean the same";
}

TEST(GoldLabels, ANameOfSeveralClassesIsNoAnswer) {
  test::Heard heard;
  const Strings repeated{"calm", "calm", "stormy"}, cases{"US", "us", "Uk"};
  EXPECT_EQ(read({"stormy", "calm"}, repeated, heard).misfit, 1u);
  EXPECT_THAT(read({"stormy", "1", "0"}, repeated, heard).indices, ElementsAre(2, 1, 0))
      << "numbers always work";
  EXPECT_THAT(read({"us", "US", "UK"}, cases, heard).indices, ElementsAre(1, 0, 2))
      << "the same letters first";
  EXPECT_EQ(read({"US", "Us"}, cases, heard).misfit, 1u);
  EXPECT_THAT(heard.sentences, IsEmpty());
}

TEST(Text, LinesAreCutAtEveryTab) {
  EXPECT_EQ(split_tabs("a\tb c\t"), (std::vector<std::string>{"a", "b c", ""}));
  EXPECT_EQ(split_tabs(""), (std::vector<std::string>{""}));
  EXPECT_EQ(lowercase("B-Per \xc3\x89"), "b-per \xc3\x89");
}

}  // namespace
}  // namespace mlxe::label_index_test
