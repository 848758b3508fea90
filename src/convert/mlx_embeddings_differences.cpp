#include "convert/mlx_embeddings_differences.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

// The number under a key of config.json, without a mark that something used the key.
double stated_or(const Checkpoint& checkpoint, const char* key, double otherwise) {
  const auto found = checkpoint.config().json().find(key);
  return found != checkpoint.config().json().end() && found->is_number() ? found->get<double>() : otherwise;
}

// The same of a whole number; `otherwise` also for one that no model has.
int64_t whole_or(const Checkpoint& checkpoint, const char* key, int64_t otherwise) {
  constexpr double kMost = 1e9;
  const double found = stated_or(checkpoint, key, static_cast<double>(otherwise));
  return found >= 0 && found <= kMost ? static_cast<int64_t>(found) : otherwise;
}

std::vector<const AttentionSpec*> attentions(const Model& model) {
  std::vector<const AttentionSpec*> found;
  for (const PlanOp& op : model.plan.whole.ops)
    if (op.kind == OpKind::attention) found.push_back(&op.attention);
  return found;
}

// What the loader takes for a layer. `window`: 0 for none; unset: its windows are not compared.
struct LayerReading {
  double base = 0;
  std::optional<int64_t> window;
};

// The first layer that is computed otherwise, as one sentence.
std::vector<std::string> compare_layers(const Model& model,
                                        const std::function<LayerReading(int64_t)>& theirs) {
  int64_t layer = 0;
  for (const AttentionSpec* spec : attentions(model)) {
    const LayerReading read = theirs(layer);
    if (spec->rotary && static_cast<float>(read.base) != spec->rotary->base)
      return {fmt::format("it takes {} for the base of layer {}'s rotary positions, which is {}", read.base,
                          layer, spec->rotary->base)};
    if (read.window && *read.window != spec->window)
      return {fmt::format("it takes {} for the window of layer {}, which is {} (0: none)", *read.window,
                          layer, spec->window)};
    ++layer;
  }
  return {};
}

const PoolingSpec& pooling_of(const SentenceModules& sentence) {
  for (const SentenceModuleSpec& module : sentence.modules)
    if (const auto* pooling = std::get_if<PoolingSpec>(&module)) return *pooling;
  return std::get<PoolingSpec>(sentence.modules.front());
}

bool is_case_sensitive(const Tokenizer& tokenizer) try {
  return tokenizer.encode("A").ids != tokenizer.encode("a").ids;
} catch (const Error&) {
  return false;
}

// Of the pooling that main reads. Null if it reads none.
const PoolingSpec* pooling_of_main(const SentenceModules& sentence) {
  for (const SentenceModuleSpec& module : sentence.modules)
    if (const auto* pooling = std::get_if<PoolingSpec>(&module); pooling && pooling->folder == "1_Pooling")
      return pooling;
  return nullptr;
}

}  // namespace

ReadModules modules_of_a_reader(const std::filesystem::path& folder) {
  ReadModules read;
  try {
    read.modules = read_sentence_modules(folder, {}, ExpectVectors::no);
  } catch (const Error& error) {
    read.modules.modules.emplace_back(PoolingSpec{});
    read.problem = error.what();
  }
  return read;
}

bool pools_by_file(MlxEmbeddingsModel model) noexcept {
  return model == MlxEmbeddingsModel::bert || model == MlxEmbeddingsModel::xlm_roberta;
}

std::string pooling_that_main_refuses(const SentenceModules& sentence) {
  const PoolingSpec* pooling = pooling_of_main(sentence);
  if (!pooling) return "";
  std::string why;
  if (!pooling->include_prompt)
    why = "leaves out the tokens of prompts";
  else if (pooling->kinds.size() > 1)
    why = "concatenates several poolings";
  else if (pooling->kinds[0] == PoolingKind::weighted_mean || pooling->kinds[0] == PoolingKind::mean_sqrt_len)
    why = fmt::format("asks for {}, which it does not compute", name(pooling->kinds[0]));
  return why.empty() ? why : "it refuses every text, because 1_Pooling " + why;
}

std::vector<std::string> mlx_embeddings_caveats(MlxEmbeddingsModel model, bool reads_pooling,
                                                const SentenceModules& sentence, const Tokenizer* tokenizer) {
  std::vector<std::string> caveats;
  if (sentence.do_lower_case && tokenizer && is_case_sensitive(*tokenizer))
    caveats.push_back(
        "mlx-embeddings does not read sentence_bert_config.json, whose do_lower_case asks for texts in lower "
        "case; give it such");
  const bool takes_last = model == MlxEmbeddingsModel::qwen3;
  if (!std::holds_alternative<PoolingSpec>(sentence.modules.front()))
    caveats.push_back(
        "mlx-embeddings pools the token vectors as the encoder gives them; this model has modules between, "
        "so apply them to its last_hidden_state and pool that yourself");
  const PoolingSpec* read = reads_pooling && pools_by_file(model) ? pooling_of_main(sentence) : nullptr;
  for (const SentenceModuleSpec& module : sentence.modules) {
    const auto* pooling = std::get_if<PoolingSpec>(&module);
    if (!pooling || pooling == read || model == MlxEmbeddingsModel::gemma3) continue;
    if (model == MlxEmbeddingsModel::modernbert) {
      if (pooling->kinds != std::vector{PoolingKind::mean} && pooling->kinds != std::vector{PoolingKind::cls})
        caveats.push_back(
            "mlx-embeddings averages the token vectors of a ModernBERT or takes the first; this model pools "
            "otherwise, and it has no other output");
      continue;
    }
    if (pooling->kinds != std::vector{takes_last ? PoolingKind::last_token : PoolingKind::mean})
      caveats.push_back(
          fmt::format("mlx-embeddings{} {} whatever 1_Pooling says; this model pools otherwise, so take its "
                      "last_hidden_state and pool it yourself",
                      reads_pooling || takes_last ? "" : " 0.1.0",
                      takes_last ? "takes the last token's vector" : "averages the token vectors"));
  }
  if (sentence.truncate_dim)
    caveats.push_back(fmt::format(
        "mlx-embeddings gives whole vectors; this model's truncate_dim keeps the first {} values, so "
        "cut them yourself",
        *sentence.truncate_dim));
  return caveats;
}

std::vector<std::string> gemma3_layer_differences(const Model& model, const Checkpoint& checkpoint) {
  const int64_t every = whole_or(checkpoint, "sliding_window_pattern", 6);
  const double full = stated_or(checkpoint, "rope_theta", 1e6),
               sliding = stated_or(checkpoint, "rope_local_base_freq", 1e4);
  std::vector<std::string> found = compare_layers(model, [&](int64_t i) {
    return LayerReading{every > 0 && (i + 1) % every != 0 ? sliding : full, std::nullopt};
  });
  const double scalar = stated_or(checkpoint, "query_pre_attn_scalar", 256);
  bool scaled = false, other_scale = false;
  for (const AttentionSpec* spec : attentions(model)) {
    scaled |= spec->rotary && spec->rotary->scale != 1;
    other_scale |= spec->scale && std::abs(*spec->scale - 1 / std::sqrt(scalar)) > 1e-6;
  }
  if (other_scale) found.push_back(fmt::format("it takes {} for \"query_pre_attn_scalar\"", scalar));
  if (scaled) found.push_back("it may scale rotary positions otherwise");
  return found;
}

std::vector<std::string> gemma3_differences(const Model& model, const Checkpoint& checkpoint,
                                            const SentenceModules& sentence) {
  std::vector<std::string> found{
      "generate() fails with every Gemma 3; call the model itself with the ids and the attention mask"};
  for (std::string& layer : gemma3_layer_differences(model, checkpoint)) found.push_back(std::move(layer));
  int64_t window = 0;
  bool causal = false;
  for (const AttentionSpec* spec : attentions(model)) {
    if (spec->window > 0) window = spec->window;
    causal |= spec->causal;
  }
  if (causal) found.push_back("it attends in both directions, this model to earlier tokens only");
  if (window > 0 && !causal && window + 1 < model.plan.max_tokens)
    found.push_back(fmt::format("it computes no windows: the vectors of texts of more than {} tokens differ",
                                window + 1));
  if (const CheckpointTensor* table = checkpoint.find("embed_tokens.weight");
      table && table->view.dtype == Dtype::u32) {
    const double scale = std::sqrt(static_cast<double>(model.hidden_size()));
    if (scale != std::floor(scale))
      found.push_back(fmt::format(
          "it multiplies rows of a quantized table by {}, not by {:.2f}; `convert --keep embed_tokens` "
          "leaves the table as it is",
          std::floor(scale), scale));
    found.push_back(
        "with a quantized table it attends to padding; run texts of one length together, or one by one");
  }
  if (pooling_of(sentence).kinds != std::vector{PoolingKind::mean})
    found.push_back("it averages the token vectors; this model pools otherwise");
  for (const DenseSpec* dense : sentence.dense())
    if (dense->activation != "linear" || dense->use_residual)
      found.push_back(fmt::format("it computes {} without its activation and residual", dense->folder));
  return found;
}

std::vector<std::string> modernbert_differences(const Model& model, const Checkpoint& checkpoint,
                                                const SentenceModules& sentence) {
  const json& config = checkpoint.config().json();
  const int64_t every = whole_or(checkpoint, "global_attn_every_n_layers", 3);
  const double full = stated_or(checkpoint, "global_rope_theta", 160000);
  const bool nulled = config.contains("local_rope_theta") && config.at("local_rope_theta").is_null();
  const double sliding = nulled ? full : stated_or(checkpoint, "local_rope_theta", 10000);
  const int64_t window = whole_or(checkpoint, "local_attention", 128) / 2;
  std::vector<std::string> found = compare_layers(model, [&](int64_t i) {
    const bool slides = every > 0 && i % every != 0;
    return LayerReading{slides ? sliding : full, slides ? window : 0};
  });
  found.push_back("it computes GELU by a formula with tanh, within 0.0005 of it");
  const auto named = config.find("architectures");
  if (named == config.end() || *named == json::array({"ModernBertForMaskedLM"})) {
    found.push_back("it gives the token vectors for text_embeds, so pool them yourself");
    return found;
  }
  const bool first = checkpoint.config().get_or<std::string>("classifier_pooling", "mean") == "cls";
  const std::vector<PoolingKind>& kinds = pooling_of(sentence).kinds;
  const bool either = kinds == std::vector{PoolingKind::cls} || kinds == std::vector{PoolingKind::mean};
  if (either && kinds != std::vector{first ? PoolingKind::cls : PoolingKind::mean})
    found.push_back(
        fmt::format("by \"classifier_pooling\" it {}; this model pools otherwise, and it has no other output",
                    first ? "takes the first token's vector" : "averages the token vectors"));
  return found;
}

}  // namespace mlxe
