// Quantizing a model's matrices by what they do to its outputs on the user's texts. docs/convert.md.
//
// The model runs once, all calibration texts at a time, on two sets of weights side by side: the original
// ones, and those that will be written. When the run comes to a linear, its inputs in both are known; its
// matrix is then rounded so that it makes of the second inputs what the original made of the first, its bias
// takes up the difference that remains on average, and the run goes on.
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

// `schemes`: of every matrix to quantize, by canonical name; all affine. `threads` 0: all cores. `scratch`: a
// folder for a temporary file of activations; empty: the system's. `journal`: a folder to note finished steps
// in, for another run with the same model, texts and options to go on from; empty: none. Errors: those of
// reading a folder and its tokenizer; usage (no tokens in the texts); numeric (NaN, infinity or values beyond
// a dtype, naming the tensor).
CalibratedWeights calibrate_weights(const std::filesystem::path& model, const Calibration& calibration,
                                    const std::map<std::string, Scheme>& schemes, int threads,
                                    const Warning& warning, const Progress& progress,
                                    const std::filesystem::path& scratch = {},
                                    const std::filesystem::path& journal = {});

}  // namespace mlxe
