// Exports of torch.onnx and what onnxruntime makes of them (tools/make_onnx_goldens.py), hand-made graphs and damaged files.
#include "format/onnx_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/sha256.h"
#include "damage.h"
#include "format/json_file.h"
#include "format/onnx_names.h"
#include "format/safetensors.h"
#include "model_folders.h"
#include "onnx_bytes.h"

namespace mlxe::onnx_file_test {
namespace {

namespace fs = std::filesystem;
namespace onnx = test::onnx;
using namespace std::string_literals;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "onnx";

TensorContent parse(const std::string& file, const std::string& where = "m.onnx") {
  return parse_onnx(std::as_bytes(std::span(file)), where);
}
std::string refused(const std::string& file, ErrorCode code) {
  return error_text([&] { parse(file); }, code);
}

// Views point into the bytes, so both are kept.
struct Parsed {
  explicit Parsed(std::string bytes) : file(std::move(bytes)), content(parse(file)) {}
  const TensorView* find(std::string_view name) const {
    const auto found = std::ranges::find(content.tensors, name, &TensorView::name);
    return found == content.tensors.end() ? nullptr : &*found;
  }
  std::vector<float> values(std::string_view name) const {
    const TensorView* view = find(name);
    return view ? to_floats(*view) : std::vector<float>();
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const TensorView& view : content.tensors) result.push_back(view.name);
    return result;
  }
  std::string file;
  TensorContent content;
};

// ---- exports

class OnnxExport : public ::testing::TestWithParam<const char*> {};

TEST_P(OnnxExport, HasTheWeightsOfTheCheckpoint) {
  const TensorFile file(kGolden / (GetParam() + ".onnx"s), parse_onnx);
  const SafetensorsFile expected(tiny(GetParam()) / "model.safetensors");
  EXPECT_EQ(file.tensors().size(), expected.tensors().size());
  for (const TensorView& wanted : expected.tensors()) {
    const TensorView* found = file.find(wanted.name);
    ASSERT_NE(found, nullptr) << wanted.name;
    EXPECT_EQ(found->shape, wanted.shape) << wanted.name;
    EXPECT_TRUE(std::ranges::equal(found->data, wanted.data)) << wanted.name;
  }
  EXPECT_TRUE(file.warnings().empty());
}

INSTANTIATE_TEST_SUITE_P(All, OnnxExport, ::testing::Values("bert", "mpnet", "modernbert"));

class QuantizedOnnx : public ::testing::TestWithParam<const char*> {};

TEST_P(QuantizedOnnx, HasTheValuesOfItsCodes) {
  const nlohmann::json expected = read_json(kGolden / "dequantized.json").at(GetParam());
  const TensorFile file(kGolden / (GetParam() + ".onnx"s), parse_onnx);
  EXPECT_EQ(file.tensors().size(), expected.size());
  for (const auto& [name, digest] : expected.items()) {
    const TensorView* found = file.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->dtype, Dtype::f32) << name;
    EXPECT_EQ(sha256_hex(found->data), digest.get<std::string>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedOnnx,
                         ::testing::Values("bert_channels", "bert_qdq", "bert_q4", "bert_q4_symmetric",
                                           "bert_q8"));

TEST(OnnxFile, HalfFloatsStayHalfFloats) {
  const TensorFile half(kGolden / "bert_half.onnx", parse_onnx);
  const SafetensorsFile whole(tiny("bert") / "model.safetensors");
  ASSERT_EQ(half.tensors().size(), whole.tensors().size());
  for (const TensorView& view : half.tensors()) {
    EXPECT_EQ(view.dtype, Dtype::f16) << view.name;
    const std::vector<float> values = to_floats(view), expected = to_floats(*whole.find(view.name));
    // A half float has 11 bits: half a unit in the last place is 2^-12 of the value, and 2^-25 near zero.
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], expected[i], std::abs(expected[i]) * 0x1p-11 + 0x1p-24) << view.name;
  }
}

TEST(OnnxFile, MatricesThatWereTransposedLieInAFileOfTheirOwn) {
  const test::TemporaryFolder folder;
  fs::copy_file(kGolden / "bert.onnx", folder / "model.onnx");
  const auto data = [&](const TensorFile& file) {
    const TensorView* view = file.find("encoder.layer.0.output.dense.weight");
    EXPECT_TRUE(view->mapped);  // its pages can be given back
    return view->data;
  };
  const TensorFile one(folder / "model.onnx", parse_onnx), two(folder / "model.onnx", parse_onnx);
  EXPECT_TRUE(std::ranges::equal(data(one), data(two)));
  one.release(data(one));
  EXPECT_TRUE(std::ranges::equal(data(one), data(two)));
  // Another file of the name has its own.
  fs::copy_file(kGolden / "bert_q8.onnx", folder / "other");
  fs::rename(folder / "other", folder / "model.onnx");
  const TensorFile three(folder / "model.onnx", parse_onnx);
  EXPECT_FALSE(std::ranges::equal(data(one), data(three)));
}

// ---- external data

TEST(OnnxFile, ExternalDataIsReadBesideTheFileAndWhatItLinksTo) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "cache");
  // As in the hub's cache: the file links to one whose neighbours have other names.
  fs::create_symlink(kGolden / "bert_external.onnx", folder / "cache" / "link");
  fs::create_symlink("cache/link", folder / "model.onnx");
  const TensorFile whole(kGolden / "bert.onnx", parse_onnx);
  for (const fs::path& path : {kGolden / "bert_external.onnx", folder / "model.onnx"}) {
    const TensorFile file(path, parse_onnx);
    ASSERT_EQ(file.beside().size(), 2u);  // and that of the copies
    EXPECT_EQ(file.beside()[0].path.filename(), "bert_external.onnx_data");
    ASSERT_EQ(file.tensors().size(), whole.tensors().size());
    for (const TensorView& view : file.tensors()) {
      EXPECT_TRUE(std::ranges::equal(view.data, whole.find(view.name)->data)) << view.name;
      file.release(view.data);
      EXPECT_TRUE(std::ranges::equal(view.data, whole.find(view.name)->data)) << view.name;
    }
  }
}

TEST(OnnxFile, ExternalDataOutsideTheFolderIsRefused) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "m");
  test::write_file(folder / "secret", "12345678");
  test::write_file(folder / "m/data", "12345678");
  const auto read = [&](const std::string& location, const std::string& offset, const std::string& length) {
    const std::string file = onnx::model(
        {},
        {onnx::external("a.weight", {2}, {{"location", location}, {"offset", offset}, {"length", length}})});
    parse(file, (folder / "m/model.onnx").string());
  };
  EXPECT_NO_THROW(read("data", "0", "8"));
  EXPECT_NO_THROW(read("./data", "", ""));
  for (const std::string& location :
       {"../secret"s, "x/../../secret"s, (folder / "secret").string(), ""s, "da\0ta"s})
    EXPECT_THAT(error_text([&] { read(location, "0", "8"); }, ErrorCode::format),
                HasSubstr("expected a name inside the model's folder"));
  EXPECT_THAT(error_text([&] { read("nothing", "0", "8"); }, ErrorCode::not_found),
              AllOf(HasSubstr("the file \"nothing\" beside it"), HasSubstr("is missing")));
  for (const auto& [offset, length] : {std::pair("4", "8"), std::pair("0", "4"),
                                       std::pair("18446744073709551615", "8"), std::pair("9", "8")})
    EXPECT_THAT(error_text([&] { read("data", offset, length); }, ErrorCode::format),
                HasSubstr("is said to be"));
  EXPECT_THAT(error_text([&] { read("data", "-1", "8"); }, ErrorCode::format),
              HasSubstr("expected a number"));
}

// ---- names

TEST(OnnxNames, AreTheParametersThatTensorsWereMadeFrom) {
  EXPECT_EQ(parameter_of("pooler.dense.weight"), "pooler.dense.weight");
  EXPECT_EQ(parameter_of("pooler.dense.weight_Transposed_quantized"), "pooler.dense.weight");
  EXPECT_EQ(parameter_of("a.bias_DequantizeLinear_Output"), "a.bias");
  EXPECT_EQ(parameter_of("embeddings.weight.0.scale"), "embeddings.weight.0.scale");
  for (const char* own :
       {"onnx::MatMul_256", "/encoder/Constant_output_0", "val_47", "/a/b.weight", "", ".weight"})
    EXPECT_EQ(parameter_of(own), "") << own;
  EXPECT_EQ(parameter_of("encoder.weight_norm.bias"), "encoder.weight_norm.bias");
  EXPECT_TRUE(is_later_call("a.ffn_1.weight", "a.ffn.weight"));
  EXPECT_TRUE(is_later_call("a_2.ffn.weight", "a.ffn.weight"));
  for (const char* other :
       {"a.ffn_x.weight", "a.ffn_.weight", "a.ffn1.weight", "a.weight", "a.ffn_1.weight.b"})
    EXPECT_FALSE(is_later_call(other, "a.ffn.weight")) << other;
  EXPECT_EQ(module_around({.op = "", .name = "/encoder/layer.0/query/MatMul"}), "encoder.layer.0.query");
  EXPECT_EQ(module_around({.op = "", .name = "n", .scopes = {"", "layers.0", "layers.0.Wi", "linear"}}),
            "layers.0.Wi");
  for (const char* name : {"/MatMul", "MatMul_12", "", "/a b/MatMul", "/"})
    EXPECT_EQ(module_around({.op = "", .name = name}), "") << name;
}

TEST(OnnxNames, OfModulesBeginAsThoseOfParameters) {
  ModulePaths paths;
  EXPECT_EQ(paths.module("0.encoder.query"), "0.encoder.query");
  paths.add("a.x", "b.y");  // no part in common
  paths.add("0.encoder.norm", "0.auto_model.encoder.norm");
  EXPECT_EQ(paths.module("0.encoder.query"), "0.auto_model.encoder.query");
  EXPECT_EQ(paths.module("0"), "0");
  EXPECT_EQ(paths.module("1.linear"), "1.linear");
  for (int i = 0; i < 2; ++i) paths.add("encoder.norm", "bert.encoder.norm");
  EXPECT_EQ(paths.module("encoder.query"), "bert.encoder.query");
  for (int i = 0; i < 3; ++i) paths.add("m.encoder.norm", "encoder.norm");
  EXPECT_EQ(paths.module("m.encoder.query"), "encoder.query");
  for (int i = 0; i < 4; ++i) paths.add("encoder.norm", "encoder.norm");
  EXPECT_EQ(paths.module("m.encoder.query"), "m.encoder.query");
}

// ---- hand-made graphs

const std::vector<float> kSix{0, 1, 2, 3, 4, 5};            // [2, 3]
const std::vector<float> kSixTransposed{0, 3, 1, 4, 2, 5};  // [3, 2]

TEST(OnnxFile, AMatrixIsNamedAfterItsBiasElseItsModule) {
  const Parsed parsed(onnx::model(
      {
          onnx::node("MatMul", "MatMul_1", {"x", "onnx::MatMul_9"}, "y"),
          onnx::node("Add", "Add_2", {"a.query.bias", "y"}, "z"),
          onnx::node("MatMul", "/a/key/MatMul", {"x", "onnx::MatMul_10"}, "k"),
          // Of a second call, which the exporter counts.
          onnx::node("MatMul", "/a/key_1/MatMul", {"z", "onnx::MatMul_10"}, "k1"),
          onnx::node("MatMul", "n", {"x", "val_3"}, "v",
                     onnx::field(9, onnx::field(1, "pkg.torch.onnx.name_scopes"s) +
                                        onnx::field(2, "['', 'a', 'a.value', 'linear']"s))),
          // A module that adds the bias of the one around it.
          onnx::node("MatMul", "/head/decoder/MatMul", {"x", "onnx::MatMul_11"}, "d"),
          onnx::node("Add", "/head/decoder/Add", {"d", "head.bias"}, "d1"),
          onnx::node("Gemm", "g", {"x", "a.kept.weight", "a.kept.bias"}, "g", onnx::integer("transB", 1)),
          onnx::node("Gemm", "g2", {"x", "onnx::Gemm_12", "a.other.bias"}, "g2"),
          // Not folded: the exporter's own Transpose.
          onnx::node("Transpose", "t", {"a.plain.weight"}, "t", onnx::integers("perm", {1, 0})),
          onnx::node("MatMul", "/a/plain/MatMul", {"x", "t"}, "p"),
          onnx::node("Identity", "i", {"a.query.bias"}, "a.same.bias"),
          onnx::node("MatMul", "/a/scores/MatMul", {"z", "k"}, "s"),  // of no weight
      },
      {onnx::floats("onnx::MatMul_9", {2, 3}, kSix), onnx::floats("onnx::MatMul_10", {2, 3}, kSix),
       onnx::floats("val_3", {2, 3}, kSix), onnx::floats("onnx::MatMul_11", {2, 3}, kSix),
       onnx::floats("onnx::Gemm_12", {2, 3}, kSix), onnx::floats("a.kept.weight", {2, 3}, kSix),
       onnx::floats("a.plain.weight", {2, 3}, kSix), onnx::floats("a.query.bias", {3}, {7, 8, 9}),
       onnx::floats("head.bias", {3}, {7, 8, 9}), onnx::floats("a.kept.bias", {2}, {7, 8}),
       onnx::floats("a.other.bias", {3}, {7, 8, 9}), onnx::floats("onnx::Add_1", {1}, {2}),
       onnx::tensor("a.position_ids", {1, 2}, onnx::kInt64, onnx::raw<int64_t>({0, 1}))}));
  EXPECT_THAT(parsed.names(),
              ElementsAre("a.kept.bias", "a.kept.weight", "a.key.weight", "a.other.bias", "a.other.weight",
                          "a.plain.weight", "a.query.bias", "a.query.weight", "a.same.bias", "a.value.weight",
                          "head.bias", "head.decoder.weight"));
  for (const char* name :
       {"a.query.weight", "a.key.weight", "a.value.weight", "head.decoder.weight", "a.other.weight"}) {
    EXPECT_EQ(parsed.values(name), kSixTransposed) << name;
    EXPECT_EQ(parsed.find(name)->shape, (Shape{3, 2})) << name;
    EXPECT_FALSE(parsed.find(name)->mapped) << name;
  }
  for (const char* name : {"a.kept.weight", "a.plain.weight"}) {
    EXPECT_EQ(parsed.values(name), kSix) << name;
    EXPECT_TRUE(parsed.find(name)->mapped) << name;
  }
}

// The layers of T5 and ModernBERT have no biases.
TEST(OnnxFile, ASentenceTransformerThatWasExportedWholeHasItsModelsNames) {
  const Parsed parsed(onnx::model(
      {onnx::node("Mul", "/0/layer.0/norm/Mul", {"0.auto_model.layer.0.norm.weight", "x"}, "n"),
       onnx::node("MatMul", "/0/layer.0/query/MatMul", {"n", "onnx::MatMul_1"}, "q"),
       onnx::node("Gemm", "/2/linear/Gemm", {"q", "2.linear.weight"}, "y")},
      {onnx::floats("0.auto_model.layer.0.norm.weight", {2}, {1, 2}),
       onnx::floats("onnx::MatMul_1", {2, 3}, kSix), onnx::floats("2.linear.weight", {3, 2}, kSix)}));
  EXPECT_THAT(parsed.names(),
              ElementsAre("2.linear.bias", "2.linear.weight", "layer.0.norm.weight", "layer.0.query.weight"));
}

TEST(OnnxFile, ATiedTableHasBothNames) {
  const Parsed parsed(onnx::model(
      {onnx::node("Gather", "/bert/words/Gather", {"cls.decoder.weight", "ids"}, "w"),
       onnx::node("Gather", "/bert/types/Gather", {"bert.types.weight", "ids"}, "t")},
      {onnx::floats("cls.decoder.weight", {2, 3}, kSix), onnx::floats("bert.types.weight", {2, 3}, kSix)}));
  EXPECT_THAT(parsed.names(), ElementsAre("bert.types.weight", "bert.words.weight", "cls.decoder.weight"));
  EXPECT_EQ(parsed.find("bert.words.weight")->data.data(), parsed.find("cls.decoder.weight")->data.data());
}

// torch.onnx's optimizer takes a bias of zeros away from a Gemm.
TEST(OnnxFile, AGemmWithoutABiasHasOneOfZeros) {
  const auto gemm = [](const std::vector<std::string>& inputs) {
    return Parsed(onnx::model({onnx::node("Gemm", "n", inputs, "y", onnx::integer("transB", 1))},
                              {onnx::floats("pooler.dense.weight", {2, 3}, {1, 2, 3, 4, 5, 6}),
                               onnx::floats("other.bias", {2}, {7, 8})}));
  };
  const Parsed without = gemm({"x", "pooler.dense.weight"});
  EXPECT_THAT(without.values("pooler.dense.bias"), ElementsAre(0, 0));
  EXPECT_THAT(without.values("pooler.dense.weight"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(gemm({"x", "pooler.dense.weight", "other.bias"}).find("pooler.dense.bias"), nullptr);
  // The twin: a product of another kind has no bias.
  const Parsed product(onnx::model({onnx::node("MatMul", "n", {"x", "a.b.weight"}, "y")},
                                   {onnx::floats("a.b.weight", {2, 3}, {1, 2, 3, 4, 5, 6})}));
  EXPECT_EQ(product.find("a.b.bias"), nullptr);
}

// As in the relative positions of a quantized MPNet or T5.
TEST(OnnxFile, CodesOfATableMayBeTransposedBeforeTheyAreDequantized) {
  const auto table = [](const std::vector<int64_t>& scales) {
    const auto count = static_cast<size_t>(scales.empty() ? 1 : scales[0]);
    return onnx::model(
        {onnx::node("Gather", "/positions/Gather", {"positions.weight_quantized", "ids"}, "rows"),
         onnx::node("Transpose", "/positions/Transpose", {"rows"}, "turned"),
         onnx::node("DequantizeLinear", "/positions/DequantizeLinear", {"turned", "s", "z"}, "y")},
        {onnx::tensor("positions.weight_quantized", {2, 2}, onnx::kUint8, onnx::raw<uint8_t>({1, 2, 3, 4})),
         onnx::floats("s", scales, std::vector<float>(count, 0.5f)),
         onnx::tensor("z", scales, onnx::kUint8, onnx::raw(std::vector<uint8_t>(count, 2)))});
  };
  EXPECT_THAT(Parsed(table({})).values("positions.weight"), ElementsAre(-0.5f, 0, 0.5f, 1));
  // A scale a column would be one a row behind the Transpose.
  EXPECT_THAT(refused(table({2}), ErrorCode::unsupported),
              HasSubstr("no operator that is read says what the codes"));
}

TEST(OnnxFile, NumbersMayBePackedInFieldsOfTheirOwn) {
  const std::string codes = onnx::number(1) + onnx::number(static_cast<uint64_t>(-2)) + onnx::number(3) +
                            onnx::number(4) + onnx::number(5) + onnx::number(6);
  const Parsed parsed(
      onnx::model({onnx::node("DequantizeLinear", "d", {"c", "s", "z"}, "a.weight_DequantizeLinear_Output",
                              onnx::integer("axis", 0)),
                   onnx::node("Gather", "/a/Gather", {"a.weight_DequantizeLinear_Output", "ids"}, "y")},
                  {onnx::tensor("c", {2, 3}, onnx::kInt8, {}, onnx::field(5, codes)),
                   onnx::tensor("s", {2}, onnx::kFloat, {}, onnx::field(4, onnx::raw<float>({0.5f, 2}))),
                   onnx::tensor("z", {2}, onnx::kInt8, {}, onnx::field(5, "\x01\x02"s)),
                   onnx::tensor("a.bias", {2}, onnx::kFloat16, {},
                                onnx::field(5, onnx::number(0x3c00) + onnx::number(0xc000)))}));
  EXPECT_EQ(parsed.values("a.weight"), (std::vector<float>{0, -1.5f, 1, 4, 6, 8}));
  EXPECT_EQ(parsed.values("a.bias"), (std::vector<float>{1, -2}));
}

TEST(OnnxFile, WhatCannotBeMappedBackIsNamed) {
  const std::string two = onnx::floats("onnx::MatMul_1", {2, 3}, kSix);
  const std::string other = onnx::floats("onnx::MatMul_2", {2, 3}, kSixTransposed);
  const std::string merged = onnx::node("Attention", "Attention_0", {"x", "onnx::MatMul_1", "b"}, "y");
  for (const auto& [nodes, message] : std::vector<std::pair<std::vector<std::string>, const char*>>{
           {{merged}, "the operator \"Attention\" (\"Attention_0\") holds several weights as one"},
           {{onnx::node("MatMul", "MatMul_7", {"x", "onnx::MatMul_1"}, "y")},
            "neither an operator nor a bias says which parameters these matrices are: \"onnx::MatMul_1\""},
           {{onnx::node("MatMul", "/a/MatMul", {"x", "onnx::MatMul_1"}, "y"),
             onnx::node("MatMul", "/a/MatMul", {"x", "onnx::MatMul_2"}, "z")},
            "two different matrices seem to be \"a.weight\""},
           {{onnx::node("QuantizeLinear", "q", {"onnx::MatMul_1", "s"}, "y")}, "quantizes a weight"},
           {{onnx::node("Gemm", "/a/Gemm", {"x", "onnx::MatMul_1"}, "y", onnx::real("alpha", 0.5f))},
            "alpha = 0.5"},
           {{onnx::node("MatMulInteger", "/a/MatMul", {"x", "c"}, "y")},
            "has codes whose scale is no constant"},
           {{onnx::node("Unknown", "u", {"x", "c"}, "y")},
            "no operator that is read says what the codes \"c\""},
       })
    EXPECT_THAT(refused(onnx::model(nodes, {two, other, onnx::tensor("c", {2, 2}, onnx::kInt8, "abcd")}),
                        ErrorCode::unsupported),
                AllOf(HasSubstr("m.onnx: "), HasSubstr(message), HasSubstr("give the export as torch.onnx")))
        << message;
  EXPECT_THAT(refused(onnx::model({}, {}), ErrorCode::format), HasSubstr("the graph has no weights"));
}

TEST(OnnxFile, WhatIsLeftOutIsSaid) {
  const std::string inner = onnx::graph({}, {onnx::floats("w", {2, 3}, kSix)});
  const Parsed parsed(onnx::model(
      {onnx::node("If", "If_1", {"x"}, "y", onnx::field(5, onnx::field(1, "then"s) + onnx::field(6, inner)))},
      {onnx::floats("a.bias", {2}, {1, 2})}, onnx::field(15, ""s)));
  EXPECT_THAT(parsed.content.warnings,
              ElementsAre(HasSubstr("1 sparse tensors are not read"),
                          HasSubstr("1 matrices inside the operator \"If\" (\"If_1\") are not read")));
}

TEST(OnnxFile, MalformedTensorsAreRefused) {
  for (const auto& [tensor, message] : std::vector<std::pair<std::string, const char*>>{
           {onnx::tensor("a.b", {3}, onnx::kFloat, "12345678"), "has 8 bytes, expected 12 for FLOAT [3]"},
           {onnx::tensor("a.b", {-1}, onnx::kFloat, "1234"), "has the shape [-1]"},
           {onnx::tensor("a.b", {int64_t{1} << 40, int64_t{1} << 40}, onnx::kFloat, "1234"), "has the shape"},
           {onnx::tensor("a.b", std::vector<int64_t>(65, 1), onnx::kFloat, "1234"), "has 65 dimensions"},
           {onnx::tensor("a.b", {1}, onnx::kFloat, "1234", onnx::field(4, "1234"s)),
            "its numbers in several places"},
           {onnx::tensor("a.b", {2}, onnx::kInt32, {}, onnx::field(5, "\x01"s)), "expected 2 numbers"},
           {onnx::tensor("a.b", {1}, onnx::kInt32, {}, onnx::field(5, "\x01\x02"s)),
            "has more than 1 numbers"},
           {onnx::tensor("a.b", {1}, onnx::kInt32, {}, onnx::field(5, "\xff"s)), "ends after 0 of 1 numbers"},
       })
    EXPECT_THAT(refused(onnx::model({}, {tensor}), ErrorCode::format),
                AllOf(HasSubstr("m.onnx: the tensor \"a.b\" "), HasSubstr(message)));
  const std::string codes = onnx::tensor("c", {2, 4}, onnx::kInt8, "abcdefgh");
  for (const auto& [scale, rest] :
       {std::pair(onnx::floats("s", {3}, {1, 2, 3}), ""s),
        std::pair(onnx::floats("s", {4}, {1, 2, 3, 4}), onnx::integer("block_size", 9)),
        std::pair(onnx::tensor("s", {4}, onnx::kInt8, "abcd"), ""s)})
    EXPECT_THAT(
        refused(onnx::model({onnx::node("DequantizeLinear", "d", {"c", "s"}, "y", rest)}, {codes, scale}),
                ErrorCode::format),
        HasSubstr("the codes \"c\", INT8 [2, 4], have the scales"));
  for (const auto& [file, message] : {std::pair(""s, "it has no graph"), std::pair("hello"s, "no ONNX model"),
                                      std::pair("version https://git-lfs.github.com/spec/v1\n"s, "Git LFS")})
    EXPECT_THAT(refused(file, ErrorCode::format), HasSubstr(message));
  // A dtype that no weight of a read model has is no error by itself.
  EXPECT_NO_THROW(
      parse(onnx::model({}, {onnx::tensor("a.c", {1}, onnx::kFloat8, "1"), onnx::floats("a.b", {1}, {1})})));
}

// ---- damage

TensorContent parse_alone(const std::string& file) {
  return parse(file);
}

// The values of a weight are most of a file, and any will do. Smaller ones leave more of the changes to the rest.
std::string small_export() {
  const std::string codes = onnx::tensor("w_Q4", {2, 2, 8}, onnx::kUint8, "0123456789abcdef0123456789abcdef");
  return onnx::model(
      {onnx::node("MatMulNBits", "/a/query/MatMul_Q4", {"x", "w_Q4", "w_scales", "w_zero_points"}, "y",
                  onnx::integer("K", 32) + onnx::integer("N", 2) + onnx::integer("bits", 4) +
                      onnx::integer("block_size", 16)),
       onnx::node("Add", "/a/query/Add", {"y", "a.query.bias"}, "z"),
       onnx::node("MatMulInteger", "/a/key/MatMul", {"x", "k", "xz", "kz"}, "k0"),
       onnx::node("Cast", "c", {"k0"}, "k1", onnx::integer("to", 1)),
       onnx::node("Mul", "m", {"xs", "ks"}, "s"), onnx::node("Mul", "m1", {"k1", "s"}, "k2"),
       onnx::node("DequantizeLinear", "d", {"v", "vs", "vz"}, "v0", onnx::integer("axis", 0)),
       onnx::node("Transpose", "t", {"v0"}, "v1"), onnx::node("MatMul", "/a/value/MatMul", {"x", "v1"}, "v2"),
       onnx::node("GatherBlockQuantized", "/words/Gather", {"e", "ids", "es"}, "e0",
                  onnx::integer("block_size", 16))},
      {codes, onnx::floats("w_scales", {2, 2}, {1, 2, 3, 4}),
       onnx::tensor("w_zero_points", {2, 1}, onnx::kUint8, "ab"), onnx::floats("a.query.bias", {2}, {1, 2}),
       onnx::tensor("k", {2, 2}, onnx::kInt8, "abcd"),
       onnx::tensor("kz", {2}, onnx::kInt8, {}, onnx::field(5, "\x01\x02"s)), onnx::floats("ks", {2}, {1, 2}),
       onnx::tensor("v", {2, 2}, onnx::kUint8, "abcd"), onnx::floats("vs", {2}, {1, 2}),
       onnx::tensor("vz", {2}, onnx::kUint8, "ab"),
       onnx::tensor("e", {2, 16}, onnx::kUint4, "0123456789abcdef"), onnx::floats("es", {2, 1}, {1, 2})});
}

TEST(OnnxFile, AllFormsOfCodesAreRead) {
  const Parsed parsed(small_export());
  EXPECT_THAT(parsed.names(), ElementsAre("a.key.weight", "a.query.bias", "a.query.weight", "a.value.weight",
                                          "words.weight"));
}

TEST(OnnxFile, RefusesOrReadsEveryTruncation) {
  test::expect_truncations_refused(parse_alone, small_export());
}

TEST(OnnxFile, AThousandDamagedFilesGiveWeightsOrASentence) {
  std::mt19937 random(7);
  const std::vector<std::pair<std::string, int>> files{{small_export(), 800},
                                                       {test::read_file(kGolden / "bert_channels.onnx"), 100},
                                                       {test::read_file(kGolden / "bert_q4.onnx"), 50},
                                                       {test::read_file(kGolden / "bert_external.onnx"), 50}};
  for (const auto& [whole, count] : files)
    for (int i = 0; i < count; ++i) {
      test::expect_tensors_or_a_sentence(parse_alone, test::damaged(whole, random, whole.size()));
    }
}

}  // namespace
}  // namespace mlxe::onnx_file_test
