// Calibration: the texts a matrix is rounded for, how it is rounded, and what became of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// How a matrix is rounded when texts are given. All write the same format.
enum class CalibrationMethod {
  automatic,  // gptq, or rtn where its measured error is smaller
  rtn,        // round to nearest
  mse,        // each group's scale and bias by a search; errors weighted by the squared activations
  gptq,       // the same, and each column's rounding error is compensated in the columns not yet rounded
};
CalibrationMethod parse_calibration_method(
    std::string_view spelling);  // "auto", "rtn", "mse", "gptq"; throws usage
const char* name(CalibrationMethod method) noexcept;

// A text of this project's own: about a thousand short and long ones in many styles, a sixth of it in some
// forty languages other than English, a third of it pairs.
std::vector<TextInput> default_calibration_texts();

// Whether the built-in text joins the texts given: texts of one narrow kind alone can make a model worse on
// all others.
enum class BuiltInText { mixed_in, left_out };

// Texts like those the model will see; docs/convert.md says how many. A pair is two texts for a model without
// classifier.
struct Calibration {
  std::vector<TextInput> texts;  // none: the built-in text alone, unless it is left out
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t limit = 0;  // texts to use, spread over all of them; 0: as many as fit the default number of tokens
  BuiltInText built_in = BuiltInText::mixed_in;
};

// What became of one matrix. Errors are relative: of a linear's outputs on the calibration texts (root of the
// mean square, against what the original model makes there), of a table's values.
struct TensorCalibration {
  std::string name;                   // as written
  std::string method;                 // "gptq", "mse" or "rtn"
  double plain_error = 0, error = 0;  // of rounding to nearest; of what was written
};

}  // namespace mlxe
