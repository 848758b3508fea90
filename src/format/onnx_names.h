// Names of parameters in an ONNX graph, as the model that was exported had them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "format/onnx_graph.h"

namespace mlxe {

// "encoder.layer.0.output.dense.bias": a name that an exporter kept. Exporters' own names are "onnx::MatMul_256",
// "/encoder/Constant_output_0", "val_47".
bool is_parameter_name(std::string_view name);

// The parameter that a tensor was made from, by the tensor's name: "pooler.dense.weight" of
// "pooler.dense.weight_Transposed_quantized", which quantizers write. Empty if it has an exporter's own name.
std::string parameter_of(std::string_view name);

// The module around an operator: "encoder.layer.0.attention.self.query" of a node with the name
// "/encoder/layer.0/attention/self/query/MatMul", or with these scopes. Empty if neither says.
std::string module_around(const OnnxNode& node);

// What the paths of operators call the modules that parameters are named after. They may begin in another way: a model in a
// SentenceTransformer is "0.auto_model" in names and "0" in paths.
class ModulePaths {
 public:
  // An operator at `path`, as module_around gives it, reads a parameter of `module`.
  void add(std::string_view path, std::string_view module);
  // The module of an operator, as parameters are named: by the beginnings that most operators have.
  std::string module(const std::string& path) const;

 private:
  std::map<std::pair<std::string, std::string>, size_t> counts_;  // of beginnings: of paths, of modules
  std::pair<std::string, std::string> beginnings_;
  size_t most_ = 0;
};

// Whether `name` is that of the second or a later call of `module`: "ffn_1" of "ffn".
bool is_later_call(std::string_view name, std::string_view module);

}  // namespace mlxe
