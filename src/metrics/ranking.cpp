#include "metrics/ranking.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

double discounted(double gain, int64_t rank) {
  return gain / std::log2(static_cast<double>(rank) + 1);
}

}  // namespace

RankedQuery rank_relevant(std::span<const double> scores, std::span<const double> relevances) {
  if (scores.size() != relevances.size())
    throw Error(ErrorCode::internal, "ranking: expected one relevance a document");
  RankedQuery query;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (relevances[i] < 1) continue;
    int64_t before = 0;
    for (size_t j = 0; j < scores.size(); ++j)
      before += scores[j] > scores[i] ||
                (scores[j] == scores[i] &&
                 (relevances[j] < relevances[i] || (relevances[j] == relevances[i] && j < i)));
    query.push_back({before + 1, relevances[i]});
  }
  std::ranges::sort(query, {}, &RelevantDocument::rank);
  return query;
}

double reciprocal_rank(const RankedQuery& query) {
  return query.empty() ? 0 : 1 / static_cast<double>(query.front().rank);
}

double average_precision(const RankedQuery& query) {
  double sum = 0;
  for (size_t i = 0; i < query.size(); ++i)
    sum += static_cast<double>(i + 1) / static_cast<double>(query[i].rank);
  return query.empty() ? 0 : sum / static_cast<double>(query.size());
}

double recall_at(const RankedQuery& query, int64_t k) {
  const auto found = std::ranges::count_if(query, [&](const RelevantDocument& d) { return d.rank <= k; });
  return query.empty() ? 0 : static_cast<double>(found) / static_cast<double>(query.size());
}

double ndcg_at(const RankedQuery& query, int64_t k) {
  double gained = 0, ideal = 0;
  std::vector<double> gains;
  for (const RelevantDocument& d : query) {
    if (d.rank <= k) gained += discounted(d.relevance, d.rank);
    gains.push_back(d.relevance);
  }
  std::ranges::sort(gains, std::greater{});
  for (size_t i = 0; i < gains.size() && static_cast<int64_t>(i) < k; ++i)
    ideal += discounted(gains[i], static_cast<int64_t>(i) + 1);
  return ideal == 0 ? 0 : gained / ideal;
}

}  // namespace mlxe
