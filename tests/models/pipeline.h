// The sentence-transformers pipeline of a model in memory.
#pragma once

#include <utility>
#include <vector>

#include "models/heads.h"
#include "models/model.h"

namespace mlxe::test {

// In place of that the model had.
inline void set_pipeline(Model& model, const std::vector<SentenceModuleSpec>& modules) {
  PlanBuilder p(std::move(model.plan));
  add_sentence_pipeline(p, modules);
  model.plan = p.finish();
}

}  // namespace mlxe::test
