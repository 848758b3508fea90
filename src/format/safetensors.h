// The safetensors container: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes.
//
// The reader is as strict as the reference implementation (huggingface/safetensors): every offset lies
// inside the file, the tensors cover the data without overlap or hole, and a tensor's size follows from
// dtype and shape. Unlike the reference, it also refuses a name that appears twice. Data may be unaligned
// (MLX writes headers of any length): bytes are read with memcpy or to_float(), never through a cast
// pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "format/tensor_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the reference implementation's limit

// A ParseTensors; the tensors are in the order of their data.
TensorContent parse_safetensors(std::span<const std::byte> bytes, const std::string& where);

class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path) : TensorFile(path, parse_safetensors) {}
};

struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;

  uint64_t bytes() const { return static_cast<uint64_t>(element_count(shape)) * size_of(dtype); }
};

// Writes one file front to back. The header, and so the size, follows from the specs alone. The tensors'
// bytes are streamed in the order of the specs. The same specs, metadata and bytes give the same file.
class SafetensorsWriter {
 public:
  using Metadata = std::map<std::string, std::string>;

  // Exact size in bytes of the file for these specs.
  static uint64_t predicted_size(std::span<const TensorSpec> specs, const Metadata& metadata);

  // Errors: usage (a name twice, or "__metadata__"), io (can't be created, or the volume has less free space
  // than predicted_size).
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs, const Metadata& metadata,
                    Placement placement = Placement::replace);
  // Leaves nothing unless finish() succeeded.
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Appends the next bytes of tensor `name`; a tensor may come in several pieces. Errors: internal (out of
  // order, more bytes than the spec says), io (full disk, ...).
  void write(std::string_view name, std::span<const std::byte> piece);
  // Flushes to the device and puts the file into place. Errors: internal (a tensor is incomplete), io.
  void finish();
  bool is_standard_output() const noexcept { return file_->is_standard_output(); }

 private:
  bool complete() const;  // whether the current tensor has all its bytes
  void advance();

  std::vector<TensorSpec> specs_;
  size_t current_ = 0;    // spec being written
  uint64_t written_ = 0;  // bytes of it so far
  std::unique_ptr<OutputFile> file_;
};

}  // namespace mlxe
