// A mapped file of tensors, whatever its format: safetensors, torch or npz.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::span<const std::byte> data;  // row-major, little endian, any alignment
  bool mapped = true;               // `data` lies in the file; false: in memory of its own
  // The quantized form in the file that `data` was decoded from, "Q8_0"; empty: `data` is what the file has. With it,
  // the bytes of that form.
  std::string decoded_from = {};
  uint64_t stored_bytes = 0;
};

// A file beside the one that is read, which holds some of its tensors.
struct SideFile {
  std::filesystem::path path;
  MappedFile file;
};

struct TensorContent {
  std::vector<TensorView> tensors;
  std::map<std::string, std::string> metadata;       // safetensors' "__metadata__"
  std::vector<std::unique_ptr<std::byte[]>> copies;  // memory of the tensors that are not `mapped`
  std::vector<SideFile> beside = {};
  std::vector<std::string> warnings = {};  // a sentence for each fact that a user must know
};

// Parses and checks a whole file in `bytes`; the views point into `bytes`, `copies` or `beside`. `where` is the file's
// path, for errors and to find what lies beside it. Errors: format (malformed), unsupported (well-formed, but this version can't read it).
using ParseTensors = TensorContent(std::span<const std::byte> bytes, const std::string& where);

// Move-only; views live as long as the object (moving it keeps them valid). Reading is thread-safe.
class TensorFile {
 public:
  // Errors: not_found, io, and those of `parse`.
  TensorFile(const std::filesystem::path& path, ParseTensors& parse);

  const std::filesystem::path& path() const noexcept { return path_; }
  uint64_t size() const noexcept { return file_.bytes().size(); }  // of the file, bytes
  std::span<const std::byte> bytes() const noexcept { return file_.bytes(); }
  const std::vector<TensorView>& tensors() const noexcept { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const noexcept { return content_.metadata; }
  const TensorView* find(std::string_view name) const;  // nullptr if absent
  const std::vector<SideFile>& beside() const noexcept { return content_.beside; }
  const std::vector<std::string>& warnings() const noexcept { return content_.warnings; }

  // Gives the pages behind `data` back to the system, if `data` lies in this file or one beside it. They are read again on the
  // next access.
  void release(std::span<const std::byte> data) const noexcept;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  TensorContent content_;
  std::unordered_map<std::string, size_t> index_;
};

// The size in bytes of a tensor of this shape, whose elements have `element` bytes. nullopt from 2^63 on, and
// for a negative dimension.
std::optional<uint64_t> checked_bytes(size_t element, const Shape& shape) noexcept;

// The elements of `element` bytes each that lie at first + (sum of index * stride), strides in elements, row-major in a
// block of its own. `bytes`: of the copy, more than 0. All of them were checked to be there.
std::unique_ptr<std::byte[]> contiguous_copy(const std::byte* first, size_t element, const Shape& shape,
                                             const Shape& strides, uint64_t bytes);

// Converts little-endian values of `dtype` at any alignment to float32 (round to nearest; F16 and BF16
// exactly). `data` holds exactly out.size() elements, else Error(internal).
void to_float(Dtype dtype, std::span<const std::byte> data, std::span<float> out);
inline void to_float(const TensorView& tensor, std::span<float> out) {
  to_float(tensor.dtype, tensor.data, out);
}
std::vector<float> to_floats(const TensorView& tensor);

}  // namespace mlxe
