#include "format/onnx_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "format/json_file.h"
#include "format/onnx_copies.h"
#include "format/onnx_edits.h"
#include "format/onnx_graph.h"
#include "format/onnx_weights.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// A SentenceTransformer that was exported whole calls its first module so, whose weights a folder has without that.
void drop_sentence_prefix(std::string& name) {
  for (const std::string_view prefix : {"0.auto_model.", "0.model."})
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
}

std::vector<std::string> left_out(const OnnxGraph& graph, const std::string& where) {
  std::vector<std::string> warnings;
  if (graph.sparse > 0)
    warnings.push_back(fmt::format("{}: {} sparse tensors are not read", where, graph.sparse));
  for (const OnnxNode& node : graph.nodes)
    if (node.matrices_inside > 0)
      warnings.push_back(fmt::format("{}: {} matrices inside the operator {} ({}) are not read", where,
                                     node.matrices_inside, printable(node.op), printable(node.name)));
  return warnings;
}

}  // namespace

TensorContent parse_onnx(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs"))
    throw Error(ErrorCode::format,
                where + ": holds the place of a file of Git LFS, not the file; download it (git lfs pull)");
  OnnxGraph graph = read_onnx_graph(bytes, where);
  require_unchanged_weights(graph, where);
  restore_zero_biases(graph);
  const std::vector<OnnxWeight> weights = find_onnx_weights(graph, where);
  if (weights.empty())
    throw Error(ErrorCode::format,
                fmt::format("{}: the graph has no weights; is this the export of a model?", where));
  OnnxCopies copies = copy_onnx_weights(graph, weights, bytes.size(), where);
  TensorContent content;
  for (const OnnxWeight& weight : weights) {
    const OnnxConstant& constant = weight.constant;
    TensorView view{weight.name, *constant.dtype(), constant.final_shape(), constant.values->data,
                    constant.values->mapped};
    if (constant.scales) {
      view.decoded_from = fmt::format("{}-bit codes", constant.scales->bits);
      view.stored_bytes = constant.stored_bytes();
    }
    if (const auto copy = copies.data.find(weight.name); copy != copies.data.end()) {
      view.data = copy->second;
      view.mapped = copies.file.has_value();
    }
    drop_sentence_prefix(view.name);
    content.tensors.push_back(std::move(view));
  }
  std::ranges::sort(content.tensors, std::less(),
                    [](const TensorView& tensor) { return std::tie(tensor.dtype, tensor.name); });
  content.warnings = left_out(graph, where);
  content.copies = std::move(graph.copies);
  for (auto& memory : copies.memory) content.copies.push_back(std::move(memory));
  content.beside = std::move(graph.beside);
  if (copies.file) content.beside.push_back({{}, *std::move(copies.file)});
  return content;
}

}  // namespace mlxe
