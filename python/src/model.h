// The class _core.Model: an Encoder of the library.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "call.h"
#include "mlx_encoder/encoder.h"

namespace mlxe::python {

struct Model {
  std::shared_ptr<const Encoder> encoder;  // shared with calls that were left when Ctrl-C came
  std::shared_ptr<Pace> pace = std::make_shared<Pace>();
};

void bind_vectors(nanobind::class_<Model>& model);  // encode, encode_tokens, tokenize
void bind_heads(nanobind::class_<Model>& model);    // classify, zero_shot, tag, rerank, fill_mask

// What takes no loaded model.
void bind_model(nanobind::module_& m);
void bind_quantize(nanobind::module_& m);
void bind_convert(nanobind::module_& m);
void bind_inspect(nanobind::module_& m);
void bind_verify(nanobind::module_& m);
void bind_compare(nanobind::module_& m);  // and evaluate

}  // namespace mlxe::python
