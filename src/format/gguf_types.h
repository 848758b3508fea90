// The types of tensors in GGUF files: plain numbers, and blocks of quantized ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe {

struct GgufType {
  uint32_t number;  // in the file
  const char* name;
  int64_t block;               // elements, which lie in one row
  size_t bytes;                // of a block
  std::optional<Dtype> plain;  // numbers that need no decoding
  void (*decode)(const std::byte* block, float* out);
};

// nullptr for a type that is not read.
const GgufType* find_gguf_type(uint32_t number) noexcept;
// For messages: "IQ2_XXS", "number 77".
std::string gguf_type_name(uint32_t number);

// Blocks of quantized numbers to float32, as gguf-py's dequantize() gives them to the bit. `out` has the elements of
// `data`, which is whole blocks.
void decode_gguf(const GgufType& type, std::span<const std::byte> data, float* out);

}  // namespace mlxe
