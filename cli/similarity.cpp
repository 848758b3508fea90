// mlx-encoder similarity: cosine between texts; tokenize: what the model sees of a text.
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
};

void print_matrix(const Encoder& encoder, const std::vector<std::string>& texts, bool json) {
  const Vectors v = encoder.embed(texts);
  nlohmann::json rows = nlohmann::json::array();
  for (int64_t i = 0; i < v.rows; ++i) {
    std::vector<float> row;
    for (int64_t j = 0; j < v.rows; ++j) row.push_back(cosine(v.row(i), v.row(j)));
    if (!json) std::cout << fmt::format("{:6.3f}  {}\n", fmt::join(row, " "), texts[i]);
    rows.push_back(row);
  }
  if (json) print_json(nlohmann::json{{"texts", texts}, {"cosine", rows}});
}

// Single texts: all against all. Pairs (a file with text_pair): each text against its pair.
int similarity(const SimilarityArguments& o) {
  const Encoder encoder = o.run.load();
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
      return print_matrix(encoder, left, o.run.json);
    }
    if (right.size() != left.size())
      throw Error(ErrorCode::format,
                  "similarity: some texts have a pair and some do not; give all of one kind");
    EmbedOptions options;
    options.first_text = done;
    options.progress = progress();
    const Vectors a = encoder.embed(left, options), b = encoder.embed(right, options);
    for (size_t i = 0; i < left.size(); ++i) {
      const float value = cosine(a.row(i), b.row(i));
      if (o.run.json)
        print_json(nlohmann::json{{"index", done + i}, {"cosine", value}});
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
  o->texts.add_to(*command);
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
