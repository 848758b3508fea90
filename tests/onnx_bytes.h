// ONNX models as bytes, made by hand: any graph that a test wants, well-formed or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace mlxe::test::onnx {

inline std::string number(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
inline std::string field(int tag, const std::string& bytes) {
  return number(static_cast<uint64_t>(tag) << 3 | 2) + number(bytes.size()) + bytes;
}
inline std::string field(int tag, int64_t value) {
  return number(static_cast<uint64_t>(tag) << 3) + number(static_cast<uint64_t>(value));
}

enum Type {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt32 = 6,
  kInt64 = 7,
  kFloat16 = 10,
  kFloat8 = 17,
  kUint4 = 21
};

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// `rest`: more fields of TensorProto, such as other places for its numbers.
inline std::string tensor(const std::string& name, const std::vector<int64_t>& dims, int type,
                          const std::string& raw_data, const std::string& rest = {}) {
  std::string bytes;
  for (const int64_t dim : dims) bytes += field(1, dim);
  bytes += field(2, int64_t{type}) + field(8, name);
  if (!raw_data.empty()) bytes += field(9, raw_data);
  return bytes + rest;
}
inline std::string floats(const std::string& name, const std::vector<int64_t>& dims,
                          const std::vector<float>& values) {
  return tensor(name, dims, kFloat, raw(values));
}
inline std::string external(const std::string& name, const std::vector<int64_t>& dims,
                            const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string rest = field(14, int64_t{1});
  for (const auto& [key, value] : entries) rest += field(13, field(1, key) + field(2, value));
  return tensor(name, dims, kFloat, {}, rest);
}

inline std::string integer(const std::string& name, int64_t value) {
  return field(5, field(1, name) + field(3, value));
}
inline std::string integers(const std::string& name, const std::vector<int64_t>& values) {
  std::string bytes = field(1, name);
  for (const int64_t value : values) bytes += field(8, value);
  return field(5, bytes);
}
inline std::string real(const std::string& name, float value) {
  return field(5, field(1, name) + number(2 << 3 | 5) + raw<float>({value}));
}
// `rest`: attributes and metadata.
inline std::string node(const std::string& op, const std::string& name,
                        const std::vector<std::string>& inputs, const std::string& output,
                        const std::string& rest = {}) {
  std::string bytes;
  for (const std::string& input : inputs) bytes += field(1, input);
  return bytes + field(2, output) + field(3, name) + field(4, op) + rest;
}

inline std::string graph(const std::vector<std::string>& nodes, const std::vector<std::string>& tensors,
                         const std::string& rest = {}) {
  std::string bytes;
  for (const std::string& node : nodes) bytes += field(1, node);
  for (const std::string& tensor : tensors) bytes += field(5, tensor);
  return bytes + rest;
}
inline std::string model(const std::vector<std::string>& nodes, const std::vector<std::string>& tensors,
                         const std::string& rest = {}) {
  return field(1, int64_t{8}) + field(2, std::string("test")) + field(7, graph(nodes, tensors, rest));
}

}  // namespace mlxe::test::onnx
