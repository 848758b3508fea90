#include "models/static_embedding.h"

#include <array>
#include <limits>
#include <utility>

#include "format/static_embedding.h"
#include "models/plan_builder.h"

namespace mlxe {

Plan static_embedding(int64_t vocab_size, int64_t width) {
  PlanBuilder p;
  const std::array lookups{std::pair(p.table(kStaticTable, vocab_size, width), RowIndex::ids)};
  p.end_layer(p.lookup(lookups));
  Plan plan = p.finish();
  plan.max_tokens = std::numeric_limits<int32_t>::max();
  return plan;
}

}  // namespace mlxe
