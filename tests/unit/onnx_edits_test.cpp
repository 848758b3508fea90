// Graphs that compute something of the weights, and graphs that are made to take long.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "format/onnx_file.h"
#include "model_folders.h"
#include "onnx_bytes.h"

namespace mlxe::onnx_edits_test {
namespace {

namespace fs = std::filesystem;
namespace onnx = test::onnx;
using namespace std::string_literals;
using test::error_text;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Nodes = std::vector<std::string>;

const std::vector<float> kSix{0, 1, 2, 3, 4, 5};

TensorContent parse(const std::string& file, const std::string& where = "m.onnx") {
  return parse_onnx(std::as_bytes(std::span(file)), where);
}

std::string with_weights(const Nodes& nodes) {
  return onnx::model(
      nodes,
      {onnx::floats("a.norm.weight", {3}, {1, 2, 3}), onnx::floats("a.norm.bias", {3}, {1, 2, 3}),
       onnx::floats("words.weight", {2, 3}, kSix), onnx::floats("two", {}, {2}),
       onnx::floats("a.rotary.inv_freq", {3}, {1, 2, 3}), onnx::floats("a.scale.weight", {}, {2}),
       onnx::tensor("a.query.weight_quantized", {2, 3}, onnx::kInt8, "abcdef"),
       onnx::floats("a.query.weight_scale", {1}, {2}), onnx::floats("folded", {3, 3}, std::vector<float>(9)),
       onnx::tensor("one", {1}, onnx::kInt64, onnx::raw<int64_t>({0}))});
}

TEST(OnnxEdits, OfAParameterAreRefused) {
  const std::string constant =
      onnx::node("Constant", "c", {}, "half",
                 onnx::field(5, onnx::field(1, "value"s) + onnx::field(5, onnx::floats("", {}, {0.5f}))));
  for (const auto& [nodes, message] : std::vector<std::pair<Nodes, const char*>>{
           {{onnx::node("Mul", "m", {"words.weight", "two"}, "w"),
             onnx::node("Gather", "g", {"w", "ids"}, "y")},
            "the operator \"Mul\" (\"m\") changes \"words.weight\""},
           {{onnx::node("Mul", "m", {"a.norm.weight", "two"}, "w")}, "changes \"a.norm.weight\""},
           {{onnx::node("Add", "m", {"two", "a.norm.bias"}, "w")}, "\"Add\" (\"m\") changes \"a.norm.bias\""},
           {{constant, onnx::node("Sub", "m", {"a.norm.weight", "half"}, "w")}, "\"Sub\" (\"m\")"},
           {{onnx::node("Neg", "m", {"a.norm.weight"}, "w")}, "\"Neg\" (\"m\")"},
           {{onnx::node("Concat", "m", {"two", "words.weight"}, "w")}, "\"Concat\" (\"m\")"},
           // Gemma's 1 + weight, in an export whose constants were not folded.
           {{onnx::node("Cast", "c", {"a.norm.weight"}, "f", onnx::integer("to", 1)),
             onnx::node("Add", "m", {"f", "two"}, "w")},
            "changes \"a.norm.weight\""},
           {{onnx::node("Unsqueeze", "u", {"a.norm.weight", "one"}, "u"),
             onnx::node("Sqrt", "s", {"two"}, "root"), onnx::node("Div", "m", {"u", "root"}, "w")},
            "changes \"a.norm.weight\""},
           {{onnx::node("DequantizeLinear", "d", {"a.query.weight_quantized", "a.query.weight_scale"}, "d"),
             onnx::node("Mul", "m", {"d", "two"}, "w")},
            "changes \"a.query.weight\""},
       })
    EXPECT_THAT(error_text([&] { parse(with_weights(nodes)); }, ErrorCode::unsupported),
                AllOf(HasSubstr("m.onnx: "), HasSubstr(message), HasSubstr("give the export as torch.onnx")))
        << message;
}

TEST(OnnxEdits, OfTheModelItselfAreNone) {
  const std::string query = onnx::node(
      "DequantizeLinear", "d", {"a.query.weight_quantized", "a.query.weight_scale"}, "a.query.weight");
  for (const Nodes& nodes : std::vector<Nodes>{
           {onnx::node("Mul", "m", {"x", "a.norm.weight"}, "y"),
            onnx::node("Add", "n", {"y", "a.norm.bias"}, "z")},
           // The norm of a table, as an exporter writes DeBERTa's.
           {onnx::node("ReduceMean", "r", {"words.weight"}, "mean"),
            onnx::node("Sub", "s", {"words.weight", "mean"}, "d"), onnx::node("Pow", "p", {"d", "two"}, "d2"),
            onnx::node("ReduceMean", "v", {"d2"}, "v"), onnx::node("Sqrt", "q", {"v"}, "root"),
            onnx::node("Div", "e", {"d", "root"}, "n"), onnx::node("Mul", "m", {"n", "a.norm.weight"}, "y"),
            onnx::node("Add", "b", {"y", "a.norm.bias"}, "z")},
           // A linear layer on such a table.
           {onnx::node("MatMul", "/a/key/m", {"folded", "folded"}, "k"),
            onnx::node("Add", "b", {"k", "a.norm.bias"}, "z")},
           // Positions of a fixed length.
           {onnx::node("Gather", "g", {"words.weight", "one"}, "p"),
            onnx::node("Mul", "m", {"p", "two"}, "y")},
           {onnx::node("Mul", "m", {"a.rotary.inv_freq", "two"}, "y")},
           {onnx::node("Exp", "m", {"a.scale.weight"}, "y")},
           {onnx::node("Mul", "m", {"xs", "a.query.weight_scale"}, "y")},
           {onnx::node("Shape", "s", {"words.weight"}, "n"), onnx::node("Add", "m", {"n", "n"}, "y")},
           {onnx::node("Transpose", "t", {"words.weight"}, "t"),
            onnx::node("MatMul", "/words/m", {"x", "t"}, "y")},
       }) {
    Nodes all = nodes;
    all.push_back(query);
    EXPECT_THAT(parse(with_weights(all)).warnings, IsEmpty());
  }
}

// ---- time

double seconds_of(const auto& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
// What is quadratic takes a minute or more, what is linear well under a second.
constexpr double kLongest = 20;

TEST(OnnxEdits, AMatrixOfThousandsOfModulesIsRefusedAtOnce) {
  const auto of_modules = [](int count, const char* format) {
    Nodes nodes{onnx::node("MatMul", "/m/q/MatMul", {"x", "w"}, "y")};
    for (int i = 1; i < count; ++i)
      nodes.push_back(onnx::node("MatMul", fmt::format(fmt::runtime(format), i), {"x", "w"}, "y"));
    return onnx::model(nodes, {onnx::floats("w", {2, 3}, kSix)});
  };
  const double took = seconds_of([&] {
    EXPECT_THAT(error_text([&] { parse(of_modules(20'000, "/m{}/q/MatMul")); }, ErrorCode::unsupported),
                HasSubstr("and 64 more parameters seem to be one matrix"));
  });
  EXPECT_LT(took, kLongest);
  EXPECT_EQ(parse(of_modules(64, "/m{}/q/MatMul")).tensors.size(), 64u);
  // As many calls of one module, which an exporter counts.
  EXPECT_EQ(parse(of_modules(20'000, "/m_{}/q/MatMul")).tensors.size(), 1u);
}

TEST(OnnxEdits, ManyTensorsOfOneRegionAreComparedAtOnce) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "data", "");
  constexpr int64_t kWidth = 7000;  // 196 MB, of which nothing lies on the disk
  fs::resize_file(folder / "data", static_cast<uint64_t>(kWidth) * kWidth * 4);
  Nodes nodes;
  std::vector<std::string> tensors;
  for (int i = 0; i < 60; ++i) {
    const std::string name = "w" + std::to_string(i);
    nodes.push_back(onnx::node("Gather", "/a/Gather", {name, "ids"}, "y" + std::to_string(i)));
    tensors.push_back(onnx::external(name, {kWidth, kWidth}, {{"location", "data"}}));
  }
  const double took = seconds_of([&] {
    const TensorContent content = parse(onnx::model(nodes, tensors), (folder / "model.onnx").string());
    ASSERT_EQ(content.tensors.size(), 1u);
    EXPECT_EQ(content.tensors[0].name, "a.weight");
  });
  EXPECT_LT(took, kLongest);
}

TEST(OnnxEdits, AMatrixIsComparedInAFewForms) {
  const auto of_forms = [](int count, float last) {
    Nodes nodes{onnx::node("Gather", "/a/Gather", {"t", "ids"}, "y")};
    std::vector<std::string> tensors{onnx::floats("t", {2, 3}, kSix)};
    for (int i = 0; i < count; ++i) {
      const std::string name = "w" + std::to_string(i);
      nodes.push_back(onnx::node("MatMul", "/a/MatMul", {"x", name}, "z"));
      tensors.push_back(onnx::floats(name, {3, 2}, {0, 3, 1, 4, 2, last}));
    }
    return onnx::model(nodes, tensors);
  };
  EXPECT_EQ(parse(of_forms(3, 5)).tensors.size(), 1u);
  for (const std::string& file : {of_forms(1, 6), of_forms(4, 5)})
    EXPECT_THAT(error_text([&] { parse(file); }, ErrorCode::unsupported),
                HasSubstr("two different matrices seem to be \"a.weight\""));
}

}  // namespace
}  // namespace mlxe::onnx_edits_test
