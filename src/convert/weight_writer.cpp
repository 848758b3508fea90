#include "convert/weight_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/half.h"
#include "base/thread_pool.h"
#include "convert/weight_components.h"
#include "mlx_encoder/error.h"
#include "quant/matrix.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kRowsAtOnce = 64;          // of a matrix being dequantized, by one thread
constexpr int64_t kSliceValues = 8'000'000;  // of a matrix being converted: 32 MB of float32

// Any tensor as a matrix. Errors name the row.
std::pair<int64_t, int64_t> as_matrix(const Shape& shape) {
  if (shape.empty()) return {1, 1};
  const int64_t columns = shape.back();
  return {columns == 0 ? 0 : element_count(shape) / columns, columns};
}

class WeightWriter {
 public:
  WeightWriter(const PreparedConversion& prepared, const CalibratedWeights& calibrated,
               const Progress& progress)
      : weights_(prepared.weights()),
        plan_(prepared.plan()),
        checkpoint_(prepared.source().checkpoint),
        options_(prepared.options()),
        calibrated_(calibrated),
        progress_(progress),
        pool_(options_.threads, [this](std::string_view sentence) { warn(sentence); }) {
    for (const TensorJob& job : weights_.tensors) total_ += job.source.bytes();
  }

  void write(const fs::path& folder) {
    report();
    for (const Shard& shard : weights_.shards) {
      SafetensorsWriter file(folder / shard.file, weights_.components(shard), weights_.metadata,
                             Placement::fresh);
      for (size_t i = shard.first; i < shard.first + shard.count; ++i) write_tensor(i, file);
      file.finish();
    }
    for (const auto& [written, dropped] : weights_.tied) compare_tied(written, dropped);
  }

 private:
  void report() const {
    if (progress_) progress_("converting", done_, total_);
  }

  void write_tensor(size_t index, SafetensorsWriter& file) {
    const TensorJob& job = weights_.tensors[index];
    const PlannedTensor& planned = plan_.tensors[index];
    const StoredWeight& source = job.source;
    const auto matrix = calibrated_.matrices.find(source.name);
    if (job.origin != TensorJob::Origin::stored) {
      file.write(planned.name, synthesize(job, planned));
    } else if (matrix != calibrated_.matrices.end()) {
      const QuantizedMatrix& m = matrix->second;
      for (size_t i = 0; i < job.components.size(); ++i)
        file.write(job.components[i].name, i == 0 ? m.codes : i == 1 ? m.scales : m.biases);
    } else if (source.scheme.mode == Mode::none ? !is_float(source.dtype)
                                                : same_form(source.scheme, planned.scheme)) {
      copy(job, planned, file);
    } else {
      convert(job, planned, file);
    }
    for (const auto& component : {source.codes, source.scales, source.biases})
      if (!component.empty()) checkpoint_.release(component);
    done_ += source.bytes();
    report();
  }

  // Stored as it should be already.
  void copy(const TensorJob& job, const PlannedTensor& planned, SafetensorsWriter& file) {
    const StoredWeight& source = job.source;
    if (is_mlx(source.scheme.mode) || source.scheme.mode == Mode::int8)
      try {  // values that decode to NaN or infinity are an error
        floats_.resize(static_cast<size_t>(planned.shape[1]));
        for (int64_t row = 0; row < planned.shape[0]; ++row)
          dequantize_rows({source.codes, source.scales, source.biases}, source.scheme, planned.shape[0],
                          planned.shape[1], row, 1, floats_);
      } catch (const Error& error) {
        rethrow(error, planned);
      }
    const std::span<const std::byte> stored[] = {source.codes, source.scales, source.biases};
    for (size_t i = 0; i < job.components.size(); ++i) file.write(job.components[i].name, stored[i]);
  }

  // In slices of rows: memory does not grow with the matrix, nor do the mapped pages of the source.
  void convert(const TensorJob& job, const PlannedTensor& planned, SafetensorsWriter& file) {
    const auto [rows, columns] = as_matrix(planned.shape);
    if (rows == 0 || columns == 0) return;
    const bool shares_rows = planned.scheme.mode == Mode::fake;  // one scale for all
    const int64_t at_once =
        shares_rows ? rows : std::clamp<int64_t>(kSliceValues / columns, std::min(rows, kRowsAtOnce), rows);
    const auto slice = [rows = rows](auto bytes, int64_t first, int64_t count) {
      const auto all = static_cast<uint64_t>(rows), from = static_cast<uint64_t>(first);
      return bytes.subspan(bytes.size() * from / all, bytes.size() * static_cast<uint64_t>(count) / all);
    };
    for (size_t i = 1; i < std::size(components_); ++i)
      components_[i].resize(i < job.components.size() ? job.components[i].bytes() : 0);
    for (int64_t first = 0; first < rows; first += at_once) {
      const int64_t count = std::min(at_once, rows - first);
      components_[0].resize(job.components[0].bytes() / static_cast<uint64_t>(rows) *
                            static_cast<uint64_t>(count));
      const std::span<const std::byte> stored = slice(job.source.codes, first, count);
      try {
        const auto [values, dtype] = source_values(job.source, stored, rows, columns, first, count);
        quantize_into(values, dtype, count, columns, planned.scheme,
                      {components_[0], slice(std::span(components_[1]), first, count),
                       slice(std::span(components_[2]), first, count)},
                      pool_, first);
      } catch (const Error& error) {
        rethrow(error, planned);
      }
      file.write(job.components[0].name, components_[0]);
      checkpoint_.release(stored);
    }
    for (size_t i = 1; i < job.components.size(); ++i) file.write(job.components[i].name, components_[i]);
  }

  // Rows [first, first + count), whose codes are `stored`.
  std::pair<std::span<const std::byte>, Dtype> source_values(const StoredWeight& source,
                                                             std::span<const std::byte> stored, int64_t rows,
                                                             int64_t columns, int64_t first, int64_t count) {
    if (const auto vector = calibrated_.vectors.find(source.name); vector != calibrated_.vectors.end())
      return {std::as_bytes(std::span(vector->second))
                  .subspan(static_cast<size_t>(first * columns) * sizeof(float),
                           static_cast<size_t>(count * columns) * sizeof(float)),
              Dtype::f32};
    if (source.scheme.mode == Mode::none) return {stored, source.dtype};
    dequantize(source, rows, columns, first, count);
    return {std::as_bytes(std::span(floats_)), Dtype::f32};
  }

  [[noreturn]] void rethrow(const Error& error, const PlannedTensor& planned) const {
    if (error.code() != ErrorCode::numeric) throw error;
    throw Error(ErrorCode::numeric,
                fmt::format("{}: {}, {}", checkpoint_.folder().string(), planned.source, error.what()));
  }

  // Fills floats_.
  void dequantize(const StoredWeight& source, int64_t rows, int64_t columns, int64_t first, int64_t count) {
    floats_.resize(static_cast<size_t>(count * columns));
    const MatrixView view{source.codes, source.scales, source.biases};
    pool_.parallel_for((count + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t block, int) {
      const int64_t begin = block * kRowsAtOnce, taken = std::min(kRowsAtOnce, count - begin);
      dequantize_rows(view, source.scheme, rows, columns, first + begin, taken,
                      std::span(floats_).subspan(static_cast<size_t>(begin * columns),
                                                 static_cast<size_t>(taken * columns)));
    });
  }

  std::span<const std::byte> synthesize(const TensorJob& job, const PlannedTensor& planned) {
    auto& bytes = components_[0];
    bytes.assign(job.components[0].bytes(), std::byte{0});
    if (job.origin == TensorJob::Origin::zeros) return bytes;
    const float one = 1;
    const uint16_t half = planned.scheme.dtype == Dtype::f16 ? float_to_f16(one) : float_to_bf16(one);
    const bool wide = planned.scheme.dtype == Dtype::f32;
    const size_t size = size_of(planned.scheme.dtype), n = static_cast<size_t>(planned.shape[0]);
    for (size_t i = 0; i < n; ++i)
      std::memcpy(bytes.data() + (i * n + i) * size, wide ? static_cast<const void*>(&one) : &half, size);
    return bytes;
  }

  void compare_tied(const StoredWeight& written, const StoredWeight& dropped) const {
    if (written.scheme == dropped.scheme && std::ranges::equal(written.codes, dropped.codes) &&
        std::ranges::equal(written.scales, dropped.scales) &&
        std::ranges::equal(written.biases, dropped.biases))
      return;
    warn(fmt::format(
        "{}: {} differs from {}, but config.json ties them (\"tie_word_embeddings\"), so transformers "
        "ignores it "
        "and it is not written",
        checkpoint_.folder().string(), dropped.name, written.name));
  }

  void warn(std::string_view sentence) const {
    if (options_.strict) throw Error(ErrorCode::strict, std::string(sentence));
    if (options_.warning) options_.warning(sentence);
  }

  const WeightJobs& weights_;
  const ConversionPlan& plan_;
  const Checkpoint& checkpoint_;
  const ConvertOptions& options_;
  const CalibratedWeights& calibrated_;
  const Progress& progress_;
  ThreadPool pool_;
  std::vector<std::byte> components_[3];  // of the tensor being converted; [0]: of the slice
  std::vector<float> floats_;             // of the slice
  uint64_t total_ = 0, done_ = 0;
};

}  // namespace

void write_weights(const PreparedConversion& prepared, const CalibratedWeights& calibrated,
                   const fs::path& folder, const Progress& progress) {
  WeightWriter(prepared, calibrated, progress).write(folder);
}

}  // namespace mlxe
