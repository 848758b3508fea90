// What a loaded engine offers: it takes weights, and runs a model whose handles name them.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "format/stored_weight.h"
#include "mlx_encoder/engine.h"
#include "models/model.h"
#include "models/outputs.h"

namespace mlxe {

class ThreadPool;

struct RunRequest {
  Batch batch;
  Outputs wanted;               // nothing else is computed
  std::vector<size_t> numbers;  // of the batch's texts in messages; empty: from 1 on
};

class RunResult {
 public:
  std::vector<Matrix> layers;  // of Output::layers: the embeddings', then each layer's

  // Of any other output. Empty: it was not asked for.
  Matrix& operator[](Output output) { return matrices_[index_of(output)]; }
  const Matrix& operator[](Output output) const { return matrices_[index_of(output)]; }

  // Calls visit(output, matrix) for each matrix, those of layers first.
  template <class Visit>
  void each(Visit visit) {
    each_of(*this, visit);
  }
  template <class Visit>
  void each(Visit visit) const {
    each_of(*this, visit);
  }

  // Gives the values away, for their memory, and is empty.
  std::vector<Matrix::Values> take_values();

 private:
  template <class Result, class Visit>
  static void each_of(Result& result, Visit& visit) {
    for (auto& m : result.layers) visit(Output::layers, m);
    for (const OutputEntry& o : kOutputTable)
      if (o.output != Output::layers) visit(o.output, result[o.output]);
  }

  std::array<Matrix, kOutputs> matrices_;
};

// Throws numeric, naming the text of the first NaN or infinity.
void check_finite(const RunRequest& request, const RunResult& result);

struct EngineInfo {
  std::string engine;                              // "cpu", "mlx"
  std::string variant;                             // "avx512, 2 threads"; "MLX 0.32.4, cpu device"
  std::vector<std::string> notes;                  // what a user should hear: "scales upcast to float32 ..."
  Activations activations = Activations::float32;  // where they meet a quantized matrix
};

struct EngineOptions {
  int threads = 0;  // 0: all cores
  // Of the cpu engine's products; the MLX engine's are always float32.
  Activations activations = Activations::float32;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // The span's memory must outlive the engine (it is a mapped file as a rule).
  virtual WeightId add(const StoredWeight& weight) = 0;
  // Thread-safe once all weights are added. Throws numeric when an asked-for result holds NaN or infinity.
  virtual void run(const Model& model, const RunRequest& request, RunResult& result) = 0;
  virtual EngineInfo info() const = 0;
};

// `pool`: the threads to use, shared with the caller; none: a pool of options.threads.
std::unique_ptr<Engine> make_cpu_engine(const EngineOptions& options,
                                        std::shared_ptr<ThreadPool> pool = nullptr);
// Throws unsupported, with what is missing, where MLX can't be had.
std::unique_ptr<Engine> make_mlx_engine(const EngineOptions& options);
// Whether MLX can be had and has a GPU. Loads MLX only on a machine that may have one.
bool mlx_has_gpu() noexcept;

}  // namespace mlxe
