#include "format/onnx_edits.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "format/json_file.h"
#include "format/onnx_names.h"
#include "format/onnx_operators.h"
#include "format/onnx_weights.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Their result has all values of the first input.
constexpr std::string_view kMovingValues[] = {"Cast",    "DequantizeLinear", "Flatten",   "Identity",
                                              "Reshape", "Squeeze",          "Transpose", "Unsqueeze"};
// Their result no longer stands for a parameter: some of its values, a property, codes.
constexpr std::string_view kChoosingValues[] = {"Expand",         "Gather",   "GatherBlockQuantized",
                                                "GatherElements", "GatherND", "QuantizeLinear",
                                                "Shape",          "Size",     "Slice",
                                                "Split",          "Tile"};
// They read values of the graph around them that are no inputs of theirs.
constexpr std::string_view kWithGraphs[] = {"If", "Loop", "Scan"};

template <size_t N>
bool is_among(const std::string_view (&ops)[N], std::string_view op) {
  return std::ranges::find(ops, op) != std::end(ops);
}

bool is_weight_or_bias(std::string_view name) {
  return is_parameter_name(name) && (name.ends_with("weight") || name.ends_with("bias"));
}

// What a value that depends on no input of the graph is made of.
struct FixedValue {
  std::string parameter;       // that it stands for, with all of its values; empty: none
  bool of_parameters = false;  // some named tensor is in it
};

class WeightEdits {
 public:
  explicit WeightEdits(const std::string& where) : where_(where) {}

  void search(const OnnxGraph& graph) {
    for (const OnnxTensor& tensor : graph.tensors) fixed_.emplace(tensor.name, stored(tensor, tensor.name));
    for (const OnnxNode& node : graph.nodes) follow(node);
  }

 private:
  static FixedValue stored(const OnnxTensor& tensor, const std::string& value) {
    const bool floats = tensor.dtype && is_float(*tensor.dtype);
    if (!floats) return {};
    return {is_weight_or_bias(value) && !tensor.shape.empty() ? value : "", is_parameter_name(value)};
  }

  void follow(const OnnxNode& node) {
    if (node.op == "Constant") {
      for (const std::string& output : node.outputs)
        fixed_.emplace(output, node.value ? stored(*node.value, output) : FixedValue());
      return;
    }
    FixedValue result;
    if (!reads_fixed_values(node) || is_among(kWithGraphs, node.op)) return;
    for (const std::string& input : node.inputs)
      if (!input.empty()) result.of_parameters |= fixed_.at(input).of_parameters;
    if (is_among(kMovingValues, node.op)) {
      result.parameter = fixed_.at(node.input(0)).parameter;
      // Codes, whose tensor may have the name of the parameter or its result.
      if (node.op == "DequantizeLinear")
        for (const std::string& name : {node.input(0), node.outputs.empty() ? "" : node.outputs[0]})
          if (const std::string of_codes = parameter_of(name);
              result.parameter.empty() && is_weight_or_bias(of_codes))
            result = {of_codes, true};
    } else if (find_onnx_product(node.op)) {
      result.of_parameters = true;  // the matrix is one, whatever its name
    } else if (!is_among(kChoosingValues, node.op) && !node.op.starts_with("Reduce")) {
      refuse_change(node);
    }
    for (const std::string& output : node.outputs) fixed_.emplace(output, result);
  }

  bool reads_fixed_values(const OnnxNode& node) const {
    size_t read = 0;
    for (const std::string& input : node.inputs) {
      if (input.empty()) continue;
      if (!fixed_.contains(input)) return false;
      ++read;
    }
    return read > 0 && !node.input(0).empty();
  }

  // Of inputs that are all fixed.
  void refuse_change(const OnnxNode& node) const {
    const FixedValue* changed = nullptr;
    for (const std::string& input : node.inputs) {
      if (input.empty()) continue;
      const FixedValue& value = fixed_.at(input);
      if (!value.of_parameters) continue;
      if (changed || value.parameter.empty()) return;  // an expression of the model's
      changed = &value;
    }
    if (changed)
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: the operator {} ({}) changes {} by itself or by numbers of the graph before "
                      "it is used, and the weights alone are read; was it edited, or exported "
                      "without folding constants? {}",
                      where_, printable(node.op), printable(node.name), printable(changed->parameter),
                      kPlainExport));
  }

  const std::string& where_;
  std::unordered_map<std::string, FixedValue> fixed_;  // by the name of the value
};

}  // namespace

void restore_zero_biases(OnnxGraph& graph) {
  std::unordered_map<std::string_view, const OnnxTensor*> matrices;
  std::set<std::string> names;
  for (const OnnxTensor& tensor : graph.tensors) {
    names.insert(tensor.name);
    if (tensor.shape.size() == 2 && tensor.dtype && is_float(*tensor.dtype))
      matrices.emplace(tensor.name, &tensor);
  }
  std::vector<OnnxTensor> zeros;
  for (const OnnxNode& node : graph.nodes) {
    constexpr std::string_view kWeight = "weight";
    if (node.op != "Gemm" || !node.input(2).empty()) continue;
    const auto weight = matrices.find(node.input(1));
    if (weight == matrices.end() || !is_parameter_name(weight->first) || !weight->first.ends_with(kWeight))
      continue;
    const std::string bias =
        std::string(weight->first.substr(0, weight->first.size() - kWeight.size())) + "bias";
    if (!names.insert(bias).second) continue;
    const OnnxTensor& matrix = *weight->second;
    OnnxTensor zero{
        .name = bias, .type = matrix.type, .dtype = matrix.dtype, .bits = matrix.bits, .shape = {}};
    zero.shape = {matrix.shape[node.integer("transB", 0) != 0 ? 0 : 1]};
    const auto bytes = static_cast<size_t>(zero.shape[0]) * static_cast<size_t>(zero.bits) / 8;
    graph.copies.push_back(std::make_unique<std::byte[]>(bytes));
    zero.data = {graph.copies.back().get(), bytes};
    zero.mapped = false;
    zeros.push_back(std::move(zero));
  }
  for (OnnxTensor& zero : zeros) graph.tensors.push_back(std::move(zero));
}

void require_unchanged_weights(const OnnxGraph& graph, const std::string& where) {
  WeightEdits(where).search(graph);
}

}  // namespace mlxe
