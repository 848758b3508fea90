// Quantizes a model's matrices so that its outputs on the calibration texts change least. docs/convert.md.
//
// The model runs once over all calibration texts, on two sets of weights side by side: the original weights, and the
// weights that will be written. When the run reaches a linear, the linear's inputs on both sides are known. Its
// matrix is then rounded so that the outputs on the quantized side are near the original outputs. Its bias corrects
// the mean of the remaining error. Then the run continues.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "mlx_encoder/calibration.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

struct CalibratedWeights {
  std::map<std::string, QuantizedMatrix> matrices;    // by canonical name
  std::map<std::string, std::vector<float>> vectors;  // biases, weights of norms
  std::vector<TensorCalibration> report;              // in the order of the run; names are canonical
};

//   schemes  the scheme of every matrix to quantize, by canonical name; all affine
//   threads  0: all cores
//   scratch  the folder of the temporary file of activations; empty: the system's
//   journal  a folder that records finished steps, so that an interrupted calibration of the same model, texts and
//            options can be resumed; empty: no record
// Errors: those of reading a folder and its tokenizer; usage (no tokens in the texts); numeric (NaN, infinity or
// values beyond a dtype; names the tensor).
CalibratedWeights calibrate_weights(const std::filesystem::path& model, const Calibration& calibration,
                                    const std::map<std::string, Scheme>& schemes, int threads,
                                    const Warning& warning, const Progress& progress,
                                    const std::filesystem::path& scratch = {},
                                    const std::filesystem::path& journal = {});

}  // namespace mlxe
