// The layout of Python's mlx-embeddings: an encoder without heads, under the names of BERT, XLM-RoBERTa,
// ModernBERT or Qwen3.
//
// The loader (mlx_embeddings/utils.py, models/{bert,xlm_roberta,modernbert,qwen3}.py, 0.1.0) refuses a folder with one tensor
// too many or too few. Its BERT and XLM-RoBERTa take tensors without a prefix. They always compute exact GELU, and
// text_embeds are always the normalized mean of the token vectors
// (main reads 1_Pooling). Its Qwen3 takes tensors with the prefix "model.".
// It always computes SiLU, has no sliding windows, and always takes the last token's vector.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "models/model.h"

namespace mlxe {

// The encoders of mlx-embeddings.
enum class MlxEmbeddingsModel { bert, xlm_roberta, modernbert, qwen3, gemma3 };
// The encoder that loads a folder with this model_type. None if there is no such encoder.
std::optional<MlxEmbeddingsModel> mlx_embeddings_model(std::string_view model_type) noexcept;

// Whether it puts "model." in front of names without it.
constexpr bool adds_model_prefix(MlxEmbeddingsModel model) noexcept {
  return model == MlxEmbeddingsModel::modernbert || model == MlxEmbeddingsModel::qwen3 ||
         model == MlxEmbeddingsModel::gemma3;
}

// Whether a model of this type can be written for mlx-embeddings.
bool has_mlx_embeddings_layout(std::string_view model_type) noexcept;

// A tensor that the loader requires and the model does not have.
struct SynthesizedTensor {
  enum class Fill { zeros, identity };
  std::string name;
  Shape shape;
  Role role;
  Fill fill;
  std::string why;
};

struct MlxEmbeddingsRow;  // of an architecture

class MlxEmbeddingsLayout {
 public:
  // Errors: unsupported (an architecture, activation or attention that no model of mlx-embeddings computes).
  MlxEmbeddingsLayout(const Model& model, const Checkpoint& checkpoint);

  MlxEmbeddingsModel model() const noexcept;
  // The loader's name for a tensor with this canonical name. None if the loader has no such tensor.
  std::optional<std::string> name(std::string_view canonical) const;
  const std::vector<SynthesizedTensor>& synthesized() const noexcept { return synthesized_; }
  // config.json of the written folder, before quantization is added.
  const nlohmann::json& config() const noexcept { return *config_; }

 private:
  const MlxEmbeddingsRow& row_;
  std::vector<SynthesizedTensor> synthesized_;
  std::shared_ptr<const nlohmann::json> config_;
};

}  // namespace mlxe
