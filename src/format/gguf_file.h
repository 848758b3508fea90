// GGUF, the container of llama.cpp: typed key-value pairs that describe a model, and its tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "format/gguf_types.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// The kinds of values, as the file numbers them.
enum class GgufKind : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

// Elements of one kind, which is no array. `bytes`: as in the file; of texts each with its length before it.
struct GgufArray {
  GgufKind kind = GgufKind::u8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;
};

struct GgufValue {
  GgufKind kind = GgufKind::u8;
  // Whole numbers of all widths are int64_t (an u64 from 2^63 on is a double), f32 and f64 double.
  std::variant<bool, int64_t, double, std::string_view, GgufArray> value;
};

struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;                // as the file numbers it
  const GgufType* known = nullptr;  // nullptr: a type that is not read
  Shape shape;                      // rows first, as everywhere here; the file has it the other way round
  std::span<const std::byte> data;  // empty if the type is not known
};

// A parsed header. Views point into the file's bytes.
struct GgufFile {
  std::string where;  // names the file in errors
  std::map<std::string_view, GgufValue> values;
  std::vector<GgufTensor> tensors;  // in the order of the file; they do not overlap

  // Versions 2 and 3, little endian. Memory is at most a multiple of the file's size, whatever its counts say. Errors:
  // format (malformed, truncated), unsupported (version 1, big endian, arrays of arrays).
  static GgufFile parse(std::span<const std::byte> bytes, const std::string& where);

  const GgufValue* find(std::string_view key) const;  // notes the key as asked for
  // nullptr if absent.
  const GgufTensor* find_tensor(std::string_view name) const;

  // None if the key is absent. Errors: format (a value of another kind, NaN or infinity, a text that is not UTF-8).
  std::optional<bool> flag(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // whole numbers too
  std::optional<std::string> text(std::string_view key) const;
  std::optional<std::vector<std::string>> texts(std::string_view key) const;  // an array
  std::optional<std::vector<double>> numbers(std::string_view key) const;     // an array; a flag is 0 or 1

  // "general.architecture". Errors: format (absent).
  std::string architecture() const;
  // Keys that were never asked for, sorted.
  std::vector<std::string_view> unused_keys() const;
  [[noreturn]] void malformed(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what) const;

  mutable std::set<std::string_view> asked = {};  // not thread-safe
};

}  // namespace mlxe
