// An ONNX model as operators and tensors: what the file says, before anything is made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/tensor_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// An initializer, or the value of an operator Constant.
struct OnnxTensor {
  std::string name;
  std::string type;            // onnx.proto's spelling: "FLOAT", "UINT4"
  std::optional<Dtype> dtype;  // none if `type` has none (four bits, text)
  int bits = 0;                // of an element; 0: a type that is not read
  Shape shape;
  // Row-major, little endian, at any alignment. Elements of 4 bits are two in a byte, the first in its low half. Empty
  // if the type is not read.
  std::span<const std::byte> data;
  bool mapped = true;  // `data` lies in a file
};

struct OnnxNode {
  std::string op, name;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, int64_t> ints;
  std::map<std::string, float> floats;
  std::map<std::string, std::vector<int64_t>> lists;
  std::vector<std::string>
      scopes;  // the modules around it and its own name, outermost first; of torch >= 2.5
  std::optional<OnnxTensor> value;  // of a Constant
  size_t matrices_inside = 0;       // in graphs of its own (If, Loop)

  int64_t integer(const std::string& attribute, int64_t otherwise) const;
  // "": the operator has fewer inputs, or leaves this one out.
  const std::string& input(size_t index) const;
};

struct OnnxGraph {
  std::string producer;
  std::vector<OnnxNode> nodes;  // each after those whose results it reads
  std::vector<OnnxTensor> tensors;
  size_t sparse = 0;             // number of sparse tensors, which are not read
  std::vector<SideFile> beside;  // that hold tensors
  std::vector<std::unique_ptr<std::byte[]>> copies;
};

// Reads the graph of the model in `bytes`, which is the file `where`. Tensors point into `bytes`, `beside` or
// `copies`. Files of external data are looked for beside `where`, and beside what it links to. Errors:
// format (malformed, or external data outside the folder), not_found and io (external data).
OnnxGraph read_onnx_graph(std::span<const std::byte> bytes, const std::string& where);

}  // namespace mlxe
