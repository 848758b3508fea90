#include <algorithm>
#include <array>
#include <initializer_list>

#include "mlx_encoder/error.h"
#include "mlx_encoder/quantize.h"
#include "quant/matrix.h"

namespace mlxe {
namespace {

constexpr std::array kModeNames{"float", "affine", "mxfp4", "mxfp8", "nvfp4", "int8", "fake"};

const char* long_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::f16:
      return "float16";
    case Dtype::bf16:
      return "bfloat16";
    default:
      return "float32";
  }
}

bool one_of(int value, std::initializer_list<int> legal) {
  return std::find(legal.begin(), legal.end(), value) != legal.end();
}

[[noreturn]] void illegal(const Scheme& scheme, const char* what, int found, const char* legal) {
  throw Error(ErrorCode::usage, std::string(name(scheme.mode)) + " quantization: found " + what + " " +
                                    std::to_string(found) + ", expected " + legal);
}

// Throws unless bits and group size are the only legal pair of the mode.
void require(const Scheme& scheme, int bits, int group_size) {
  if (scheme.bits != bits) illegal(scheme, "bits", scheme.bits, std::to_string(bits).c_str());
  if (scheme.group_size != group_size)
    illegal(scheme, "group size", scheme.group_size, std::to_string(group_size).c_str());
}

}  // namespace

const char* name(Mode mode) noexcept {
  return kModeNames[static_cast<size_t>(mode)];
}

Mode parse_mode(std::string_view spelling) {
  std::string list;
  for (size_t i = 0; i < kModeNames.size(); ++i) {
    if (spelling == kModeNames[i]) return static_cast<Mode>(i);
    list += (i ? ", " : "") + std::string(kModeNames[i]);
  }
  throw Error(ErrorCode::usage,
              "quantization mode: \"" + std::string(spelling) + "\" is unknown; use one of " + list);
}

std::string to_string(const Scheme& scheme) {
  const std::string mode = name(scheme.mode);
  switch (scheme.mode) {
    case Mode::none:
      return long_name(scheme.dtype);
    case Mode::affine:
      return mode + " " + std::to_string(scheme.bits) + "-bit g" + std::to_string(scheme.group_size) + " " +
             long_name(scheme.dtype);
    case Mode::mxfp4:
    case Mode::mxfp8:
    case Mode::nvfp4:
      return mode + " g" + std::to_string(scheme.group_size);
    case Mode::int8:
      return "int8 per row";
    case Mode::fake:
      return "fake int8 in float32";
  }
  return mode;
}

void validate(const Scheme& scheme) {
  if (!one_of(static_cast<int>(scheme.dtype),
              {static_cast<int>(Dtype::f32), static_cast<int>(Dtype::f16), static_cast<int>(Dtype::bf16)}))
    throw Error(ErrorCode::usage, std::string(name(scheme.mode)) + " weights: dtype " + name(scheme.dtype) +
                                      " can't be written; use float16, bfloat16 or float32");
  switch (scheme.mode) {
    case Mode::none:
      return require(scheme, 0, 0);
    case Mode::affine:
      if (!one_of(scheme.bits, {2, 3, 4, 5, 6, 8}))
        illegal(scheme, "bits", scheme.bits, "2, 3, 4, 5, 6 or 8");
      if (!one_of(scheme.group_size, {32, 64, 128}))
        illegal(scheme, "group size", scheme.group_size, "32, 64 or 128");
      return;
    case Mode::mxfp4:
      return require(scheme, 4, 32);
    case Mode::mxfp8:
      return require(scheme, 8, 32);
    case Mode::nvfp4:
      return require(scheme, 4, 16);
    case Mode::int8:
    case Mode::fake:
      return require(scheme, 8, 0);
  }
}

bool fits(const Scheme& scheme, int64_t columns) noexcept {
  // Every legal group (at least 16 values of at least 2 bits) fills whole uint32 words.
  return columns > 0 && (scheme.group_size == 0 || columns % scheme.group_size == 0);
}

ComponentBytes component_bytes(const Scheme& scheme, int64_t rows, int64_t columns) {
  validate(scheme);
  constexpr int64_t kLargest = int64_t{1} << 56;  // keeps every product below in range
  if (rows < 0 || columns < 0 || (columns > 0 && rows > kLargest / columns))
    throw Error(ErrorCode::usage,
                "matrix of shape " + to_string(Shape{rows, columns}) + ": not a size a file can hold");
  if (!fits(scheme, columns))
    throw Error(ErrorCode::usage, to_string(scheme) + ": rows of " + std::to_string(columns) +
                                      " values can't be stored; the length must be a positive multiple of " +
                                      std::to_string(std::max(scheme.group_size, 1)));
  const auto count = static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns);
  const uint64_t groups = scheme.group_size ? count / static_cast<uint64_t>(scheme.group_size) : 0;
  const uint64_t packed = count * static_cast<uint64_t>(scheme.bits) / 8;
  switch (scheme.mode) {
    case Mode::none:
      return {count * size_of(scheme.dtype), 0, 0};
    case Mode::affine:
      return {packed, groups * size_of(scheme.dtype), groups * size_of(scheme.dtype)};
    case Mode::mxfp4:
    case Mode::mxfp8:
    case Mode::nvfp4:
      return {packed, groups, 0};
    case Mode::int8:
      return {count, static_cast<uint64_t>(rows) * sizeof(float), static_cast<uint64_t>(rows)};
    case Mode::fake:
      return {count * sizeof(float), sizeof(float), sizeof(float)};
  }
  return {};
}

uint64_t stored_bytes(const Scheme& scheme, int64_t rows, int64_t columns) {
  return component_bytes(scheme, rows, columns).total();
}

}  // namespace mlxe
