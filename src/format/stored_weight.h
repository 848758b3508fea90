// One weight as a checkpoint stores it: plain data, header-only, shared with the MLX module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// The spans point into the checkpoint's mapped files, and live as long as the checkpoint. Little endian, any
// alignment:
//   none (also fake)  codes: the values, `dtype` shape
//   affine            codes U32 [O, I*bits/32]; scales, biases: scheme.dtype [O, I/group_size]
//   mxfp4 mxfp8 nvfp4 codes U32 [O, I*bits/32]; scales U8 [O, I/group_size]; no biases
//   int8              codes I8 [O, I]; scales F32 [O]; biases: zero points I8 [O]
struct StoredWeight {
  std::string name;  // canonical tensor name, e.g. encoder.layer.0.attention.self.query.weight
  Scheme scheme;     // mode none: plain values
  Shape shape;       // logical, e.g. [O, I], independent of packing
  // Of plain values, or of a quantized matrix's scales (F16 for the modes whose scales are bytes).
  Dtype dtype = Dtype::f32;
  std::span<const std::byte> codes, scales, biases;
  bool mapped = false;  // the spans lie in a read-only mapping of a file, whose pages can be released

  uint64_t bytes() const noexcept { return codes.size() + scales.size() + biases.size(); }
};

}  // namespace mlxe
