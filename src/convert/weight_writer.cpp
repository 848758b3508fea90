#include "convert/weight_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/half.h"
#include "base/thread_pool.h"
#include "convert/pieces.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"
#include "quant/matrix.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kRowsAtOnce = 64;  // of a matrix being dequantized, by one thread

// Any tensor as a matrix: rows are what shares a scale, and what an error names.
std::pair<int64_t, int64_t> as_matrix(const Shape& shape) {
  if (shape.empty()) return {1, 1};
  const int64_t columns = shape.back();
  return {columns == 0 ? 0 : element_count(shape) / columns, columns};
}

class WeightWriter {
 public:
  WeightWriter(const Blueprint& blueprint, const CalibratedWeights& calibrated, const ConvertOptions& options)
      : blueprint_(blueprint),
        calibrated_(calibrated),
        options_(options),
        pool_(options.threads, [this](std::string_view sentence) { warn(sentence); }) {
    for (const Work& work : blueprint.work) total_ += work.source.bytes();
  }

  void write(const fs::path& folder) {
    report();
    for (const Shard& shard : blueprint_.shards) {
      SafetensorsWriter file(folder / shard.file, blueprint_.specs(shard), blueprint_.metadata,
                             Placement::fresh);
      for (size_t i = shard.first; i < shard.first + shard.count; ++i) write_tensor(i, file);
      file.finish();
    }
    for (const auto& [kept, dropped] : blueprint_.tied) compare(kept, dropped);
  }

 private:
  void report() const {
    if (options_.progress) options_.progress("converting", done_, total_);
  }

  void write_tensor(size_t index, SafetensorsWriter& file) {
    const Work& work = blueprint_.work[index];
    const PlannedTensor& planned = blueprint_.plan.tensors[index];
    const StoredWeight& source = work.source;
    const auto matrix = calibrated_.matrices.find(source.name);
    if (work.origin != Work::Origin::stored) {
      file.write(planned.name, make_up(work, planned));
    } else if (matrix != calibrated_.matrices.end()) {
      const QuantizedMatrix& m = matrix->second;
      for (size_t i = 0; i < work.specs.size(); ++i)
        file.write(work.specs[i].name, i == 0 ? m.codes : i == 1 ? m.scales : m.biases);
    } else if (source.scheme.mode == Mode::none ? !is_float(source.dtype)
                                                : same_form(source.scheme, planned.scheme)) {
      copy(work, planned, file);
    } else {
      convert(work, planned);
      for (size_t piece = 0; piece < work.specs.size(); ++piece)
        file.write(work.specs[piece].name, pieces_[piece]);
    }
    for (const auto& piece : {source.codes, source.scales, source.biases})
      if (!piece.empty()) blueprint_.checkpoint.release(piece);
    done_ += source.bytes();
    report();
  }

  // Stored as it should be already.
  void copy(const Work& work, const PlannedTensor& planned, SafetensorsWriter& file) {
    const StoredWeight& source = work.source;
    if (is_mlx(source.scheme.mode) || source.scheme.mode == Mode::int8)
      try {  // what gives NaN or infinity must not be passed on
        floats_.resize(static_cast<size_t>(planned.shape[1]));
        for (int64_t row = 0; row < planned.shape[0]; ++row)
          dequantize_rows({source.codes, source.scales, source.biases}, source.scheme, planned.shape[0],
                          planned.shape[1], row, 1, floats_);
      } catch (const Error& error) {
        rethrow(error, planned);
      }
    const std::span<const std::byte> pieces[] = {source.codes, source.scales, source.biases};
    for (size_t i = 0; i < work.specs.size(); ++i) file.write(work.specs[i].name, pieces[i]);
  }

  // Fills pieces_.
  void convert(const Work& work, const PlannedTensor& planned) {
    const StoredWeight& source = work.source;
    const auto [rows, columns] = as_matrix(planned.shape);
    for (size_t i = 0; i < std::size(pieces_); ++i)
      pieces_[i].resize(i < work.specs.size() ? work.specs[i].bytes() : 0);
    if (rows == 0 || columns == 0) return;
    std::span<const std::byte> values = source.codes;
    Dtype dtype = source.dtype;
    try {
      if (const auto vector = calibrated_.vectors.find(source.name); vector != calibrated_.vectors.end()) {
        values = std::as_bytes(std::span(vector->second));
        dtype = Dtype::f32;
      } else if (source.scheme.mode != Mode::none) {
        dequantize(source, rows, columns);
        values = std::as_bytes(std::span(floats_));
        dtype = Dtype::f32;
      }
      quantize_into(values, dtype, rows, columns, planned.scheme, {pieces_[0], pieces_[1], pieces_[2]},
                    pool_);
    } catch (const Error& error) {
      rethrow(error, planned);
    }
  }

  [[noreturn]] void rethrow(const Error& error, const PlannedTensor& planned) const {
    if (error.code() != ErrorCode::numeric) throw error;
    throw Error(ErrorCode::numeric, fmt::format("{}: {}, {}", blueprint_.checkpoint.folder().string(),
                                                planned.source, error.what()));
  }

  void dequantize(const StoredWeight& source, int64_t rows, int64_t columns) {
    floats_.resize(static_cast<size_t>(rows * columns));
    const MatrixView view{source.codes, source.scales, source.biases};
    pool_.parallel_for((rows + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t block, int) {
      const int64_t first = block * kRowsAtOnce, count = std::min(kRowsAtOnce, rows - first);
      dequantize_rows(view, source.scheme, rows, columns, first, count,
                      std::span(floats_).subspan(static_cast<size_t>(first * columns),
                                                 static_cast<size_t>(count * columns)));
    });
  }

  std::span<const std::byte> make_up(const Work& work, const PlannedTensor& planned) {
    auto& bytes = pieces_[0];
    bytes.assign(work.specs[0].bytes(), std::byte{0});
    if (work.origin == Work::Origin::zeros) return bytes;
    const float one = 1;
    const uint16_t half = planned.scheme.dtype == Dtype::f16 ? float_to_f16(one) : float_to_bf16(one);
    const bool wide = planned.scheme.dtype == Dtype::f32;
    const size_t size = size_of(planned.scheme.dtype), n = static_cast<size_t>(planned.shape[0]);
    for (size_t i = 0; i < n; ++i)
      std::memcpy(bytes.data() + (i * n + i) * size, wide ? static_cast<const void*>(&one) : &half, size);
    return bytes;
  }

  void compare(const StoredWeight& kept, const StoredWeight& dropped) const {
    if (kept.scheme == dropped.scheme && std::ranges::equal(kept.codes, dropped.codes) &&
        std::ranges::equal(kept.scales, dropped.scales) && std::ranges::equal(kept.biases, dropped.biases))
      return;
    warn(fmt::format(
        "{}: {} differs from {}, but config.json ties them (\"tie_word_embeddings\"), so transformers "
        "ignores it "
        "and it is not written",
        blueprint_.checkpoint.folder().string(), dropped.name, kept.name));
  }

  void warn(std::string_view sentence) const {
    if (options_.strict) throw Error(ErrorCode::strict, std::string(sentence));
    if (options_.warning) options_.warning(sentence);
  }

  const Blueprint& blueprint_;
  const CalibratedWeights& calibrated_;
  const ConvertOptions& options_;
  ThreadPool pool_;
  std::vector<std::byte> pieces_[3];
  std::vector<float> floats_;
  uint64_t total_ = 0, done_ = 0;
};

[[noreturn]] void not_as_planned(const fs::path& folder, const std::string& what) {
  throw Error(ErrorCode::internal, fmt::format("{}: read back, {}; nothing was kept", folder.string(), what));
}

class SchemeCheck : public ParameterVisitor {
 public:
  SchemeCheck(const Checkpoint& checkpoint, const ConversionPlan& plan) : checkpoint_(checkpoint) {
    for (const PlannedTensor& tensor : plan.tensors) planned_.emplace(tensor.name, &tensor);
  }

  void parameter(const ParameterSpec& spec, WeightId&) override {
    const CheckpointTensor* tensor = checkpoint_.find(spec.name);
    const auto it = tensor ? planned_.find(tensor->original) : planned_.end();
    if (it == planned_.end()) not_as_planned(checkpoint_.folder(), spec.name + " is not there");
    const StoredWeight stored = checkpoint_.stored(spec.name);
    const Scheme expected =
        it->second->scheme.mode == Mode::fake ? Scheme{.dtype = Dtype::f32} : it->second->scheme;
    if (!same_form(stored.scheme, expected) || stored.shape != spec.shape)
      not_as_planned(checkpoint_.folder(),
                     fmt::format("{} is {} {}, {} {} was planned", spec.name, to_string(stored.scheme),
                                 to_string(stored.shape), to_string(expected), to_string(spec.shape)));
  }

 private:
  const Checkpoint& checkpoint_;
  std::map<std::string, const PlannedTensor*> planned_;
};

}  // namespace

void write_weights(const Blueprint& blueprint, const CalibratedWeights& calibrated, const fs::path& folder,
                   const ConvertOptions& options) {
  WeightWriter(blueprint, calibrated, options).write(folder);
}

void verify_folder(const Blueprint& blueprint, const fs::path& folder) {
  Checkpoint written = Checkpoint::open(folder);
  Model model = make_model(written, {});
  std::map<std::string, const CheckpointTensor*> tensors;
  for (const CheckpointTensor& tensor : written.tensors()) tensors.emplace(tensor.original, &tensor);
  size_t expected = 0;
  for (const Shard& shard : blueprint.shards) {
    const std::vector<TensorSpec> specs = blueprint.specs(shard);
    expected += specs.size();
    const uint64_t predicted = SafetensorsWriter::predicted_size(specs, blueprint.metadata);
    if (const uint64_t size = fs::file_size(folder / shard.file); size != predicted)
      not_as_planned(folder, fmt::format("{} has {} bytes, {} were predicted", shard.file, size, predicted));
    for (const TensorSpec& spec : specs) {
      const auto it = tensors.find(spec.name);
      if (it == tensors.end()) not_as_planned(folder, spec.name + " is missing");
      const TensorView& view = it->second->view;
      if (view.dtype != spec.dtype || view.shape != spec.shape)
        not_as_planned(folder, fmt::format("{} is {} {}, {} {} was planned", spec.name, name(view.dtype),
                                           to_string(view.shape), name(spec.dtype), to_string(spec.shape)));
    }
  }
  if (tensors.size() != expected)
    not_as_planned(folder, fmt::format("it has {} tensors, {} were planned", tensors.size(), expected));
  SchemeCheck check(written, blueprint.plan);
  model.visit(check);
  load_as_a_run(folder, blueprint.tokenizer);
}

}  // namespace mlxe
