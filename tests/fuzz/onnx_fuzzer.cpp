// ONNX exports: any bytes as a file, and any bytes as the graph of a model.
#include "format/onnx_file.h"

#include "fuzz_input.h"

namespace {

void read_all(std::string_view file) {
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<char> exact(file.begin(), file.end());
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::TensorContent content = mlxe::parse_onnx(std::as_bytes(std::span(exact)), "/nowhere/fuzz");
    for (const mlxe::TensorView& tensor : content.tensors) mlxe::to_floats(tensor);  // touches every byte
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  std::string before("\x3a", 1);  // the field "graph" and its size
  for (size_t rest = size;; rest >>= 7) {
    before += static_cast<char>(rest >= 128 ? (rest & 127) | 128 : rest);
    if (rest < 128) break;
  }
  read_all(before + std::string(input));
  return 0;
}
