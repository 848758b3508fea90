// A model in memory. Rounds one matrix at a time and measures the error at the output.
//
// The original runs once, and the inputs of each layer are stored. A change in layer i then runs only layer i and
// later layers. Float32 activations. Memory: (layers + 1) x tokens x hidden size floats besides the weights.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "allocate/output_cost.h"
#include "base/thread_pool.h"
#include "compare/sequences.h"
#include "engine_cpu/ops.h"
#include "mlx_encoder/quantize.h"

namespace mlxe::allocate {

class SensitivityRunner {
 public:
  // Works on the threads of `original`, which must outlive this. Errors: numeric (the original's output is
  // not finite).
  SensitivityRunner(const TextRunner& original, Output output, const std::vector<Sequence>& sequences);

  const std::vector<TensorUse>& tensors() const noexcept { return tensors_; }
  int stages() const noexcept { return static_cast<int>(model_.layers()) + 2; }

  struct Rounded {
    std::vector<float> values;      // dequantized
    double mean_squared_error = 0;  // against the original's
  };
  // Round-to-nearest, with the bytes that `convert` writes without calibration. Mode none: cast to the scheme's dtype.
  Rounded round(const TensorUse& tensor, const Scheme& scheme) const;

  // The cost of the model with these values in place of the original tensors.
  OutputCost cost(const std::map<std::string, std::vector<float>>& changed);

 private:
  struct Chunk {
    RunRequest request;
    std::vector<Matrix> inputs;  // of each layer; the last entry is the head's input
    Matrix output;
  };
  void bind(const TextRunner& original);
  void cut(const std::vector<Sequence>& sequences);
  enum class LayerInputs { pass, store };
  Matrix run(Chunk& chunk, int stage, int slot, LayerInputs inputs);
  std::vector<float> original_values(const TensorUse& tensor) const;

  Output output_;
  ThreadPool& pool_;
  Model model_;
  std::map<std::string, WeightId> handles_;
  std::deque<cpu::Weight> weights_;
  std::vector<TensorUse> tensors_;
  std::vector<Chunk> chunks_;
  std::vector<std::unique_ptr<cpu::Workspace>> workspaces_;  // by slot
};

}  // namespace mlxe::allocate
