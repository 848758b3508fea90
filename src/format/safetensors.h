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
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/output_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the reference implementation's limit

struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::span<const std::byte> data;  // row-major, little endian, any alignment
};

struct SafetensorsContent {
  std::vector<TensorView> tensors;              // in the order of their data
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// Parses and checks a whole file in `bytes`; the views point into `bytes`. `where` names the file in errors.
// Errors: format (malformed), unsupported (a well-formed file with a dtype that this version can't read).
SafetensorsContent parse_safetensors(std::span<const std::byte> bytes, const std::string& where);

// A mapped file. Move-only; views live as long as the object (moving it keeps them valid). Reading is
// thread-safe.
class SafetensorsFile {
 public:
  // Errors: not_found, io, and those of parse_safetensors.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }
  uint64_t size() const noexcept { return file_.bytes().size(); }  // of the file, bytes
  std::span<const std::byte> bytes() const noexcept { return file_.bytes(); }
  const std::vector<TensorView>& tensors() const noexcept { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const noexcept { return content_.metadata; }
  const TensorView* find(std::string_view name) const;  // nullptr if absent

  // Gives the pages behind `data` back to the system. They are read again on the next access.
  void release(std::span<const std::byte> data) const noexcept { file_.release(data); }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsContent content_;
  std::unordered_map<std::string, size_t> index_;
};

// Converts little-endian values of `dtype` at any alignment to float32 (round to nearest; F16 and BF16
// exactly). `data` holds exactly out.size() elements, else Error(internal).
void to_float(Dtype dtype, std::span<const std::byte> data, std::span<float> out);
inline void to_float(const TensorView& tensor, std::span<float> out) {
  to_float(tensor.dtype, tensor.data, out);
}
std::vector<float> to_floats(const TensorView& tensor);

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
