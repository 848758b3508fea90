// What a tokenizer does besides giving the right ids; tests/golden/tokenizer_test.cpp proves those.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread_pool.h"
#include "test_files.h"

namespace mlxe {
namespace {

using test::error_text;
using test::write_file;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// [PAD] [UNK] [CLS] [SEP] [MASK] are 0 to 4.
constexpr const char* kVocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##s\n,\n";

struct BertFolder : test::TemporaryFolder {
  BertFolder() {
    write_file(*this / "vocab.txt", kVocab);
    write_file(*this / "tokenizer_config.json",
               R"({"tokenizer_class": "BertTokenizer", "model_max_length": 64})");
  }
  Tokenizer load() const { return Tokenizer::load(path(), {}); }
};

TEST(Tokenizer, reads_a_vocabulary_file) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  const Encoding encoding = tokenizer.encode("Hello, wörlds");
  EXPECT_THAT(encoding.ids, ElementsAre(2, 5, 8, 6, 7, 3));
  EXPECT_THAT(encoding.offsets,
              ElementsAre(Pair(0, 0), Pair(0, 5), Pair(5, 6), Pair(7, 13), Pair(13, 14), Pair(0, 0)));
  EXPECT_THAT(encoding.code_point_offsets,
              ElementsAre(Pair(0, 0), Pair(0, 5), Pair(5, 6), Pair(7, 12), Pair(12, 13), Pair(0, 0)));
  EXPECT_THAT(encoding.word_ids, ElementsAre(-1, 0, 1, 2, 2, -1));
  EXPECT_THAT(encoding.sequence, ElementsAre(-1, 0, 0, 0, 0, -1));
  EXPECT_EQ(tokenizer.class_name(), "BertTokenizer");
  EXPECT_EQ(tokenizer.vocab_size(), 9);
  EXPECT_EQ(tokenizer.model_max_length(), 64);
  EXPECT_TRUE(tokenizer.gives_type_ids());
  EXPECT_EQ(tokenizer.token(7), "##s");
  EXPECT_EQ(tokenizer.id("world"), 6);
  EXPECT_EQ(tokenizer.id("absent"), std::nullopt);
  EXPECT_EQ(tokenizer.special_ids().mask, 4);
  EXPECT_EQ(tokenizer.special_ids().bos, std::nullopt);
  EXPECT_EQ(tokenizer.decode(encoding.ids), "hello, worlds");
  EXPECT_EQ(tokenizer.decode(encoding.ids, SpecialTokens::keep), "[CLS] hello, worlds [SEP]");
}

}  // namespace
}  // namespace mlxe
