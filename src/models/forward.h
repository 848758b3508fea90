// Runs a model on an engine's ops and gathers what was asked for. Instantiated once by each engine.
#pragma once

#include "models/engine.h"

namespace mlxe {

template <EncoderOps E>
void forward(E& e, const Model& model, const RunRequest& request, RunResult& result) {
  const Batch& batch = request.batch;
  const auto hidden = model.with_encoder([&](const auto& encoder) {
    auto x = encoder.embed(e, batch);
    if (request.layers) result.layers.push_back(e.read(x));
    for (int64_t i = 0; i < encoder.layers(); ++i) {
      x = encoder.layer(e, i, x, batch);
      if (request.layers) result.layers.push_back(e.read(x));
    }
    return x;
  });
  if (request.hidden) result.hidden = e.read(hidden);
  if (request.pooler) result.pooler = e.read(model.pooler->forward(e, hidden, batch));
  if (request.sentence) result.sentence = e.read(model.sentence.forward(e, hidden, batch));
  if (request.logits) result.logits = e.read(model.classifier->forward(e, hidden, batch));
}

}  // namespace mlxe
