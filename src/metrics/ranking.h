// How well a ranking puts what is relevant first, for one query. Definitions are ranx's: a document is
// relevant from a relevance of 1 on, gains are the relevances themselves, a query without a relevant document
// scores 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mlxe {

struct RelevantDocument {
  int64_t rank = 0;  // from 1
  double relevance = 0;
};
using RankedQuery = std::vector<RelevantDocument>;  // all relevant documents of a query, by rank

// Ranks documents by falling score. Equal scores count against the model: what is less relevant goes first,
// or a model that scores everything alike would look good on data that lists what is relevant first.
RankedQuery rank_relevant(std::span<const double> scores, std::span<const double> relevances);

double reciprocal_rank(const RankedQuery& query);
double average_precision(const RankedQuery& query);
double recall_at(const RankedQuery& query, int64_t k);
double ndcg_at(const RankedQuery& query, int64_t k);

}  // namespace mlxe
