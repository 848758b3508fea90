// Vectors of texts and tokens, and token ids.
#include <cstdint>

#include "call.h"
#include "mlx_encoder/vector_precision.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

using Matrix = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

constexpr int64_t kTextsForRanges = 100;  // fewer give a warning, as in sentence-transformers

Matrix encode(const Model& model, const Texts& list, const std::string& prompt_name,
              const std::optional<std::string>& prompt, const std::string& task, int64_t dimension,
              bool normalize, const nb::object& progress) {
  EmbedOptions options{.prompt_name = prompt_name,
                       .prompt = prompt,
                       .task = parse_embed_task(task),
                       .dimension = dimension,
                       .normalize = normalize};
  std::vector<std::string> texts = texts_of(list);
  const size_t bytes = bytes_of(texts);
  Vectors v = model.pace->run(
      bytes, progress, [encoder = model.encoder, texts = std::move(texts), options](CallState& call) mutable {
        options.progress = call.progress();
        options.report = &call.report;
        return encoder->embed(texts, options);
      });
  const std::array shape{static_cast<size_t>(v.rows), static_cast<size_t>(v.columns)};
  return array_of<Matrix>(std::move(v.values), shape, nb::dtype<float>());
}

std::pair<Matrix, std::vector<int64_t>> encode_tokens(const Model& model, const Texts& list,
                                                      const std::string& task, const nb::object& progress) {
  std::vector<std::string> texts = texts_of(list);
  const size_t bytes = bytes_of(texts);
  TokenVectors v = model.pace->run(
      bytes, progress,
      [encoder = model.encoder, texts = std::move(texts), task = parse_embed_task(task)](CallState& call) {
        return encoder->embed_tokens(texts,
                                     {.task = task, .progress = call.progress(), .report = &call.report});
      });
  const std::array shape{static_cast<size_t>(v.offsets.back()), static_cast<size_t>(v.columns)};
  return {array_of<Matrix>(std::move(v.values), shape, nb::dtype<float>()), std::move(v.offsets)};
}

auto tokenize(const Model& model, const Inputs& one_input) {
  const Tokens t = model.encoder->tokenize(inputs_of(one_input).at(0));
  return result<"results.Tokens">("ids"_a = t.ids, "type_ids"_a = t.type_ids, "tokens"_a = t.tokens,
                                  "offsets"_a = t.offsets, "sequence"_a = t.sequence, "dropped"_a = t.dropped,
                                  "dropped_more"_a = t.dropped_more);
}

using Floats = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Vectors vectors_of(const Floats& array) {
  return {static_cast<int64_t>(array.shape(0)), static_cast<int64_t>(array.shape(1)),
          std::vector<float>(array.data(), array.data() + array.size())};
}

nb::ndarray<nb::numpy, nb::ndim<2>> quantize_vectors(const Floats& embeddings, const std::string& precision,
                                                     const std::optional<Doubles>& ranges, bool in_float64,
                                                     const std::optional<Floats>& calibration) {
  const VectorPrecision wanted = parse_vector_precision(precision);
  const Vectors vectors = vectors_of(embeddings);
  VectorRanges used;
  if (needs_ranges(wanted) && ranges) {
    used = ranges_of(*ranges, in_float64);
  } else if (needs_ranges(wanted)) {
    used.widen(calibration ? vectors_of(*calibration) : vectors);
    const int64_t rows = calibration ? static_cast<int64_t>(calibration->shape(0)) : vectors.rows;
    if (rows < kTextsForRanges)
      nb::module_::import_("mlx_encoder.errors")
          .attr("warn")(nb::str("the ranges of {} come from {} vectors; take them from {} or more")
                            .attr("format")(precision, rows, kTextsForRanges));
  }
  PackedVectors packed = quantize(vectors, wanted, used);
  const auto bits = static_cast<uint8_t>(8 * size_of(packed.dtype));
  const auto code = is_float(packed.dtype)      ? nb::dlpack::dtype_code::Float
                    : packed.dtype == Dtype::u8 ? nb::dlpack::dtype_code::UInt
                                                : nb::dlpack::dtype_code::Int;
  return array_of<nb::ndarray<nb::numpy, nb::ndim<2>>>(
      std::move(packed.values), {static_cast<size_t>(packed.rows), static_cast<size_t>(packed.columns)},
      {static_cast<uint8_t>(code), bits, 1});
}

}  // namespace

void bind_vectors(nb::class_<Model>& model) {
  model
      .def("encode", encode, "texts"_a, "prompt_name"_a, "prompt"_a.none(), "task"_a, "dimension"_a,
           "normalize"_a, "progress"_a.none(), "float32 [texts, dimension].")
      .def("encode_tokens", encode_tokens, "texts"_a, "task"_a, "progress"_a.none(),
           "float32 [tokens of all texts, dimension], and the offsets [texts + 1] of the texts' rows.")
      .def("tokenize", tokenize, "one_input"_a, "results.Tokens of a text or pair.");
}

void bind_quantize(nb::module_& m) {
  m.def("quantize_vectors", quantize_vectors, "embeddings"_a, "precision"_a, "ranges"_a.none(),
        "in_float64"_a, "calibration"_a.none(), "Vectors of fewer bits.");
}

}  // namespace mlxe::python
