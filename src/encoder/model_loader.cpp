#include "encoder/model_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/wording.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace {

constexpr size_t kListed = 8;  // most names in a message

// Compares the tensors of the model with those of the files. Collects all problems for one error.
void check_shapes(const Checkpoint& checkpoint, const std::vector<Parameter>& parameters,
                  const Warning& warn) {
  std::set<std::string> read;
  std::vector<std::string> problems, unused;
  for (const Parameter& p : parameters) {
    read.insert(p.name);
    if (!checkpoint.has(p.name)) {
      problems.push_back(fmt::format("{} is missing", p.name));
      continue;
    }
    const Shape shape = checkpoint.stored(p.name).shape;
    if (shape != p.shape)
      problems.push_back(
          fmt::format("{} is {}, config.json implies {}", p.name, to_string(shape), to_string(p.shape)));
  }
  if (!problems.empty())
    throw Error(ErrorCode::format, checkpoint.folder().string() + ": " + listed(problems, kListed, "; "));
  for (const std::string& name : checkpoint.weight_names())
    if (!read.contains(name)) unused.push_back(name);
  if (!unused.empty() && warn)
    warn(fmt::format("{}: {} tensors are not part of the model this version runs and are ignored: {}",
                     checkpoint.folder().string(), unused.size(), listed(unused, kListed)));
}

SentencePipeline make_pipeline(const SentenceModules& spec, int64_t hidden_size) {
  SentencePipeline pipeline;
  int64_t width = hidden_size;
  for (const SentenceModuleSpec& m : spec.modules) {
    if (const auto* p = std::get_if<PoolingSpec>(&m)) {
      if (p->dimension && *p->dimension != width)
        throw Error(ErrorCode::format,
                    fmt::format("pooling: the word embedding dimension is {}, config.json implies {}",
                                *p->dimension, width));
      pipeline.modules.push_back(PoolingModule{p->kinds, p->include_prompt});
      width *= static_cast<int64_t>(p->kinds.size());
    } else if (const auto* d = std::get_if<DenseSpec>(&m)) {
      if (d->in != width)
        throw Error(ErrorCode::format,
                    fmt::format("{}: in_features is {}, the module before it gives {} values", d->folder,
                                d->in, width));
      const Linear widths{.in = d->in, .out = d->out};
      pipeline.modules.push_back(
          DenseModule{.dense = widths,
                      .activation = parse_activation(d->activation, d->folder + ": activation_function"),
                      .use_residual = d->use_residual,
                      .residual = d->residual ? std::optional(widths) : std::nullopt});
      width = d->out;
    } else {
      pipeline.modules.push_back(NormalizeModule{});
    }
  }
  return pipeline;
}

void check_finite(const StoredWeight& weight, const std::filesystem::path& folder) {
  std::vector<float> values(static_cast<size_t>(element_count(weight.shape)));
  to_float(weight.dtype, weight.codes, values);
  const auto bad = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
  if (bad == values.end()) return;
  const auto columns = weight.shape.size() == 2 ? weight.shape[1] : 1, at = bad - values.begin();
  throw Error(ErrorCode::numeric,
              fmt::format("{}: {}, row {}, column {} is {}, expected a finite number; the file is damaged",
                          folder.string(), weight.name, at / columns, at % columns, *bad));
}

}  // namespace

void check_dense(const SentenceModules& sentence, const std::filesystem::path& folder) {
  for (const SentenceModuleSpec& module : sentence.modules)
    if (const auto* dense = std::get_if<DenseSpec>(&module)) {
      check_finite(dense->weight, folder);
      if (dense->bias) check_finite(*dense->bias, folder);
    }
}

LoadedModel load_model(const std::filesystem::path& folder, const Warning& warn) {
  if (warn)
    for (const std::string& change : changes_since_conversion(folder, FileCheck::size)) warn(change);
  Checkpoint checkpoint = Checkpoint::open(folder, warn);
  Model model = make_model(checkpoint, warn);
  check_shapes(checkpoint, model.parameters(), warn);
  const bool classifies = model.has(Output::text_logits) || model.has(Output::token_logits);
  SentenceModules sentence =
      read_sentence_modules(folder, warn, classifies ? ExpectVectors::no : ExpectVectors::yes);
  check_dense(sentence, folder);
  model.sentence = make_pipeline(sentence, model.hidden_size());
  const ScoreFunction scores = score_function(model, checkpoint.config(), sentence, warn);
  return {std::move(checkpoint), std::move(model), std::move(sentence), scores};
}

void bind(LoadedModel& loaded, Engine& engine) {
  for (Parameter& p : loaded.model.encoder.parameters)
    p.handle = engine.add(loaded.checkpoint.stored(p.name));
  for (size_t i = 0; i < loaded.sentence.modules.size(); ++i) {
    if (const auto* spec = std::get_if<DenseSpec>(&loaded.sentence.modules[i])) {
      auto& module = std::get<DenseModule>(loaded.model.sentence.modules[i]);
      module.dense.weight = engine.add(spec->weight);
      if (spec->bias) module.dense.bias = engine.add(*spec->bias);
      if (spec->residual) module.residual->weight = engine.add(*spec->residual);
    }
  }
}

int64_t token_limit(const LoadedModel& loaded, int64_t model_max_length, const Warning& warn) {
  const int64_t positions = loaded.model.max_tokens();
  const auto& stated = loaded.sentence.max_seq_length;
  if (!stated) return model_max_length > 0 ? std::min(model_max_length, positions) : positions;
  if (*stated > positions && warn)
    warn(fmt::format(
        "{}: sentence-transformers' max_seq_length is {}, the model has {} positions; texts are cut there",
        loaded.checkpoint.folder().string(), *stated, positions));
  return std::min(*stated, positions);
}

}  // namespace mlxe
