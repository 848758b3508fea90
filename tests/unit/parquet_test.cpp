// Rows of Parquet files as pyarrow, pandas, polars and DuckDB write them, against what pyarrow reads.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "mlx_encoder/error.h"
#include "mlx_encoder/task_data.h"
#include "model_folders.h"
#include "texts/text_file.h"

namespace mlxe::parquet_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using Json = nlohmann::ordered_json;

const fs::path kData = fs::path(MLXE_TEST_DATA) / "parquet";

Json rows_of(const fs::path& file, const ChooseColumns& choose = {}) {
  Json rows = Json::array();
  uint64_t past = 0;
  const auto take = [&](const Row& row) {
    rows.push_back(row.cells);
    EXPECT_EQ(row.line, rows.size());
    EXPECT_STREQ(row.unit, "row");
    EXPECT_GT(row.past, past);
    past = row.past;
    return true;
  };
  read_rows(file, "", take, IfEmpty::accept, choose);
  EXPECT_EQ(past, rows.empty() ? 0 : fs::file_size(file)) << file;
  return rows;
}

std::vector<std::string> texts_of(const fs::path& file, const TextFileOptions& options = {}) {
  std::vector<std::string> texts;
  read_text_rows(file, options, [&](const TextRow& row) { texts.push_back(row.input.text); }, {});
  return texts;
}

TEST(Parquet, RowsAreThoseOfPyarrow) {
  const Json expected = Json::parse(std::ifstream(kData / "expected.json"));
  EXPECT_EQ(expected.size(), 19u);
  for (const auto& [file, rows] : expected.items()) EXPECT_EQ(rows_of(kData / file), rows) << file;
}

TEST(Parquet, OnlyTheColumnsThatAreChosenAreRead) {
  const auto choose = [](const std::vector<std::string>& columns) {
    EXPECT_THAT(columns, ElementsAre("text", "image"));
    return std::vector<std::string>{"text"};
  };
  EXPECT_EQ(rows_of(kData / "bytes.parquet", choose), Json::parse(R"([{"text": "one"}, {"text": "two"}])"));
  EXPECT_EQ(rows_of(kData / "bytes.parquet"), Json::parse("[{}, {}]"));  // not said to be texts
  EXPECT_THAT(texts_of(kData / "bytes.parquet"), ElementsAre("one", "two"));
}

TEST(Parquet, AFlippedByteOfAPageWithAChecksumIsNoticed) {
  EXPECT_THAT(texts_of(kData / "checksum.parquet"), ElementsAre("the cat"));
  const TemporaryFolder folder;
  std::string bytes = test::read_file(kData / "checksum.parquet");
  const size_t at = bytes.find("the cat");
  ASSERT_NE(at, bytes.npos);
  bytes[at + 4] = 'b';
  test::write_file(folder / "flipped.parquet", bytes);
  error_text([&] { texts_of(folder / "flipped.parquet"); }, ErrorCode::format);
}

TEST(Parquet, TextsHaveTheirPairsAndCells) {
  std::vector<TextRow> rows;
  read_text_rows(kData / "pairs.parquet", {.columns = {"score", "label"}},
                 [&](TextRow row) { rows.push_back(row); }, {});
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].input.text, "a cat");
  EXPECT_EQ(rows[0].input.pair, "the cat");
  EXPECT_THAT(rows[0].cells, ElementsAre("4.5", std::nullopt));
  EXPECT_EQ(rows[1].line, 2u);
  EXPECT_THAT(texts_of(kData / "other_name.parquet", {.text_column = "body"}), ElementsAre("one", "two"));
}

TEST(Parquet, TasksReadTheirData) {
  const TaskData pairs = read_task_data(Task::similarity, kData / "pairs.parquet");
  EXPECT_THAT(pairs.scores, ElementsAre(4.5, 3));
  EXPECT_EQ(pairs.unit, "row");
  const TaskData words = read_task_data(Task::ner, kData / "ner.parquet");
  EXPECT_THAT(words.labels, ElementsAre("B-LOC", "O", "O", "O"));
  EXPECT_THAT(words.sentences, ElementsAre(0, 2));
  const TaskData ranked = read_task_data(Task::rerank, kData / "rerank.parquet");
  EXPECT_THAT(ranked.queries[1].documents, SizeIs(3));
  EXPECT_THAT(
      error_text([] { read_task_data(Task::similarity, kData / "other_name.parquet"); }, ErrorCode::usage),
      HasSubstr("row 1: no column for the text (looked for text, sentence1, text1; found body, id)"));
}

TEST(Parquet, FilesThatAreRefusedSayWhy) {
  struct Case {
    const char* file;
    ErrorCode code;
    const char* said;
  };
  const char* const said_no_column = "has no column of texts or numbers that is called text, sentence, ";
  for (const Case& c :
       {Case{"refused_null", ErrorCode::format, "row 17: \"text\" is null"},
        Case{"refused_numbers", ErrorCode::format, "row 1: \"text\" is not a string"},
        Case{"refused_bytes", ErrorCode::format, "row 2: \"text\": byte 2 is not UTF-8"},
        Case{"refused_utf8", ErrorCode::format, "row 2: a text is not UTF-8"},
        Case{"refused_structure", ErrorCode::format, said_no_column},
        Case{"other_name", ErrorCode::format, "found body, id; name the texts' column"},
        Case{"refused_encrypted_footer", ErrorCode::format, "is an encrypted Parquet file"},
        Case{"refused_encrypted_column", ErrorCode::format, "is an encrypted Parquet file"},
        Case{"refused_brotli", ErrorCode::unsupported, "is compressed with brotli, expected zstd"},
        Case{"empty", ErrorCode::usage, "holds no rows"}}) {
    const fs::path file = kData / (std::string(c.file) + ".parquet");
    EXPECT_THAT(error_text([&] { texts_of(file); }, c.code), AllOf(HasSubstr(c.file), HasSubstr(c.said)));
  }
  EXPECT_THAT(texts_of(kData / "empty.parquet", {.if_empty = IfEmpty::accept}), SizeIs(0));
}

TEST(Parquet, IsAFile) {
  std::istringstream stream(test::read_file(kData / "pairs.parquet"));
  EXPECT_THAT(error_text([&] { read_text_rows(stream, "standard input", {.format = "parquet"}, {}, {}); },
                         ErrorCode::usage),
              HasSubstr("standard input: Parquet is read from its end; give a file"));
}

// A file that is cut off, or in which a byte is another, is read or refused with one sentence.
TEST(Parquet, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  const fs::path file = folder / "d.parquet";
  size_t refused = 0, read = 0;
  const auto attempt = [&](const std::string& bytes) {
    fs::remove(file);  // writing over a file may wait for the disk
    test::write_file(file, bytes);
    try {
      rows_of(file, [](const std::vector<std::string>& columns) { return columns; });
      ++read;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("d.parquet: "), Not(HasSubstr("\n"))));
      EXPECT_THAT(error.code(), testing::AnyOf(ErrorCode::format, ErrorCode::unsupported)) << error.what();
      ++refused;
    }
  };
  for (const char* name : {"pairs", "refused_null", "ner", "duckdb_zstd"}) {
    const std::string whole = test::read_file(kData / (std::string(name) + ".parquet"));
    for (size_t size = 0; size < whole.size(); size += 7) attempt(whole.substr(0, size));
    EXPECT_EQ(read, 0u);
    for (size_t at = 0; at < whole.size(); ++at)
      for (const int mask : {0x01, 0xff}) {
        std::string other = whole;
        other[at] = static_cast<char>(other[at] ^ mask);
        attempt(other);
      }
    EXPECT_GT(refused, whole.size() / 2);
    EXPECT_GT(read, 0u);
    refused = read = 0;
  }
}

// A whole file around a footer in Thrift's compact protocol: version 1, `schema`, no rows, `groups`.
std::string file_of(const std::string& schema, const std::string& groups) {
  const std::string footer =
      "\x15\x02\x19" + schema + std::string("\x16\x00\x19", 3) + groups + std::string(1, '\0');
  std::string file = "PAR1" + footer;
  for (int i = 0; i < 4; ++i) file += static_cast<char>(footer.size() >> (8 * i));
  return file + "PAR1";
}

// A column "m" with `children`, a number in zigzag.
std::string column(const std::string& children) {
  return "\x48\x01m\x15" + children + std::string(1, '\0');
}

TEST(Parquet, AFooterThatClaimsMoreThanItHoldsIsRefused) {
  const TemporaryFolder folder;
  const std::string none(1, '\0'), many = "\x80\x80\x80\x80\x08", no_groups = "\x0c";
  std::string deep = "\xfc\xa0\x8d\x06";  // 100000 columns
  for (int i = 0; i < 100000; ++i) deep += column("\x02");
  for (const std::string& file : {file_of("\x1c" + column(none), "\xfc" + many),
                                  file_of("\x1c" + column(many), no_groups), file_of(deep, no_groups)}) {
    test::write_file(folder / "f.parquet", file);
    EXPECT_THAT(error_text([&] { rows_of(folder / "f.parquet"); }, ErrorCode::format),
                HasSubstr("is a damaged Parquet file (its footer makes no sense)"));
  }
  test::write_file(folder / "f.parquet", file_of("\x1c" + column(none), no_groups));
  EXPECT_EQ(rows_of(folder / "f.parquet"), Json::array());
}

}  // namespace
}  // namespace mlxe::parquet_test
