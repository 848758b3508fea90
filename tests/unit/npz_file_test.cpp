// Files of numpy.savez and mlx.core.savez (tools/make_npz_goldens.py), damaged ones, and models in them.
#include "format/npz_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "damage.h"
#include "format/safetensors.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::npz_file_test {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "npz";

TensorContent parse(const std::string& file) {
  return parse_npz(std::as_bytes(std::span(file)), "m.npz");
}

std::string refused(const std::string& file, ErrorCode code) {
  return error_text([&] { parse(file); }, code);
}

void expect_equal(const TensorView& tensor, const TensorView& expected) {
  EXPECT_EQ(tensor.name, expected.name);
  EXPECT_EQ(tensor.dtype, expected.dtype) << tensor.name;
  EXPECT_EQ(tensor.shape, expected.shape) << tensor.name;
  EXPECT_TRUE(std::ranges::equal(tensor.data, expected.data)) << tensor.name;
}

TEST(NpzFile, OfNumpyHasItsArraysInTheOrderOfSafetensors) {
  const SafetensorsFile expected(kGolden / "expected.safetensors");
  for (const char* name : {"numpy.npz", "numpy2.npz", "numpy3.npz"}) {
    const TensorFile file(kGolden / name, parse_npz);
    ASSERT_EQ(file.tensors().size(), expected.tensors().size()) << name;
    std::vector<std::string> copied;
    for (size_t i = 0; i < expected.tensors().size(); ++i) {
      expect_equal(file.tensors()[i], expected.tensors()[i]);
      if (!file.tensors()[i].mapped) copied.push_back(file.tensors()[i].name);
    }
    // Those in Fortran order alone.
    EXPECT_THAT(copied, ElementsAre("transposed", "permuted")) << name;
  }
}

TEST(NpzFile, OfMlxHasItsArraysAndBfloat16) {
  const TensorFile file(kGolden / "mlx.npz", parse_npz);
  const SafetensorsFile expected(kGolden / "mlx.safetensors");
  ASSERT_EQ(file.tensors().size(), expected.tensors().size());
  for (const TensorView& tensor : expected.tensors()) {
    ASSERT_NE(file.find(tensor.name), nullptr) << tensor.name;
    expect_equal(*file.find(tensor.name), tensor);
  }
}

TEST(NpzFile, WhatIsNotReadIsNamed) {
  for (const auto& [file, message] :
       {std::pair("compressed", "is compressed or encrypted, expected stored bytes as numpy.savez"),
        std::pair("big_endian", "m.npz: \"a.npy\": its values (\">f4\") lie big end first"),
        std::pair("complex", "dtype \"<c8\", which this version can't read"),
        std::pair("records", "holds records of several fields"), std::pair("text", "dtype \"<U3\""),
        std::pair("objects", "dtype \"|O\"")})
    EXPECT_THAT(refused(test::read_file(kGolden / ("refused_"s + file + ".npz")), ErrorCode::unsupported),
                AllOf(HasSubstr("m.npz: "), HasSubstr(message)));
  for (const auto& [file, message] : {std::pair(""s, "the zip archive is damaged"),
                                      std::pair("version https://git-lfs.github.com/spec/v1\n"s, "Git LFS")})
    EXPECT_THAT(refused(file, ErrorCode::format), HasSubstr(message));
  EXPECT_THAT(refused(test::read_file(fs::path(MLXE_TEST_DATA) / "torch/zip2.bin"), ErrorCode::format),
              HasSubstr("an entry that is no array, expected NAME.npy"));
}

// ---- hand-made headers

// numpy.npz with the header of its scalar in other words of the same length.
std::string with_header(std::string header) {
  std::string file = test::read_file(kGolden / "numpy.npz");
  const std::string scalar = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }";
  const size_t at = file.find(scalar), end = file.find('\n', at);
  header.resize(end - at, ' ');
  return file.replace(at, header.size(), header);
}

TEST(NpzFile, HeadersAreReadHoweverPythonWritesThem) {
  for (const char* header : {"{'shape': (), 'fortran_order': False, 'descr': '<f4'}",
                             "{\"descr\":\"<f4\",'fortran_order':True,'shape':()}",
                             "{ 'descr' : '|f4' ,\t'fortran_order' : False , 'shape' : ( 1 , ) }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}"})
    EXPECT_EQ(parse(with_header(header)).tensors.size(), 18u) << header;
}

TEST(NpzFile, MalformedHeadersAreRefused) {
  for (const char* header :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': ()",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False}",
        "{'fortran_order': False, 'shape': (), 'descr': '<f4",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape':(99999999999999999999)}"})
    EXPECT_THAT(refused(with_header(header), ErrorCode::format),
                AllOf(HasSubstr("\"scalar.npy\""), HasSubstr("the header is malformed")))
        << header;
  for (const char* header : {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                             "{'descr':'<f4','fortran_order':False,'shape':(0,)}",
                             "{'descr':'<f4','fortran_order':True,'shape':(4611686018427387904,1)}"})
    EXPECT_THAT(refused(with_header(header), ErrorCode::format),
                HasSubstr("in 4 bytes; is the download complete?"))
        << header;
}

// ---- damage

TEST(NpzFile, RefusesEveryTruncation) {
  for (const char* name : {"numpy.npz", "mlx.npz"}) {
    SCOPED_TRACE(name);
    test::expect_truncations_refused(parse, test::read_file(kGolden / name));
  }
}

TEST(NpzFile, AThousandDamagedFilesGiveTensorsOrASentence) {
  std::mt19937 random(7);
  for (const char* name : {"numpy.npz", "numpy2.npz", "numpy3.npz", "mlx.npz", "refused_records.npz"}) {
    const std::string whole = test::read_file(kGolden / name);
    for (int i = 0; i < 200; ++i) {
      test::expect_tensors_or_a_sentence(parse, test::damaged(whole, random, whole.size()));
    }
  }
}

// ---- models

class NpzWeights : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;
  fs::path model_ = folder_ / "model";

  void use(const char* golden, const fs::path& name = "weights.npz") {
    fs::copy(tiny("bert"), model_, fs::copy_options::recursive);
    fs::remove(model_ / "model.safetensors");
    fs::copy_file(kGolden / golden, model_ / name);
  }
  std::vector<float> vectors(const fs::path& folder) {
    const Encoder encoder = Encoder::load(folder, {.engine = EngineKind::cpu, .warning = heard_.warning()});
    const Vectors result =
        encoder.embed(std::vector<std::string>{"The cat sat on the warm piano.", "A question"});
    return {result.values.begin(), result.values.end()};
  }
};

TEST_F(NpzWeights, OfTheExampleForBertGiveTheSameVectors) {
  use("bert_example.npz");
  EXPECT_EQ(vectors(model_), vectors(tiny("bert")));
  // The twin: one changed bit of an exponent shows.
  std::string file = test::read_file(model_ / "weights.npz");
  const size_t member = file.find("embeddings.norm.weight.npy"), data = file.find('\n', member);
  ASSERT_NE(data, file.npos);
  file[data + 4] = static_cast<char>(file[data + 4] ^ 1);
  fs::remove(model_ / "weights.npz");
  test::write_file(model_ / "weights.npz", file);
  EXPECT_NE(vectors(model_), vectors(tiny("bert")));
}

TEST_F(NpzWeights, ConvertToTheSameBytesAndAreNotCarried) {
  use("bert_example.npz");
  const Scheme scheme{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};
  convert({.model = model_, .output = folder_ / "npz", .scheme = scheme});
  convert({.model = tiny("bert"), .output = folder_ / "safetensors", .scheme = scheme});
  EXPECT_EQ(test::read_file(folder_ / "npz/model.safetensors"),
            test::read_file(folder_ / "safetensors/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "npz/weights.npz"));
}

TEST_F(NpzWeights, QuantizedByMlxGiveTheVectorsOfTheSameSafetensors) {
  use("bert_8bit.npz");
  test::change_config(model_, [](nlohmann::json& config) {
    config["quantization"] = {{"group_size", 32}, {"bits", 8}};
  });
  fs::copy(model_, folder_ / "other", fs::copy_options::recursive);
  fs::remove(folder_ / "other/weights.npz");
  fs::copy_file(kGolden / "bert_8bit.safetensors", folder_ / "other/model.safetensors");
  EXPECT_EQ(vectors(model_), vectors(folder_ / "other"));
}

TEST_F(NpzWeights, UnderOtherNamesAreUsedAndSaid) {
  use("bert_example.npz", "weights.00.npz");
  EXPECT_EQ(vectors(model_), vectors(tiny("bert")));
  EXPECT_THAT(heard_.sentences,
              ::testing::Contains(HasSubstr("no weights.npz.index.json; used \"weights.00.npz\"")));
}

}  // namespace
}  // namespace mlxe::npz_file_test
