#include "format/onnx_operators.h"

#include <algorithm>
#include <iterator>

namespace mlxe {
namespace {

constexpr size_t kNo = OnnxProduct::kNoInput;

// onnxruntime's operators (com.microsoft) beside those of ONNX.
constexpr OnnxProduct kProducts[] = {
    {"MatMul", 1},
    {"FusedMatMul", 1},
    {"Gemm", 1, kNo, kNo, 2},
    {"FusedGemm", 1, kNo, kNo, 2},
    {"MatMulInteger", 1, kNo, 3},  // the scale is in a product that follows
    {"MatMulIntegerToFloat", 1, 3, 5, 6},
    {"DynamicQuantizeMatMul", 1, 2, 3, 4},
};
constexpr std::string_view kMerging[] = {
    "Attention",
    "QAttention",
    "PackedAttention",
    "MultiHeadAttention",
    "PackedMultiHeadAttention",
    "LongformerAttention",
    "QOrderedAttention",
    "QOrderedMatMul",
    "QLinearMatMul",
    "QGemm",
    "MatMulBnb4",
    "MatMulFpQ4",
    "QEmbedLayerNormalization",
};
constexpr std::string_view kAdding[] = {"Add", "BiasAdd", "BiasGelu", "FastGelu"};

}  // namespace

const OnnxProduct* find_onnx_product(std::string_view op) {
  const auto found = std::ranges::find(kProducts, op, &OnnxProduct::op);
  return found == std::end(kProducts) ? nullptr : found;
}

bool merges_weights(std::string_view op) {
  return std::ranges::find(kMerging, op) != std::end(kMerging);
}

bool adds_bias(std::string_view op) {
  return std::ranges::find(kAdding, op) != std::end(kAdding);
}

}  // namespace mlxe
