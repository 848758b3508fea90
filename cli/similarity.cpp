// mlx-encoder similarity: cosine between texts, or the dot product of sparse vectors; tokenize: what the model sees of a text.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr size_t kMatrixTexts = 12;  // most single texts; more need a file of pairs

struct SimilarityArguments {
  RunOptions run;
  TextSource texts;
  PairOption pair;
  bool sparse = false;
};

// What texts are compared by.
class Comparison {
 public:
  Comparison(const Encoder& encoder, bool sparse) : encoder_(encoder), sparse_(sparse) {}

  const char* name() const { return sparse_ ? "dot" : "cosine"; }

  // The vectors of some texts.
  struct Side {
    Vectors dense;
    SparseVectors sparse;
  };
  Side side(const std::vector<std::string>& texts, size_t first_text) const {
    Side s;
    const auto with = [&](auto options) {
      options.first_text = first_text;
      options.progress = progress();
      return options;
    };
    if (sparse_)
      s.sparse = encoder_.embed_sparse(texts, with(SparseOptions{}));
    else
      s.dense = encoder_.embed(texts, with(EmbedOptions{}));
    return s;
  }
  float value(const Side& a, int64_t i, const Side& b, int64_t j) const {
    return sparse_ ? dot(a.sparse, i, b.sparse, j) : cosine(a.dense.row(i), b.dense.row(j));
  }

 private:
  const Encoder& encoder_;
  bool sparse_;
};

void print_matrix(const Comparison& comparison, const std::vector<std::string>& texts, bool json) {
  const Comparison::Side side = comparison.side(texts, 0);
  nlohmann::json rows = nlohmann::json::array();
  for (int64_t i = 0; i < std::ssize(texts); ++i) {
    std::vector<float> row;
    for (int64_t j = 0; j < std::ssize(texts); ++j) row.push_back(comparison.value(side, i, side, j));
    if (!json) std::cout << fmt::format("{:6.3f}  {}\n", fmt::join(row, " "), texts[static_cast<size_t>(i)]);
    rows.push_back(row);
  }
  if (json) print_json(nlohmann::json{{"texts", texts}, {comparison.name(), rows}});
}

// Single texts: all against all. Pairs (a file with text_pair): each text against its pair.
int similarity(const SimilarityArguments& o) {
  if (!o.sparse && !o.run.splade_pooling.empty())
    throw Error(ErrorCode::usage, "--pooling is of sparse vectors; add --sparse, or leave it out");
  const Encoder encoder = o.run.load(o.sparse ? RunOptions::Use::no_vectors : RunOptions::Use::any);
  const Comparison comparison(encoder, o.sparse);
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    std::vector<std::string> left, right;
    for (TextInput& t : window) {
      left.push_back(std::move(t.text));
      if (t.pair) right.push_back(std::move(*t.pair));
    }
    if (right.empty()) {
      if (done > 0 || left.size() < 2 || left.size() > kMatrixTexts)
        throw Error(
            ErrorCode::usage,
            fmt::format("similarity: found {} without a pair, expected 2 to {}; or give a file of pairs "
                        "(with a text_pair column)",
                        done + left.size() == 1 ? "1 text" : fmt::format("{} texts", done + left.size()),
                        kMatrixTexts));
      done += left.size();
      return print_matrix(comparison, left, o.run.json);
    }
    if (right.size() != left.size())
      throw Error(ErrorCode::format,
                  "similarity: some texts have a pair and some do not; give all of one kind");
    const Comparison::Side a = comparison.side(left, done), b = comparison.side(right, done);
    for (size_t i = 0; i < left.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const float value = comparison.value(a, row, b, row);
      if (o.run.json)
        print_json(nlohmann::json{{"index", done + i}, {comparison.name(), value}});
      else
        std::cout << fmt::format("{:6.3f}  {}  |  {}\n", value, left[i], right[i]);
    }
    done += left.size();
  });
  return 0;
}

int tokenize(const SimilarityArguments& o) {
  const Encoder encoder = o.run.load();
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    o.pair.apply(window, done);
    for (const TextInput& text : window) {
      const Tokens t = encoder.tokenize(text);
      if (o.run.json) {
        print_json(nlohmann::json{{"index", done},
                                  {"ids", t.ids},
                                  {"tokens", t.tokens},
                                  {"offsets", t.offsets},
                                  {"type_ids", t.type_ids},
                                  {"sequence", t.sequence},
                                  {"dropped", t.dropped},
                                  {"dropped_more", t.dropped_more}});
      } else {
        std::cout << fmt::format("{} tokens{}\n", t.ids.size(),
                                 t.dropped ? fmt::format(", {}{} dropped by truncation",
                                                         t.dropped_more ? "more than " : "", t.dropped)
                                           : "");
        for (size_t i = 0; i < t.ids.size(); ++i)
          std::cout << fmt::format(
              "  {:>7}  {:<20} {}\n", t.ids[i], t.tokens[i],
              t.sequence[i] < 0 ? "special" : fmt::format("{}-{}", t.offsets[i].first, t.offsets[i].second));
      }
      ++done;
    }
  });
  return 0;
}

}  // namespace

void add_similarity(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("similarity", "Print the cosine between texts, or of each pair of a file");
  auto o = std::make_shared<SimilarityArguments>();
  o->run.add_to(*command);
  o->run.add_pooling_to(*command);
  o->texts.add_to(*command);
  command->add_flag("--sparse", o->sparse, "Print the dot product of sparse vectors (embed-sparse) instead");
  command->callback([o, &run] { run = [o] { return similarity(*o); }; });
}

void add_tokenize(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens that a model reads");
  auto o = std::make_shared<SimilarityArguments>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  o->pair.add_to(*command, "Second text of every pair");
  command->callback([o, &run] { run = [o] { return tokenize(*o); }; });
}

}  // namespace mlxe::cli
