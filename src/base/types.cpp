#include "mlx_encoder/types.h"

#include <array>
#include <cctype>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct DtypeRow {
  Dtype dtype;
  size_t size;
  const char* safetensors;
  const char* numpy;
};

constexpr std::array<DtypeRow, 13> kDtypes{{
    {Dtype::f64, 8, "F64", "float64"},
    {Dtype::f32, 4, "F32", "float32"},
    {Dtype::f16, 2, "F16", "float16"},
    {Dtype::bf16, 2, "BF16", "bfloat16"},
    {Dtype::i64, 8, "I64", "int64"},
    {Dtype::i32, 4, "I32", "int32"},
    {Dtype::i16, 2, "I16", "int16"},
    {Dtype::i8, 1, "I8", "int8"},
    {Dtype::u64, 8, "U64", "uint64"},
    {Dtype::u32, 4, "U32", "uint32"},
    {Dtype::u16, 2, "U16", "uint16"},
    {Dtype::u8, 1, "U8", "uint8"},
    {Dtype::boolean, 1, "BOOL", "bool"},
}};

const DtypeRow& row(Dtype dtype) noexcept {
  return kDtypes[static_cast<size_t>(dtype)];
}

}  // namespace

size_t size_of(Dtype dtype) noexcept {
  return row(dtype).size;
}

const char* name(Dtype dtype) noexcept {
  return row(dtype).safetensors;
}

bool is_float(Dtype dtype) noexcept {
  return dtype <= Dtype::bf16;
}

Dtype parse_dtype(std::string_view spelling) {
  for (const DtypeRow& r : kDtypes)
    if (spelling == r.safetensors || spelling == r.numpy) return r.dtype;
  throw Error(ErrorCode::usage,
              "dtype: \"" + std::string(spelling) + "\" is unknown; use float32, float16 or bfloat16");
}

int64_t element_count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace mlxe
