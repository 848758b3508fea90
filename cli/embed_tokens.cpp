// mlx-encoder embed-tokens: a vector for each token of a text, by a late interaction model (ColBERT, bge-m3).
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/output_file.h"
#include "base/wording.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"
#include "token_file.h"

namespace mlxe::cli {
namespace {

constexpr size_t kShownValues = 4;  // of a vector, without --json

struct TokenArguments {
  RunOptions run;
  TextSource texts;
  bool query = false, document = false;
  std::string output, output_format;
};

// For people.
void print_tokens(const std::string& text, const TokenVectors& vectors, int64_t i, const TokenOf& token) {
  std::cout << text << '\n';
  const auto columns = static_cast<size_t>(vectors.columns);
  for (int64_t row = vectors.offsets[static_cast<size_t>(i)];
       row < vectors.offsets[static_cast<size_t>(i) + 1]; ++row) {
    std::vector<std::string> head;
    const auto values = std::span(vectors.values).subspan(static_cast<size_t>(row) * columns, columns);
    for (const float v : values.first(std::min(kShownValues, columns)))
      head.push_back(fmt::format("{:.5f}", v));
    std::cout << fmt::format("  {:<20} [{}{}]\n", token(vectors.ids[static_cast<size_t>(row)]),
                             fmt::join(head, ", "), columns > kShownValues ? ", ..." : "");
  }
}

int embed_tokens(const TokenArguments& o) {
  if (o.query && o.document) throw Error(ErrorCode::usage, "found --query and --document, expected one");
  if (!o.output_format.empty() && o.output.empty())
    throw Error(ErrorCode::usage,
                "--output-format applies to a file of vectors; add -o FILE, or leave it out");
  if (!o.output.empty()) {
    require_writable(o.output);
    token_format(o.output, o.output_format);
  }
  TokenVectorOptions options;
  options.task = o.query ? EmbedTask::query : EmbedTask::document;
  options.progress = progress();
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  if (!o.query && !o.document && encoder.info().tells_queries_apart)
    throw Error(ErrorCode::usage,
                "found neither --query nor --document, expected one: the model tells them apart");
  const TokenOf token = [&](int32_t id) { return encoder.token(id); };
  std::unique_ptr<TokenFile> file;
  if (!o.output.empty()) file = open_token_file(o.output, token_format(o.output, o.output_format), token);
  int64_t done = 0, rows = 0, columns = 0;
  o.texts.read(kTokenWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    options.first_text = static_cast<size_t>(done);
    const std::vector<std::string> texts =
        single_texts(std::move(window), options.first_text, "embed-tokens");
    const TokenVectors vectors = encoder.embed_tokens(texts, options);
    if (file) file->append(vectors);
    for (int64_t i = 0; !file && i < vectors.texts(); ++i) {
      if (o.run.json)
        print_json(json_of(vectors, i, done + i, token));
      else
        print_tokens(texts[static_cast<size_t>(i)], vectors, i, token);
    }
    done += vectors.texts();
    rows += vectors.offsets.back();
    columns = vectors.columns;
  });
  if (!file) return 0;
  file->finish();
  std::ostream& said = file->is_standard_output() ? std::cerr : std::cout;
  if (o.run.json)
    print_json(nlohmann::json{{"output", o.output}, {"texts", done}, {"rows", rows}, {"columns", columns}},
               -1, said);
  else
    said << fmt::format("{}: {} vectors of {} values, of the tokens of {} texts\n", cleaned(o.output), rows,
                        columns, done);
  return 0;
}

}  // namespace

void add_embed_tokens(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "embed-tokens", "Compute a vector for each token, by a late interaction model (ColBERT, bge-m3)");
  auto o = std::make_shared<TokenArguments>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_flag("--query", o->query, "The texts are queries");
  command->add_flag("--document", o->document, "The texts are documents");
  command->add_option("-o,--output", o->output,
                      "Write the vectors to this .safetensors, .npz (NumPy) or .jsonl file");
  command->add_option("--output-format", o->output_format,
                      "safetensors, npz or jsonl [by the file's ending]");
  command->callback([o, &run] { run = [o] { return embed_tokens(*o); }; });
}

}  // namespace mlxe::cli
