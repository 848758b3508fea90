// The command embed-sparse: what it prints, writes and refuses.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "format/safetensors.h"
#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::embed_sparse_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kModel = tiny("splade").string();
const std::vector<std::string> kTexts{"the cat sat on the piano", "", "a road along the river"};

Outcome run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"embed-sparse", kModel, "--engine", "cpu", "--activations", "f32"});
  return run_program(arguments);
}

std::vector<std::string> with_texts(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), kTexts.begin(), kTexts.end());
  return arguments;
}

// The members of a ZIP archive without compression, by name, through its directory. CRCs are checked with a loop over
// bits, another way than the writer's table.
std::map<std::string, std::string> members_of(const std::string& zip) {
  const auto number = [&](size_t at, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
      value = value << 8 | static_cast<uint8_t>(zip.at(at + static_cast<size_t>(i)));
    return value;
  };
  const auto crc = [](const std::string& text) {
    uint32_t c = 0xffffffff;
    for (const char b : text) {
      c ^= static_cast<uint8_t>(b);
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0xEDB88320u : 0);
    }
    return ~c;
  };
  std::map<std::string, std::string> members;
  const size_t end = zip.size() - 22;
  EXPECT_EQ(zip.substr(end, 4), "PK\x05\x06");
  size_t at = number(end + 16, 4);
  EXPECT_EQ(at + number(end + 12, 4), end);
  for (uint64_t i = 0; i < number(end + 10, 2); ++i) {
    EXPECT_EQ(zip.substr(at, 4), "PK\x01\x02");
    const size_t size = number(at + 24, 4), name_size = number(at + 28, 2), local = number(at + 42, 4);
    const std::string name = zip.substr(at + 46, name_size);
    EXPECT_EQ(number(at + 10, 2), 0u) << "stored";
    EXPECT_EQ(zip.substr(local, 4), "PK\x03\x04");
    EXPECT_EQ(zip.substr(local + 30, name_size), name);
    members[name] = zip.substr(local + 30 + name_size + number(local + 28, 2), size);
    EXPECT_EQ(crc(members[name]), number(at + 16, 4)) << name;
    at += 46 + name_size;
  }
  EXPECT_EQ(at, end);
  return members;
}

template <class T>
std::vector<T> values_of(const std::string& npy) {
  const std::string bytes = npy.substr(128);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(EmbedSparseCommand, PrintsTermsByFallingWeight) {
  const std::vector<json> lines = json_lines(run(with_texts({"--json", "--strict", "--top-k", "5"})));
  ASSERT_EQ(lines.size(), kTexts.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["index"], i);
    const auto values = lines[i]["values"].get<std::vector<float>>();
    ASSERT_EQ(values.size(), 5u);
    EXPECT_TRUE(std::ranges::is_sorted(values, std::greater{}));
    for (const char* key : {"indices", "tokens"}) EXPECT_EQ(lines[i][key].size(), 5u);
  }
  EXPECT_NE(lines[0]["values"], lines[2]["values"]);
  const Outcome people = run({kTexts[0]});
  EXPECT_THAT(people.out, HasSubstr(kTexts[0] + "\n  " + lines[0]["tokens"][0].get<std::string>() + " "));
  EXPECT_THAT(people.out, HasSubstr(" terms\n"));
  EXPECT_EQ(json_lines(run({kTexts[0], "--json", "--top-k", "5", "--document"})), std::vector{lines[0]});
  EXPECT_NE(json_lines(run({kTexts[0], "--json", "--top-k", "5", "--query"})), std::vector{lines[0]});
}

// The three forms of a file hold the same.
TEST(EmbedSparseCommand, WritesAMatrixInCompressedRows) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name) {
    const Outcome o = run(with_texts({"-o", folder / name}));
    EXPECT_EQ(o.status, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr("3 vectors with "));
    EXPECT_THAT(o.out, HasSubstr(" terms of a vocabulary of 212\n"));
    return folder / name;
  };
  const SafetensorsFile stored(write("v.safetensors"));
  const auto ints = [](const TensorView& t, auto zero) {
    std::vector<decltype(zero)> values(t.data.size() / sizeof(zero));
    std::memcpy(values.data(), t.data.data(), t.data.size());
    return values;
  };
  const auto offsets = ints(*stored.find("indptr"), int64_t{});
  const auto indices = ints(*stored.find("indices"), int32_t{});
  const std::vector<float> values = to_floats(*stored.find("values"));
  EXPECT_EQ(stored.metadata().at("format"), "csr");
  EXPECT_EQ(stored.metadata().at("columns"), "212");
  ASSERT_EQ(offsets.size(), 4u);
  EXPECT_EQ(static_cast<size_t>(offsets.back()), indices.size());

  auto members = members_of(read_file(write("v.npz")));
  ASSERT_EQ(members.size(), 5u);
  EXPECT_EQ(values_of<int64_t>(members["indptr.npy"]), offsets);
  EXPECT_EQ(values_of<int32_t>(members["indices.npy"]), indices);
  EXPECT_EQ(values_of<float>(members["data.npy"]), values);
  EXPECT_EQ(values_of<int64_t>(members["shape.npy"]), (std::vector<int64_t>{3, 212}));
  EXPECT_EQ(members["format.npy"].substr(128), "csr");
  EXPECT_THAT(members["format.npy"], HasSubstr("'descr': '|S3', 'fortran_order': False, 'shape': ()"));

  const std::vector<json> lines = json_lines(read_file(write("v.jsonl")));
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::map<int32_t, float> row;
    for (size_t k = 0; k < lines[i]["indices"].size(); ++k)
      row[lines[i]["indices"][k]] = lines[i]["values"][k];
    std::vector<int32_t> ids;
    std::vector<float> weights;
    for (const auto& [id, weight] : row) ids.push_back(id), weights.push_back(weight);
    const auto first = static_cast<size_t>(offsets[i]), count = static_cast<size_t>(offsets[i + 1]) - first;
    EXPECT_THAT(std::span(indices).subspan(first, count), testing::ElementsAreArray(ids));
    EXPECT_THAT(std::span(values).subspan(first, count), testing::ElementsAreArray(weights));
  }
  EXPECT_EQ(json_lines(run(with_texts({"-o", folder / "w.npz", "--json"})))[0]["rows"], 3);
}

// By an interpreter with SciPy: MLXE_SCIPY_PYTHON, else python3.
TEST(EmbedSparseCommand, SciPyReadsTheMatrix) {
  const char* given = std::getenv("MLXE_SCIPY_PYTHON");
  const std::string python = given == nullptr ? "python3" : given;
  const auto runs = [&](const std::string& code) {
    return std::system(fmt::format("{} -c '{}' 2>/dev/null", python, code).c_str()) == 0;
  };
  if (!runs("import scipy.sparse")) GTEST_SKIP() << python << " has no SciPy";
  const TemporaryFolder folder;
  EXPECT_EQ(run(with_texts({"-o", folder / "v.npz"})).status, 0);
  const std::vector<json> lines = json_lines(run(with_texts({"--json"})));
  const auto is_sum = [&](double sum) {
    return runs(
        fmt::format("import scipy.sparse as s; m = s.load_npz(\"{}\"); m.check_format(); "
                    "assert m.shape == (3, 212) and m.format == \"csr\" and abs(m[2].sum() - {}) < 1e-4 * {}",
                    (folder / "v.npz").string(), sum, sum));
  };
  double sum = 0;  // of at most 212 float32 values, in another order
  for (const json& value : lines[2]["values"]) sum += value.get<double>();
  EXPECT_TRUE(is_sum(sum));
  EXPECT_FALSE(is_sum(1.01 * sum)) << "the twin";
}

TEST(EmbedSparseCommand, RefusesWhatHasNoSparseVectors) {
  const Outcome plain = run_program({"embed-sparse", tiny("bert_mlm").string(), "the cat"});
  EXPECT_EQ(plain.status, 7);
  EXPECT_THAT(plain.err, HasSubstr("give the pooling: max (SPLADE v2 and later) or sum"));
  EXPECT_EQ(run_program({"embed-sparse", tiny("bert_mlm").string(), "the cat", "--pooling", "max"}).status,
            0);
  EXPECT_EQ(run_program({"embed-sparse", tiny("bert").string(), "the cat", "--pooling", "max"}).status, 7);
  EXPECT_EQ(run({"the cat", "--pooling", "mean"}).status, 2);
  EXPECT_EQ(run({"the cat", "--pooling", "sum", "--strict"}).status, 9) << "the folder says max";
  EXPECT_EQ(run({"the cat", "--query", "--document"}).status, 2);
  EXPECT_EQ(run({"the cat", "-o", "v.npy"}).status, 2);
  EXPECT_EQ(run({"the cat", "--output-format", "npz"}).status, 2);
}

TEST(EmbedSparseCommand, SimilarityIsTheDotProduct) {
  const std::vector<json> lines = json_lines(run({kTexts[0], kTexts[2], "--json"}));
  std::map<int32_t, double> row;
  for (size_t k = 0; k < lines[0]["indices"].size(); ++k) row[lines[0]["indices"][k]] = lines[0]["values"][k];
  double dot = 0;
  for (size_t k = 0; k < lines[1]["indices"].size(); ++k)
    if (row.contains(lines[1]["indices"][k]))
      dot += row[lines[1]["indices"][k]] * lines[1]["values"][k].get<double>();
  const Outcome o = run_program({"similarity", kModel, "--engine", "cpu", "--activations", "f32", "--sparse",
                                 "--json", kTexts[0], kTexts[2]});
  const json found = json_lines(o)[0];
  EXPECT_NEAR(found["dot"][0][1].get<double>(), dot, 1e-6 * dot);
  EXPECT_EQ(found["dot"][0][1], found["dot"][1][0]);
  EXPECT_EQ(run_program({"similarity", kModel, "a", "b", "--pooling", "max"}).status, 2);
}

}  // namespace
}  // namespace mlxe::test::embed_sparse_test
