// Small vocabulary types shared by every public header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlxe {

// Element types a safetensors file can hold and this library reads.
enum class Dtype { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

size_t size_of(Dtype dtype) noexcept;          // bytes per element
const char* name(Dtype dtype) noexcept;        // safetensors' spelling: "F32", "BF16", "U32", "BOOL", ...
bool is_float(Dtype dtype) noexcept;           // f64, f32, f16, bf16
Dtype parse_dtype(std::string_view spelling);  // "float16", "F16", "bfloat16", ...; throws usage

using Shape = std::vector<int64_t>;         // row-major, outermost first
int64_t element_count(const Shape& shape);  // product of dims (1 for a scalar)
std::string to_string(const Shape& shape);  // "[768, 3072]"

// A text, or a pair as cross-encoders and NLI models read it.
struct TextInput {
  std::string text;
  std::optional<std::string> pair;
};

// Called during a long job: `done` of `total` units of `stage`. Called from one thread at a time.
using Progress = std::function<void(std::string_view stage, uint64_t done, uint64_t total)>;

// Called with one sentence for each fact a user must know: a fallback taken, a config key not honoured, a
// text truncated.
using Warning = std::function<void(std::string_view sentence)>;

}  // namespace mlxe
