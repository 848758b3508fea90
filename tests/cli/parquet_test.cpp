// Texts from Parquet files, and vectors in them.
#include <gmock/gmock.h>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"
#include "texts/row_file.h"

namespace mlxe::test::parquet_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string data(const std::string& name) {
  return std::string(MLXE_TEST_DATA) + "/parquet/" + name + ".parquet";
}

class ParquetProgram : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return folder_ / name; }
  static Outcome embed(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"embed", tiny("st_mean_norm"), "--engine", "cpu"});
    return run_program(arguments);
  }
  // The rows of a written file.
  std::vector<json> rows(const std::string& name) const {
    std::vector<json> all;
    read_rows(folder_ / name, "", [&](const Row& row) {
      all.push_back(row.cells);
      return true;
    });
    return all;
  }
  TemporaryFolder folder_;
};

TEST_F(ParquetProgram, TextsHaveTheVectorsOfALinesFile) {
  write_file(folder_ / "t.txt", "one\ntwo\n");
  const Outcome lines = embed({"-i", at("t.txt"), "--json"});
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"-i", data("bytes")}, {"-i", data("other_name"), "--text-column", "body"}}) {
    std::vector<std::string> all = options;
    all.emplace_back("--json");
    const Outcome o = embed(all);
    EXPECT_EQ(o.status, 0) << o.err;
    EXPECT_EQ(o.out, lines.out);
  }
  fs::copy_file(data("bytes"), at("data"));
  EXPECT_EQ(embed({"-i", at("data"), "--input-format", "parquet", "--json"}).out, lines.out);
}

TEST_F(ParquetProgram, TasksReadPairsAndScores) {
  write_file(folder_ / "p.tsv", "sentence1\tsentence2\tscore\na cat\tthe cat\t4.5\na road\ta way\t3\n");
  const auto evaluate = [](const std::string& file) {
    const Outcome o = run_program({"evaluate", tiny("st_mean_norm"), "--task", "similarity", "--data", file,
                                   "--engine", "cpu", "--json"});
    EXPECT_EQ(o.status, 0) << o.err;
    json said = json::parse(o.out);
    return said.flatten();
  };
  json tsv = evaluate(at("p.tsv")), parquet = evaluate(data("pairs"));
  ASSERT_EQ(tsv.size(), parquet.size());
  size_t same = 0;
  for (const auto& [path, value] : tsv.items()) same += parquet.contains(path) && parquet[path] == value;
  EXPECT_GE(same + 3, tsv.size());  // but for the file's name
}

TEST_F(ParquetProgram, VectorsAreThoseOfAJsonLinesFile) {
  write_file(folder_ / "t.txt", "the cat sat on the road\nthe dog\n\nhome\n");
  for (const std::vector<std::string>& options : {std::vector<std::string>{},
                                                  {"--precision", "float16"},
                                                  {"--precision", "int8"},
                                                  {"--precision", "ubinary"},
                                                  {"--chunk", "5"},
                                                  {"--chunk", "5:1", "--precision", "binary"}}) {
    for (const char* file : {"v.jsonl", "v.parquet"}) {
      std::vector<std::string> all{"-i", at("t.txt"), "-o", at(file)};
      all.insert(all.end(), options.begin(), options.end());
      const Outcome o = embed(all);
      ASSERT_EQ(o.status, 0) << o.err;
    }
    std::vector<json> expected = rows("v.jsonl"), found = rows("v.parquet");
    ASSERT_THAT(found, SizeIs(expected.size())) << testing::PrintToString(options);
    for (size_t i = 0; i < found.size(); ++i) {
      for (json* row : {&found[i], &expected[i]})  // a float32 has other digits as a double
        (*row)["embedding"] = row->at("embedding").get<std::vector<float>>();
      EXPECT_EQ(found[i], expected[i]) << testing::PrintToString(options);
    }
  }
}

TEST_F(ParquetProgram, StandInACorpusAndForIt) {
  fs::create_directory(folder_ / "c");
  fs::copy_file(data("bytes"), at("c/a.parquet"));
  write_file(folder_ / "c/b.txt", "one\ntwo\n");
  const Outcome o = embed({"-i", at("c"), "-o", at("v"), "--output-format", "parquet"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, IsEmpty());
  EXPECT_EQ(rows("v/a.parquet.parquet"), rows("v/b.txt.parquet"));
  EXPECT_THAT(rows("v/b.txt.parquet"), SizeIs(2));
}

TEST_F(ParquetProgram, FilesThatAreRefusedLeaveNothing) {
  write_file(folder_ / "cut.parquet", read_file(data("pairs")).substr(0, 500));
  struct Case {
    std::string file;
    int status;
    const char* said;
  };
  for (const Case& c : {Case{at("cut.parquet"), 6, "cut.parquet: is no whole Parquet file"},
                        Case{data("refused_null"), 6, "refused_null.parquet: row 17: \"text\" is null"},
                        Case{data("refused_brotli"), 7, "refused_brotli.parquet: "},
                        Case{data("other_name"), 6, "found body, id; name the texts' column"},
                        Case{data("empty"), 2, "holds no rows"}, Case{data("pairs"), 2, "is a pair"}}) {
    const Outcome o = embed({"-i", c.file, "-o", at("v.parquet")});
    EXPECT_EQ(o.status, c.status) << o.err;
    EXPECT_THAT(o.err, HasSubstr(c.said));
    EXPECT_FALSE(fs::exists(folder_ / "v.parquet"));
  }
}

TEST_F(ParquetProgram, IsNotReadFromAPipe) {
  const Outcome o = embed({"-i", "-", "--input-format", "parquet"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("standard input: Parquet is read from its end; give a file"));
}

}  // namespace
}  // namespace mlxe::test::parquet_test
