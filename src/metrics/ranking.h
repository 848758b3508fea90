// Ranking metrics of one query, as ranx defines them: a document is relevant if its relevance is at least 1, gains are
// the relevances themselves, and a query without a relevant document scores 0.
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

// Ranks documents by falling score. Of equal scores, the less relevant document goes first. Otherwise a model that
// scores all documents equally would look good on data that lists relevant documents first.
RankedQuery rank_relevant(std::span<const double> scores, std::span<const double> relevances);

double reciprocal_rank(const RankedQuery& query);
double average_precision(const RankedQuery& query);
double recall_at(const RankedQuery& query, int64_t k);
double ndcg_at(const RankedQuery& query, int64_t k);

}  // namespace mlxe
