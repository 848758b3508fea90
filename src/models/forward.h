// Runs a model on an engine's ops and gathers what was asked for. Instantiated once by each engine.
#pragma once

#include <algorithm>
#include <vector>

#include "models/engine.h"
#include "models/run_plan.h"

namespace mlxe {

// Of first tokens alone where all that is wanted reads no other token after the last layer. Other tokens then need
// only keys and values there.
inline const PlanGraph& graph_for(const Plan& plan, const RunRequest& request) {
  for (const OutputEntry& o : kOutputTable)
    if (request.wanted.contains(o.output) && plan.first_tokens.output(o.output) == kNoValue)
      return plan.whole;
  // Where pooling skips a prompt, the first token it reads is not the text's.
  const bool skips = std::ranges::any_of(request.batch.pool_from, [](int32_t n) { return n > 0; });
  return skips && request.wanted.contains_any(kSentenceOutputs) ? plan.whole : plan.first_tokens;
}

// The outputs that are computed. Without a chosen token, those of chosen tokens are empty matrices.
inline Outputs computed(const Plan& plan, const RunRequest& request, RunResult& result) {
  Outputs wanted = request.wanted;
  for (const OutputEntry& o : kOutputTable) {
    if (o.rows != OutputRows::chosen || !wanted.contains(o.output) || !plan.has(o.output)) continue;
    if (!request.batch.chosen.empty()) continue;
    wanted.remove(o.output);
    result[o.output] = {.rows = 0, .columns = plan.columns(o.output), .values = {}};
  }
  return wanted;
}

// `tables`: from run_tables(), of either graph.
template <EncoderOps E>
void forward(E& e, const Model& model, const std::vector<typename E::Tensor>& tables,
             const RunRequest& request, RunResult& result) {
  const Plan& plan = model.plan;
  run_plan(e, plan, graph_for(plan, request), request.batch, computed(plan, request, result),
           [&](Output output, const auto& value) {
             if (output == Output::layers)
               result.layers.push_back(e.to_host(value));
             else
               result[output] = e.to_host(value);
           },
           {.tables = &tables, .numbers = request.numbers});
}

}  // namespace mlxe
