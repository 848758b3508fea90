// Warnings and notes about tensors of a plan. Equal remarks are combined into one sentence.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mlx_encoder/convert.h"

namespace mlxe {

inline constexpr size_t kListedNames = 8;  // largest number of names in a message

enum class Purpose { convert, dequantize };

struct PlanRemarks {
  // Names of tensors: in `fallbacks` by reason and canonical, else as in the source.
  std::map<std::string, std::vector<std::string>> fallbacks;
  std::vector<std::string> carried_over, unknown, left_out, requantized, dequantized, stray, buffers, renamed;
  std::vector<std::string> notes;  // of single tensors

  // Adds to plan.warnings, each beginning with `folder`, and to plan.notes.
  void add_to(ConversionPlan& plan, const std::string& folder, Purpose purpose) const;
  // "a row of 24 is not divisible by 32 (3 tensors)", for each reason.
  std::vector<std::string> counted_fallbacks() const;
};

}  // namespace mlxe
