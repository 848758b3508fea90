// Runs a model on an engine's ops and gathers what was asked for. Instantiated once by each engine.
#pragma once

#include <algorithm>

#include "models/engine.h"
#include "models/run_plan.h"

namespace mlxe {

// True if only each text's first token is read after the last layer. Other tokens then need only keys and
// values there.
inline bool reads_first_only(const Model& model, const RunRequest& request) {
  const Outputs wanted = request.wanted;
  if (wanted.contains_any({Output::layers, Output::hidden, Output::token_logits})) return false;
  if (wanted.contains(Output::text_logits) && model.classifier->pooling != PoolingKind::cls) return false;
  if (!wanted.contains(Output::sentence)) return true;
  const std::vector<int32_t>& skipped = request.batch.pool_from;
  if (std::ranges::any_of(skipped, [](int32_t n) { return n > 0; })) return false;
  for (const SentenceModule& m : model.sentence.modules)
    if (const auto* p = std::get_if<PoolingModule>(&m))
      return std::ranges::all_of(p->kinds, [](PoolingKind k) { return k == PoolingKind::cls; });
  return false;
}

template <EncoderOps E>
void forward(E& e, const Model& model, const RunRequest& request, RunResult& result) {
  const bool first_only = reads_first_only(model, request);
  const Batch& batch = request.batch;
  const Plan& plan = model.encoder;
  const auto hidden =
      run_plan(e, plan, first_only ? plan.first_tokens : plan.whole, batch, [&](int64_t, const auto& output) {
        if (request.wanted.contains(Output::layers)) result.layers.push_back(e.read(output));
      });
  const Batch firsts = first_only ? batch.first_tokens() : Batch{};
  const Batch& read = first_only ? firsts : batch;  // what `hidden` has rows of
  const auto output = [&](Output o) {
    switch (o) {
      case Output::pooled:
        return model.pooler->forward(e, plan, hidden, read);
      case Output::sentence:
        return model.sentence.forward(e, hidden, read);
      case Output::text_logits:
        return model.classifier->forward(e, plan, hidden, read);
      case Output::token_logits:
        return model.token_classifier->forward(e, plan, hidden);
      case Output::layers:
      case Output::hidden:
        break;
    }
    return hidden;
  };
  for (const OutputEntry& o : kOutputTable)
    if (o.output != Output::layers && request.wanted.contains(o.output))
      result[o.output] = e.read(output(o.output));
}

}  // namespace mlxe
