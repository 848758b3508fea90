// Texts from CoNLL files, and the common part of all formats. The commands' tests cover the rest.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "mlx_encoder/error.h"
#include "model_folders.h"
#include "texts/text_file.h"

namespace mlxe::text_file_test {
namespace {

using test::error_text;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> lines_and_texts(const std::filesystem::path& file, const std::string& format = "") {
  std::vector<std::string> found;
  read_text_rows(file, {.format = format},
                 [&](const TextRow& row) {
                   EXPECT_FALSE(row.input.pair.has_value());
                   found.push_back(std::to_string(row.line) + ": " + row.input.text);
                 },
                 {});
  return found;
}

TEST(TextFile, OfTaggedWordsHasATextASentence) {
  const TemporaryFolder folder;
  const char* const content =
      "-DOCSTART- -X- O\n\nLondon NNP B-LOC\ncalls VBZ O\n\n\nAt\tO\nlast\tO\n-DOCSTART-\nYes UH O";
  test::write_file(folder / "tags.conll", content);
  test::write_file(folder / "tags", content);
  EXPECT_THAT(lines_and_texts(folder / "tags.conll"),
              ElementsAre("3: London calls", "7: At last", "10: Yes"));
  EXPECT_THAT(lines_and_texts(folder / "tags", "conll"),
              ElementsAre("3: London calls", "7: At last", "10: Yes"));
}

TEST(TextFile, OfTaggedWordsMayBeAStream) {
  std::istringstream stream("London NNP B-LOC\ncalls VBZ O\n\nYes UH O\n"), wrong("London\n");
  std::vector<std::string> texts;
  read_text_rows(stream, "standard input", {.format = "conll"},
                 [&](const TextRow& row) { texts.push_back(row.input.text); }, {});
  EXPECT_THAT(texts, ElementsAre("London calls", "Yes"));
  EXPECT_THAT(
      error_text(
          [&] { read_text_rows(wrong, "standard input", {.format = "conll"}, [](const TextRow&) {}, {}); },
          ErrorCode::format),
      HasSubstr("standard input: line 1: expected a word and its tag"));
}

TEST(TextFile, OfTaggedWordsNamesAWrongLine) {
  const TemporaryFolder folder;
  test::write_file(folder / "tags.conll", "London B-LOC\ncalls\n");
  EXPECT_THAT(error_text([&] { lines_and_texts(folder / "tags.conll"); }, ErrorCode::format),
              HasSubstr("tags.conll: line 2: expected a word and its tag, found one column"));
  test::write_file(folder / "tags.conll", "\n\n");
  EXPECT_THAT(error_text([&] { lines_and_texts(folder / "tags.conll"); }, ErrorCode::usage),
              HasSubstr("tags.conll: holds no words"));
}

TEST(TextFile, EndingsAreReadInAnyCase) {
  const TemporaryFolder folder;
  test::write_file(folder / "a.TXT", "one\n");
  test::write_file(folder / "a.Tsv", "text\none\n");
  test::write_file(folder / "a.JSONL", "\"one\"\n");
  test::write_file(folder / "a.CoNLL", "one X\n");
  EXPECT_THAT(lines_and_texts(folder / "a.TXT"), ElementsAre("1: one"));
  EXPECT_THAT(lines_and_texts(folder / "a.Tsv"), ElementsAre("2: one"));
  EXPECT_THAT(lines_and_texts(folder / "a.JSONL"), ElementsAre("1: one"));
  EXPECT_THAT(lines_and_texts(folder / "a.CoNLL"), ElementsAre("1: one"));
  test::write_file(folder / "a.csv", "one\n");
  EXPECT_THAT(error_text([&] { lines_and_texts(folder / "a.csv"); }, ErrorCode::usage),
              HasSubstr("the format \"csv\" is unknown; name a .txt"));
  EXPECT_THAT(lines_and_texts(folder / "a.csv", "TXT"), ElementsAre("1: one"));
}

TEST(TextFile, AFolderIsSaidToBeOne) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_text([&] { lines_and_texts(folder.path()); }, ErrorCode::usage),
              HasSubstr("is a folder; give a file"));
  EXPECT_THAT(error_text([&] { lines_and_texts(folder.path(), "conll"); }, ErrorCode::usage),
              HasSubstr("is a folder; give a file"));
  EXPECT_THAT(error_text([&] { lines_and_texts(folder / "none.txt"); }, ErrorCode::not_found),
              HasSubstr("none.txt: no such file"));
}

TEST(TextFile, APipeIsRead) {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe.jsonl";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe) << "\"one\"\n{\"text\": \"two\"}\n"; });
  EXPECT_THAT(lines_and_texts(pipe), ElementsAre("1: one", "2: two"));
  writer.join();
}

}  // namespace
}  // namespace mlxe::text_file_test
