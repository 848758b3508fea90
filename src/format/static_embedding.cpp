#include "format/static_embedding.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "format/config.h"
#include "format/json_file.h"
#include "format/tensor_file.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

std::string static_config(const fs::path& folder) {
  const WeightFormat* format = find_single_file(folder);
  if (!format)
    throw Error(ErrorCode::not_found,
                fmt::format("{}: no {} or {}; the StaticEmbedding needs its weights", folder.string(),
                            weight_formats()[0].single, weight_formats()[1].single));
  const TensorFile file(folder / format->single, *format->parse);
  const std::string name = std::string(kStaticTable) + ".weight";
  const TensorView* table = file.find(name);
  if (!table || table->shape.size() != 2)
    throw Error(ErrorCode::format, fmt::format("{}: has no matrix {}, the table of a StaticEmbedding",
                                               file.path().string(), name));
  const nlohmann::json config{
      {"model_type", kStaticModelType}, {"vocab_size", table->shape[0]}, {"hidden_size", table->shape[1]}};
  return config.dump(2) + "\n";
}

int64_t static_token_limit(const fs::path& tokenizer_file) {
  if (!fs::exists(tokenizer_file)) return 0;  // said when the tokenizer is read
  const Config tokenizer(read_json(tokenizer_file), tokenizer_file.string());
  return tokenizer.has("truncation") ? tokenizer.object("truncation").positive("max_length") : 0;
}

}  // namespace mlxe
