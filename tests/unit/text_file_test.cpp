// Texts out of files of tagged words; the other formats are tested through the commands that read them.
#include <gmock/gmock.h>

#include <sstream>

#include "evaluate/text_file.h"
#include "mlx_encoder/error.h"
#include "model_folders.h"

namespace mlxe::text_file_test {
namespace {

using test::error_text;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> lines_and_texts(const std::filesystem::path& file, const std::string& format = "") {
  std::vector<std::string> found;
  read_text_rows(file, format, {}, [&](const TextRow& row) {
    EXPECT_FALSE(row.input.pair.has_value());
    found.push_back(std::to_string(row.line) + ": " + row.input.text);
  });
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
  read_text_rows(stream, "conll", "standard input", {},
                 [&](const TextRow& row) { texts.push_back(row.input.text); });
  EXPECT_THAT(texts, ElementsAre("London calls", "Yes"));
  EXPECT_THAT(error_text([&] { read_text_rows(wrong, "conll", "standard input", {}, [](const TextRow&) {}); },
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

}  // namespace
}  // namespace mlxe::text_file_test
