// The class _core.Model: an Encoder of the library.
#pragma once

#include <nanobind/nanobind.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "call.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/hub.h"

namespace mlxe::python {

struct Model {
  std::shared_ptr<const Encoder> encoder;  // shared with calls that were left when Ctrl-C came
  std::shared_ptr<Pace> pace = std::make_shared<Pace>();
};

EmbedTask parse_embed_task(const std::string& task);  // "query", "document" or ""

// The folder of a model, with the changes for a task (empty: none) and the adapters merged. Models and adapters may be
// names on the hub. Errors: those of model_folder, task_model and adapted_model.
std::filesystem::path source_folder(const std::string& model, const std::string& task,
                                    const std::vector<std::string>& adapters, const HubOptions& hub);

void bind_vectors(nanobind::class_<Model>& model);  // encode, encode_tokens, tokenize
void bind_heads(nanobind::class_<Model>& model);    // classify, zero_shot, tag, rerank, fill_mask
void bind_corpus(nanobind::class_<Model>& model);   // embed_corpus

// What takes no loaded model.
void bind_model(nanobind::module_& m);
void bind_quantize(nanobind::module_& m);
void bind_convert(nanobind::module_& m);
void bind_inspect(nanobind::module_& m);
void bind_verify(nanobind::module_& m);
void bind_compare(nanobind::module_& m);  // and evaluate

}  // namespace mlxe::python
