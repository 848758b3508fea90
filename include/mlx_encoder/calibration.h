// Calibration: the texts, the rounding method, and the result for each matrix.
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
  gptq,       // as mse, and each column's rounding error is compensated in the columns not yet rounded
};
// "auto", "rtn", "mse", "gptq". Throws usage.
CalibrationMethod parse_calibration_method(std::string_view spelling);
const char* name(CalibrationMethod method) noexcept;

// The built-in texts, written for this project: about a thousand short and long texts in many styles. A sixth
// is in some forty languages other than English. A third are pairs.
std::vector<TextInput> default_calibration_texts();

// Whether the built-in texts are used beside the given texts. Texts of one narrow kind alone can make a model
// worse on other texts.
enum class BuiltInText { mixed_in, left_out };

// Texts like those the model will see; docs/convert.md says how many. In a model without a classifier, a pair
// counts as two texts.
struct Calibration {
  std::vector<TextInput> texts;  // empty: the built-in texts alone, unless they are left out
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t limit = 0;  // texts to use, spread over all of them; 0: as many as fit the default number of tokens
  BuiltInText built_in = BuiltInText::mixed_in;
};

// The calibration of one matrix. Errors are relative. For a linear: root mean square error of its outputs
// on the calibration texts, relative to the original model's outputs. For a table: error of its values.
struct TensorCalibration {
  std::string name;                 // as written
  std::string method;               // "gptq", "mse" or "rtn"
  double rtn_error = 0, error = 0;  // with round-to-nearest; as written
};

}  // namespace mlxe
