// embed --chunk: its forms of output, and its errors.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstring>

#include "format/safetensors.h"
#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::chunks_cli_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kLong =
    "The cat sat on the warm piano. The road along the river, then ask again! The end.";

class ChunkCommand : public testing::Test {
 protected:
  Outcome embed(std::vector<std::string> arguments, const char* model = "st_dense") const {
    arguments.insert(arguments.begin(), {"embed", tiny(model), "--engine", "cpu"});
    return run_program(arguments);
  }
  std::string at(const char* name) const { return folder_ / name; }
  TemporaryFolder folder_;
};

TEST_F(ChunkCommand, EveryFormHasTheSameChunks) {
  const std::vector<std::string> base{"home", kLong, "--chunk", "12:4"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return embed(more);
  };
  const Outcome printed = with({"--json"});
  ASSERT_EQ(printed.status, 0) << printed.err;
  const std::vector<json> rows = json_lines(printed.out);
  ASSERT_GE(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("text"), 0);
  EXPECT_EQ(rows[0].at("end"), 4);
  for (size_t i = 1; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("index"), i);
    EXPECT_EQ(rows[i].at("text"), 1);
    EXPECT_EQ(rows[i].at("chunk"), i - 1);
    EXPECT_LE(rows[i].at("tokens"), 12);
  }
  EXPECT_EQ(rows.back().at("end"), std::strlen(kLong));

  const Outcome text = with({});
  EXPECT_THAT(
      text.out,
      AllOf(HasSubstr("text 1, chunk 1: code points 0 to 4, 3 tokens\n  ["),
            HasSubstr(fmt::format("text 2, chunk 1: code points 0 to {}, ", rows[1].at("end").get<int>()))));

  ASSERT_EQ(with({"-o", at("v.jsonl")}).status, 0);
  EXPECT_EQ(read_file(folder_ / "v.jsonl"), printed.out);

  ASSERT_EQ(with({"-o", at("v.safetensors")}).status, 0);
  const SafetensorsFile file(folder_ / "v.safetensors");
  ASSERT_EQ(file.find("embeddings")->shape, (Shape{static_cast<int64_t>(rows.size()), 24}));
  const std::vector<float> values = to_floats(*file.find("embeddings"));
  for (const char* name : {"text", "begin", "end"}) {
    const TensorView* view = file.find(name);
    ASSERT_NE(view, nullptr) << name;
    EXPECT_EQ(view->dtype, Dtype::i64);
    std::vector<int64_t> column(view->data.size() / sizeof(int64_t));
    std::memcpy(column.data(), view->data.data(), view->data.size());
    ASSERT_EQ(column.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at(name), column[i]) << name << i;
  }
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows[i].at("embedding").get<std::vector<float>>(),
              std::vector<float>(values.begin() + 24 * i, values.begin() + 24 * (i + 1)));
}

TEST_F(ChunkCommand, PrecisionsAndRangesWork) {
  const std::vector<std::string> base{kLong, "home", "--chunk", "12", "--json", "--precision"};
  const auto with = [&](const char* precision) {
    std::vector<std::string> all = base;
    all.emplace_back(precision);
    return embed(all);
  };
  const Outcome plain = with("float32"), codes = with("int8");
  ASSERT_EQ(codes.status, 0) << codes.err;
  EXPECT_THAT(codes.err, HasSubstr("the ranges come from"));
  const std::vector<json> a = json_lines(plain.out), b = json_lines(codes.out);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    for (const char* key : {"index", "text", "chunk", "begin", "end", "tokens"})
      EXPECT_EQ(a[i].at(key), b[i].at(key));
  const Outcome odd =
      embed({kLong, "--chunk", "12", "--precision", "ubinary", "--dim", "3", "-o", at("v.safetensors")});
  ASSERT_EQ(odd.status, 0) << odd.err;
  EXPECT_EQ(SafetensorsFile(folder_ / "v.safetensors").find("end")->shape.size(), 1u);
}

TEST_F(ChunkCommand, TextsOfAStreamKeepTheirNumbers) {
  std::string input;
  for (int i = 0; i < 5000; ++i) input += "home\n";
  write_file(folder_ / "t.txt", input + kLong + "\n");
  const Outcome o = embed({"--input", at("t.txt"), "--chunk", "12", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const std::vector<json> rows = json_lines(o.out);
  EXPECT_EQ(rows.back().at("text"), 5000);
  EXPECT_EQ(rows.back().at("index"), rows.size() - 1);
}

TEST_F(ChunkCommand, LateChunkingWarnsOfLongTexts) {
  const Outcome o = embed({kLong, "--chunk", "12", "--late-chunking", "--json", "--max-length", "14"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("longer than 14 tokens"));
  EXPECT_EQ(embed({kLong, "--chunk", "12", "--late-chunking", "--max-length", "14", "--strict"}).status, 9);
  EXPECT_EQ(embed({"home", "--chunk", "12", "--late-chunking", "--strict"}).status, 0);
  EXPECT_EQ(embed({kLong, "--chunk", "12", "--strict"}).status, 0);
  EXPECT_EQ(embed({"home", "--chunk", "12", "--late-chunking"}, "st_cls").status, 7);
}

TEST_F(ChunkCommand, BadOptionsAreOneSentence) {
  for (const auto& [options, expected] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--chunk", "x"}, "--chunk: found \"x\", expected tokens, as 256"},
           {{"--chunk", "0"}, "--chunk: found \"0\""},
           {{"--chunk", "12:"}, "--chunk: found \"12:\""},
           {{"--chunk", "12:-1"}, "--chunk: found \"12:-1\""},
           {{"--chunk", "99999999999999999999"}, "--chunk: found"},
           {{"--chunk", "512"}, "the model reads at most 24 tokens of a text; give 24 or less"},
           {{"--chunk", "12:10"}, "an overlap of 10 tokens: a chunk has 10 beside"},
           {{"--late-chunking"}, "--late-chunking needs --chunk"},
           {{"--chunk", "12", "-o", at("v.npy")}, ".npy has no place for the texts and ranges"}}) {
    std::vector<std::string> arguments{"home"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome o = embed(arguments);
    EXPECT_EQ(o.status, 2) << testing::PrintToString(options) << o.err;
    EXPECT_THAT(o.err, HasSubstr(expected));
    EXPECT_THAT(o.out, IsEmpty());
  }
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

}  // namespace
}  // namespace mlxe::test::chunks_cli_test
