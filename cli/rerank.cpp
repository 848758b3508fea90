// mlx-encoder rerank: documents by their relevance to a query.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "arguments.h"
#include "command.h"
#include "encoder/ranking.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct RerankCommand {
  RunOptions run;
  std::string query;
  CLI::Option* query_option = nullptr;
  TextSource texts;
  size_t top_k = 0;
  bool raw = false;
  std::string instruction;
};

struct Candidate {
  size_t index;  // of the text in the input
  float score;
  std::string text;
};

// The documents of each query, in the order of the queries' first rows. Of a long list, those that can't be among the
// best any more are dropped.
class Rankings {
 public:
  explicit Rankings(size_t top_k) : top_k_(top_k) {}

  void add(const std::string& query, Candidate candidate) {
    const auto [place, is_new] = place_.try_emplace(query, queries_.size());
    if (is_new) queries_.push_back({query, {}});
    std::vector<Candidate>& candidates = queries_[place->second].second;
    candidates.push_back(std::move(candidate));
    if (top_k_ > 0 && candidates.size() / 2 >= std::max(top_k_, kWindow)) keep_best(candidates, top_k_);
  }

  void print(bool json, bool names_query) {
    for (auto& [query, candidates] : queries_) {
      keep_best(candidates, top_k_);
      if (!json) std::cout << query << '\n';
      size_t rank = 0;
      for (const Candidate& c : candidates) {
        ++rank;
        if (!json) {
          std::cout << fmt::format("{:5}  {:9.5f}  {}\n", rank, c.score, c.text);
          continue;
        }
        nlohmann::json line{{"rank", rank}, {"index", c.index}, {"score", c.score}, {"text", c.text}};
        if (names_query) line["query"] = query;
        print_json(line);
      }
    }
  }

 private:
  size_t top_k_;
  std::map<std::string, size_t> place_;  // in queries_
  std::vector<std::pair<std::string, std::vector<Candidate>>> queries_;
};

// Single texts become pairs with the query; pairs of a file have queries of their own.
void add_query(const RerankCommand& o, std::vector<TextInput>& window, size_t first_text) {
  const bool given = o.query_option->count() > 0;
  for (size_t i = 0; i < window.size(); ++i) {
    TextInput& t = window[i];
    if (given && t.pair)
      throw Error(
          ErrorCode::usage,
          fmt::format("text {} is a pair of a query and a document; leave QUERY out, or give single texts",
                      first_text + i + 1));
    if (!given && !t.pair)
      throw Error(ErrorCode::usage,
                  fmt::format("text {} has no second text, so it is no pair of a query and a "
                              "document; give QUERY, or a file of pairs",
                              first_text + i + 1));
    if (given) t = {o.query, std::move(t.text)};
  }
}

int rerank(const RerankCommand& o) {
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  RerankOptions options;
  options.raw = o.raw;
  options.instruction = o.instruction;
  options.progress = progress();
  Rankings rankings(o.top_k);
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    add_query(o, window, done);
    options.first_text = done;
    const std::vector<float> scores = encoder.relevance(window, options);
    for (size_t i = 0; i < scores.size(); ++i)
      rankings.add(window[i].text, {done + i, scores[i], std::move(*window[i].pair)});
    done += scores.size();
  });
  rankings.print(o.run.json, o.query_option->count() == 0);
  return 0;
}

}  // namespace

void add_rerank(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "rerank", "Sort documents by their relevance to a query, by a cross-encoder or a language model");
  auto o = std::make_shared<RerankCommand>();
  o->run.add_to(*command);
  o->query_option = command->add_option("query", o->query, "Query; left out for a file of pairs");
  o->texts.add_to(*command);
  command->add_option("--top-k", o->top_k, "Print the best K documents of a query [all]")->check(at_least(1));
  command->add_flag("--raw", o->raw, "Print logits, without the model's activation");
  command->add_option("--instruction", o->instruction,
                      "What makes a document relevant, for a language model [the template's own]");
  command->callback([o, &run] { run = [o] { return rerank(*o); }; });
}

}  // namespace mlxe::cli
