// A matrix in the layout of kernels/int8_table.h or kernels/bf16_table.h, packed once from its stored form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "format/stored_weight.h"
#include "kernels/bf16_table.h"
#include "kernels/int8_table.h"
#include "mlx_encoder/engine.h"

namespace mlxe::cpu {

// Number of columns that share a scale in `scheme`, at most 64, if a weight is scale * (whole number) +
// bias. 0 for other schemes (floats, mxfp8).
int code_group(const Scheme& scheme) noexcept;

class PackedWeight {
 public:
  // `activations`: int8 or bf16, the type of the other operand. `group`: number of columns that share a
  // scale in the packed form, code_group(scheme) or a divisor of it. Weights of more than 4 bits take one
  // byte each, others half a byte. 0: weights become bfloat16, for bf16 activations only.
  PackedWeight(const StoredWeight& stored, int group, Activations activations);

  // The caller provides memory of bytes() bytes (a multiple of 64) with place(), before the first fill().
  size_t bytes() const noexcept;
  void place(std::byte* memory) noexcept;

  int64_t panels() const noexcept { return (rows_ + kInt8Panel - 1) / kInt8Panel; }
  int64_t columns() const noexcept { return columns_; }  // a multiple of 64

  // Fills panel p: output columns [32 p, 32 p + 32). To be called once for each panel, from any thread.
  void fill(int64_t panel);

  // Columns [first, first + count) of a panel; `first` is a multiple of 64. 4-bit codes are expanded into
  // `expanded`, which has room for 32 * count bytes.
  Int8Weights int8_panel(const Int8Kernels& kernels, int64_t panel, int64_t first, int64_t count,
                         uint8_t* expanded) const;
  // Whether int4_panel() and kernels.matmul_int4 can be used for this weight.
  bool has_linear_int4(const Int8Kernels& kernels) const noexcept {
    return int4_ && stored_.scheme.mode == Mode::affine && kernels.matmul_int4 != nullptr;
  }
  Int8Weights int4_panel(int64_t panel, int64_t first) const noexcept {
    return {codes_ + (panel * columns_ + first) * kInt8Panel / 2, scales(panel, first / group_),
            pairs_of_biases(panel, first / group_)};
  }
  // Decodes columns [first, first + count) of a panel to bfloat16, 32 values a column.
  void read_bf16(const Bf16Kernels& kernels, int64_t panel, int64_t first, int64_t count,
                 uint16_t* out) const;
  bool expands() const noexcept { return int4_; }
  // The memory of columns [first, first + count) of a panel, for prefetching.
  ReadAhead ahead(int64_t panel, int64_t first, int64_t count) const noexcept {
    const int64_t bytes_of_two = int4_ ? 1 : 2;
    return {codes_ + (panel * columns_ + first) * kInt8Panel * bytes_of_two / 2,
            count * kInt8Panel * bytes_of_two / 2, scales(panel, first / group_),
            pairs_of_biases(panel, first / group_), count / group_};
  }

 private:
  int shift() const noexcept;
  int64_t values() const noexcept { return panels() * columns_ * kInt8Panel; }
  int64_t code_bytes() const noexcept { return group_ == 0 ? 2 * values() : int4_ ? values() / 2 : values(); }
  int64_t groups() const noexcept { return group_ == 0 ? 0 : columns_ / group_; }
  int64_t scale_count() const noexcept { return panels() * groups() * kInt8Panel; }
  // For 8-bit activations, biases are pairs of bfloat16; else floats.
  int64_t biases_of_a_panel() const noexcept { return (groups() + 1) / 2 * 2 * kInt8Panel; }
  int64_t bias_bytes() const noexcept { return panels() * biases_of_a_panel() * (int8_ ? 2 : 4); }
  void fill_codes(int64_t panel);
  void fill_bf16(int64_t panel);
  float* scales(int64_t panel, int64_t group) const noexcept {
    return scales_ + (panel * groups() + group) * kInt8Panel;
  }
  uint16_t* pairs_of_biases(int64_t panel, int64_t group) const noexcept {
    return reinterpret_cast<uint16_t*>(scales_ + scale_count()) + panel * biases_of_a_panel() +
           group * kInt8Panel;
  }
  float* biases(int64_t panel, int64_t group) const noexcept {
    return scales_ + scale_count() + panel * biases_of_a_panel() + group * kInt8Panel;
  }

  StoredWeight stored_;
  int64_t rows_, columns_;
  int group_;
  bool int8_;                        // for 8-bit activations
  bool int4_;                        // two codes a byte
  std::array<uint8_t, 16> table_{};  // the 8-bit code of each 4-bit code
  uint8_t* codes_ = nullptr;
  float* scales_ = nullptr;  // followed by the biases
};

}  // namespace mlxe::cpu
