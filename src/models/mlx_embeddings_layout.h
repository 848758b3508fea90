// How a model is spelled for Python's mlx-embeddings: a bare encoder under the names of BERT or XLM-RoBERTa.
//
// Its loader (mlx_embeddings/utils.py, models/{bert,xlm_roberta}.py, 0.1.0) takes tensors without a prefix
// and refuses a folder with one tensor too many or too few. It always computes exact GELU, and its
// text_embeds are always the normalized mean of the token vectors.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "format/sentence_modules.h"
#include "models/model.h"

namespace mlxe {

// A tensor the reader asks for and the model does not have.
struct MadeUpTensor {
  enum class Fill { zeros, identity };
  std::string name;
  Shape shape;
  Role role;
  Fill fill;
  std::string why;
};

class MlxEmbeddingsLayout {
 public:
  // Throws unsupported for a model the reader would compute differently (an activation other than GELU).
  MlxEmbeddingsLayout(const Model& model, const Checkpoint& checkpoint);

  // The reader's name for a tensor with this canonical name; nullopt: it has no place for it.
  std::optional<std::string> name(std::string_view canonical) const;
  const std::vector<MadeUpTensor>& made_up() const noexcept { return made_up_; }
  // config.json of the written folder, before quantization is entered.
  const nlohmann::json& config() const noexcept { return *config_; }
  // What the reader does differently with the model's folder: one sentence each.
  std::vector<std::string> caveats(const SentenceModules& sentence,
                                   const std::filesystem::path& folder) const;

 private:
  bool distilbert_;
  std::vector<MadeUpTensor> made_up_;
  std::shared_ptr<const nlohmann::json> config_;
};

}  // namespace mlxe
