#include "format/onnx_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/wording.h"
#include "format/json_file.h"
#include "format/onnx_names.h"
#include "format/onnx_operators.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kMatricesListed = 5;
constexpr size_t kMostReaders = 64;  // that are looked at; the product of a weight has one
constexpr size_t kMostNames = 64;    // of a weight; those of tied weights have two or three
constexpr size_t kMostForms = 4;     // of a weight: stored twice, as it is and transposed, or as codes

class OnnxWeightFinder {
 public:
  OnnxWeightFinder(const OnnxGraph& graph, const std::string& where) : graph_(graph), where_(where) {}

  std::vector<OnnxWeight> find() {
    for (const OnnxTensor& tensor : graph_.tensors) constants_.emplace(tensor.name, onnx_constant(tensor));
    for (const OnnxNode& node : graph_.nodes) {
      for (const std::string& input : node.inputs)
        if (auto& readers = readers_[input]; readers.size() < kMostReaders) readers.push_back(&node);
      for (const std::string& output : node.outputs) writers_.emplace(output, &node);
      add_constant(node);
    }
    learn_paths();
    for (const OnnxNode& node : graph_.nodes) read_weights(node);
    add_named_tensors();
    require_all_found();
    return std::move(weights_);
  }

 private:
  const OnnxConstant* constant(const std::string& value) const {
    const auto found = constants_.find(value);
    return value.empty() || found == constants_.end() ? nullptr : &found->second;
  }

  // The tensor as it is stored; nullptr if the value is no constant or a computed one.
  const OnnxTensor* stored(const std::string& value) {
    const OnnxConstant* found = constant(value);
    if (!found || found->scales || found->transposed) return nullptr;
    return found->values;
  }

  // A stored tensor that belongs to another: a scale or zero point.
  const OnnxTensor* component(const std::string& value) {
    const OnnxTensor* tensor = stored(value);
    if (tensor) components_.insert(tensor);
    return tensor;
  }

  // Results of operators on constants alone, which exporters and quantizers leave in the graph.
  void add_constant(const OnnxNode& node) {
    if (node.outputs.empty()) return;
    const std::string& output = node.outputs[0];
    if (node.op == "Constant") {
      if (node.value) constants_.emplace(output, onnx_constant(*node.value));
      return;
    }
    const OnnxConstant* input = constant(node.input(0));
    if (!input) return;
    OnnxConstant result = *input;
    if (node.op == "DequantizeLinear") {
      const OnnxTensor *codes = stored(node.input(0)), *scale = component(node.input(1));
      if (!codes || !scale) return;
      result = dequantized(*codes, *scale, component(node.input(2)), node.integer("axis", 1),
                           node.integer("block_size", 0), where_);
    } else if (node.op == "Transpose") {
      const auto order = node.lists.find("perm");
      if (!input->is_matrix()) return;
      if (order == node.lists.end() || order->second == std::vector<int64_t>{1, 0})
        result.transposed = !result.transposed;
    } else if (node.op == "QuantizeLinear") {
      if (input->is_matrix() && input->dtype()) refuse(node, "quantizes a weight that is stored as floats");
      return;
    } else if (node.op != "Identity" && !(node.op == "Cast" && input->dtype() && casts_to_float(node))) {
      return;
    }
    constants_.emplace(output, std::move(result));
  }

  static bool casts_to_float(const OnnxNode& node) {
    const int64_t to = node.integer("to", 0);
    return to == 1 || to == 10 || to == 11 || to == 16;  // FLOAT, FLOAT16, DOUBLE, BFLOAT16
  }

  void read_weights(const OnnxNode& node) {
    if (const OnnxProduct* product = find_onnx_product(node.op)) {
      read_product(node, *product);
    } else if (node.op == "MatMulNBits") {
      read_blocks_of_product(node);
    } else if (node.op == "Gather") {
      read_table(node);
    } else if (node.op == "GatherBlockQuantized") {
      read_blocks_of_table(node);
    } else if (merges_weights(node.op)) {
      // ONNX's own Attention has a mask, too.
      for (size_t i = 0; i < node.inputs.size() && !(node.op == "Attention" && i == 3); ++i)
        if (const OnnxConstant* found = constant(node.inputs[i]); found && !found->shape.empty())
          refuse(node,
                 "holds several weights as one, or in a form that is not read, as onnxruntime's tools write "
                 "them");
    }
  }

  void learn_paths() {
    for (const OnnxNode& node : graph_.nodes)
      for (const std::string& input : node.inputs)
        if (constant(input) && is_parameter_name(input))
          paths_.add(module_around(node), std::string_view(input).substr(0, input.rfind('.')));
  }

  // The weight of a linear layer is [out, in].
  void read_product(const OnnxNode& node, const OnnxProduct& product) {
    const OnnxConstant* found = constant(node.input(product.weight));
    if (!found || !found->is_matrix()) return;
    OnnxConstant weight = *found;
    const bool is_transposed = node.integer("transB", 0) != 0;
    if (product.zero_point != OnnxProduct::kNoInput) {  // codes
      const OnnxTensor* codes = stored(node.input(product.weight));
      const OnnxTensor* scale =
          product.scale == OnnxProduct::kNoInput ? scale_after(node) : component(node.input(product.scale));
      if (!codes || !scale) refuse(node, "has codes whose scale is no constant");
      weight = dequantized(*codes, *scale, component(node.input(product.zero_point)), 1, 0, where_);
    }
    if (!weight.dtype()) return;  // of counts and positions
    for (const char* factor : {"alpha", "beta"})
      if (const auto scaled = node.floats.find(factor); scaled != node.floats.end() && scaled->second != 1.0f)
        refuse(node, fmt::format("has a weight and {} = {}", factor, scaled->second));
    if (!is_transposed) weight.transposed = !weight.transposed;
    add_matrix(
        node, node.input(product.weight),
        product.bias == OnnxProduct::kNoInput ? bias_after(node) : parameter_of(node.input(product.bias)),
        std::move(weight));
  }

  // MatMulInteger's product of codes is cast to float and multiplied with (scale of the inputs * scale of the weight).
  const OnnxTensor* scale_after(const OnnxNode& node) {
    const OnnxNode* at = &node;
    for (const char* op : {"Cast", "Mul"}) {
      const OnnxNode* next = nullptr;
      for (const OnnxNode* reader : readers_of(*at))
        if (reader->op == op) next = reader;
      if (!next) return nullptr;
      const OnnxNode& previous = *std::exchange(at, next);
      if (next->op != "Mul") continue;
      const std::string& factor = next->input(next->input(0) == previous.outputs[0] ? 1 : 0);
      if (const OnnxTensor* scale = component(factor)) return scale;
      const auto product = writers_.find(factor);
      if (product == writers_.end() || product->second->op != "Mul") return nullptr;
      for (const size_t input : {size_t{1}, size_t{0}})
        if (const OnnxTensor* scale = component(product->second->input(input))) return scale;
    }
    return nullptr;
  }

  std::span<const OnnxNode* const> readers_of(const OnnxNode& node) const {
    const auto found = node.outputs.empty() ? readers_.end() : readers_.find(node.outputs[0]);
    return found == readers_.end() ? std::span<const OnnxNode* const>() : found->second;
  }

  // The parameter "MODULE.bias" that is added to the product; empty if there is none.
  std::string bias_after(const OnnxNode& node) const {
    const OnnxNode* at = &node;
    constexpr int kSteps = 4;  // of codes: to floats, times the scale; static quantization: there and back
    for (int i = 0; i < kSteps; ++i) {
      const OnnxNode* next = nullptr;
      for (const OnnxNode* reader : readers_of(*at)) {
        for (size_t input = 0; input < reader->inputs.size(); ++input)
          if (const std::string name = parameter_of(reader->inputs[input]);
              name.ends_with(".bias") && constant(reader->inputs[input]) &&
              (adds_bias(reader->op) || (reader->op == "SkipLayerNormalization" && input == 4)))
            return name;
        if (reader->op == "Cast" || reader->op == "QuantizeLinear" || reader->op == "DequantizeLinear" ||
            (reader->op == "Mul" && node.op == "MatMulInteger"))
          next = reader;
      }
      if (!next) return {};
      at = next;
    }
    return {};
  }

  void read_blocks_of_product(const OnnxNode& node) {
    const OnnxTensor *codes = stored(node.input(1)), *scale = component(node.input(2));
    if (!codes || !scale) refuse(node, "has codes or a scale that is no constant");
    if (!node.input(4).empty()) refuse(node, "has the input g_idx");
    OnnxBlocks blocks{.rows = node.integer("N", 0),
                      .columns = node.integer("K", 0),
                      .bits = node.integer("bits", 4),
                      .block = node.integer("block_size", 0),
                      .whole_blocks = true};
    blocks.zero = blocks.bits > 0 && blocks.bits <= 8 ? static_cast<float>(1 << (blocks.bits - 1)) : 0.0f;
    OnnxConstant weight = dequantized_blocks(*codes, *scale, component(node.input(3)), blocks, where_);
    const std::string bias = parameter_of(node.input(5));
    add_matrix(node, node.input(1), bias.empty() ? bias_after(node) : bias, std::move(weight));
  }

  // The DequantizeLinear of the rows that a Gather chose; behind a Transpose of them, if one scale serves all.
  const OnnxNode* dequantizer_after(const OnnxNode& node) const {
    const OnnxNode* transpose = nullptr;
    for (const OnnxNode* reader : readers_of(node)) {
      if (reader->op == "DequantizeLinear") return reader;
      if (reader->op == "Transpose") transpose = reader;
    }
    if (!transpose) return nullptr;
    for (const OnnxNode* reader : readers_of(*transpose))
      if (const OnnxConstant* scale = constant(reader->input(1));
          reader->op == "DequantizeLinear" && scale && element_count(scale->shape) == 1)
        return reader;
    return nullptr;
  }

  void read_table(const OnnxNode& node) {
    const OnnxConstant* found = constant(node.input(0));
    if (!found || !found->is_matrix()) return;
    OnnxConstant table = *found;
    if (!table.dtype()) {  // codes: the rows are dequantized after they were chosen
      const OnnxTensor* codes = stored(node.input(0));
      const OnnxNode* reader = codes ? dequantizer_after(node) : nullptr;
      if (const OnnxTensor* scale = reader ? component(reader->input(1)) : nullptr)
        table = dequantized(*codes, *scale, component(reader->input(2)), 1, 0, where_);
    }
    if (table.dtype() && node.integer("axis", 0) == 0) add_table(node, std::move(table));
  }

  void read_blocks_of_table(const OnnxNode& node) {
    const OnnxTensor *codes = stored(node.input(0)), *scale = component(node.input(2));
    if (!codes || !scale || codes->shape.size() != 2)
      refuse(node, "has codes or a scale that is no constant");
    if (node.integer("gather_axis", 0) != 0 || std::abs(node.integer("quantize_axis", 1)) != 1)
      refuse(node, "has axes other than rows that are chosen and columns that are quantized");
    const bool packed = codes->type == "UINT8";
    OnnxBlocks blocks{.rows = codes->shape[0],
                      .columns = codes->shape[1],
                      .bits = packed ? node.integer("bits", 4) : codes->bits,
                      .block = node.integer("block_size", 128),
                      .is_signed = codes->type == "INT4"};
    if (packed && blocks.bits > 0 && blocks.bits <= 8) {
      blocks.columns *= 8 / blocks.bits;
      blocks.zero = static_cast<float>(1 << (blocks.bits - 1));
    }
    add_table(node, dequantized_blocks(*codes, *scale, component(node.input(3)), blocks, where_));
  }

  void add_table(const OnnxNode& node, OnnxConstant table) {
    const std::string kept = parameter_of(node.input(0)), module = paths_.module(module_around(node));
    used_.insert(table.values);
    // A tied weight may have kept the name of its other module.
    if (!kept.empty()) add(kept, table);
    if (!module.empty() && !kept.starts_with(module + ".") && !(module + ".weight").ends_with("." + kept))
      add(module + ".weight", std::move(table));
  }

  // A weight of the operator `node`, whose input is called `value`; `bias` as bias_after gives it.
  void add_matrix(const OnnxNode& node, const std::string& value, const std::string& bias,
                  OnnxConstant weight) {
    used_.insert(weight.values);
    std::string name = parameter_of(value);
    if (name.empty()) {
      const std::string around = paths_.module(module_around(node));
      const std::string of_bias = bias.ends_with(".bias") ? bias.substr(0, bias.size() - 5) : "";
      // A module may add the bias of the one around it ("cls.predictions.decoder" that of "cls.predictions").
      const bool is_inside = around.starts_with(of_bias + ".");
      const std::string module = of_bias.empty() || (!around.empty() && is_inside) ? around : of_bias;
      if (module.empty()) {
        if (weight.shape[0] > 1 && weight.shape[1] > 1) nameless_.push_back(printable(value));
        return;
      }
      // The same weight under the name of a module's second call.
      if (const auto known = names_.find(weight.key()); known != names_.end())
        for (const std::string& other : known->second)
          if (is_later_call(module + ".weight", other)) return;
      name = module + ".weight";
    }
    add(std::move(name), std::move(weight));
  }

  // Those that the exporter kept the names of: norms, biases, weights that a Gather or Gemm reads.
  void add_named_tensors() {
    std::map<std::string, const OnnxConstant*> named;  // in an order of their own
    for (const auto& [value, found] : constants_) {
      const bool is_component = components_.contains(found.values);
      const std::string name = found.scales ? parameter_of(value) : value;
      if (!is_component && found.dtype() && is_parameter_name(name)) named.emplace(name, &found);
    }
    for (const auto& [name, found] : named)
      if (!index_.contains(name) && !(used_.contains(found->values) && parameter_of(name) != name))
        add(name, *found);
  }

  void add(std::string name, OnnxConstant weight) {
    used_.insert(weight.values);
    auto& names = names_[weight.key()];
    if (!names.insert(name).second) return;
    if (names.size() > kMostNames)
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: {} and {} more parameters seem to be one matrix; {}", where_,
                              printable(name), names.size() - 1, kPlainExport));
    const auto [found, added] = index_.emplace(name, weights_.size());
    if (added) {
      weights_.push_back({std::move(name), std::move(weight)});
      return;
    }
    const OnnxConstant& other = weights_[found->second].constant;
    if (other.is_stored_as(weight)) return;
    if (other.final_shape() != weight.final_shape() || other.dtype() != weight.dtype() ||
        ++forms_[name] >= kMostForms || bytes_of(other) != bytes_of(weight))
      throw Error(ErrorCode::unsupported, fmt::format("{}: two different matrices seem to be {}; {}", where_,
                                                      printable(name), kPlainExport));
  }

  static std::vector<std::byte> bytes_of(const OnnxConstant& constant) {
    std::vector<std::byte> bytes(constant.bytes());
    constant.write(bytes.data());
    return bytes;
  }

  void require_all_found() const {
    if (!nameless_.empty())
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: neither an operator nor a bias says which parameters these matrices are: {}; {}",
                      where_, listed(nameless_, kMatricesListed), kPlainExport));
    for (const OnnxTensor& tensor : graph_.tensors)
      if (tensor.shape.size() == 2 && tensor.bits <= 8 && tensor.dtype != Dtype::boolean &&
          tensor.shape[0] > 1 && tensor.shape[1] > 1 && !used_.contains(&tensor) &&
          !components_.contains(&tensor))
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{}: no operator that is read says what the codes {}, {} {}, mean; {}", where_,
                        printable(tensor.name), tensor.type, to_string(tensor.shape), kPlainExport));
  }

  [[noreturn]] void refuse(const OnnxNode& node, const std::string& what) const {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: the operator {} ({}) {}; {}", where_, printable(node.op),
                            printable(node.name), what, kPlainExport));
  }

  const OnnxGraph& graph_;
  const std::string& where_;
  std::map<std::string, OnnxConstant> constants_;                          // by the name of the value
  std::unordered_map<std::string, std::vector<const OnnxNode*>> readers_;  // of a value
  std::unordered_map<std::string, const OnnxNode*> writers_;               // of a value
  ModulePaths paths_;
  std::set<const OnnxTensor*> components_, used_;
  std::vector<std::string> nameless_;
  std::vector<OnnxWeight> weights_;
  std::unordered_map<std::string, size_t> index_;  // in weights_
  std::map<OnnxConstant::Key, std::set<std::string>> names_;
  std::unordered_map<std::string, size_t> forms_;  // of a weight that were compared, beside the first
};

}  // namespace

std::vector<OnnxWeight> find_onnx_weights(const OnnxGraph& graph, const std::string& where) {
  return OnnxWeightFinder(graph, where).find();
}

}  // namespace mlxe
