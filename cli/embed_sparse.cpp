// mlx-encoder embed-sparse: the weights of each text's terms, by a SPLADE model or bge-m3.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "sparse_file.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr size_t kShownTerms = 10;  // of a text, without --json and --top-k

struct SparseArguments {
  RunOptions run;
  TextSource texts;
  PromptOptions prompt;
  int64_t top_k = 0;
  std::string output, output_format;
};

// For people.
void print_terms(const std::string& text, const SparseVectors& vectors, int64_t row, size_t most,
                 const TokenOf& token) {
  std::cout << text << '\n';
  const std::vector<Term> terms = terms_of(vectors, row);
  const size_t shown = std::min(most, terms.size());
  for (size_t i = 0; i < shown; ++i)
    std::cout << fmt::format("  {:<24} {:.4f}\n", token(terms[i].id), terms[i].weight);
  if (shown < terms.size()) std::cout << fmt::format("  ... {} terms\n", terms.size());
}

int embed_sparse(const SparseArguments& o) {
  SparseOptions options;
  o.prompt.apply(options);
  options.top_k = o.top_k;
  options.progress = progress();
  if (!o.output_format.empty() && o.output.empty())
    throw Error(ErrorCode::usage,
                "--output-format applies to a file of vectors; add -o FILE, or leave it out");
  if (!o.output.empty()) {
    require_writable(o.output);
    sparse_format(o.output, o.output_format);
  }
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  const TokenOf token = [&](int32_t id) { return encoder.token(id); };
  std::unique_ptr<SparseFile> file;
  if (!o.output.empty())
    file = open_sparse_file(o.output, sparse_format(o.output, o.output_format), encoder.info().vocab_size,
                            token);
  int64_t done = 0, terms = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    options.first_text = static_cast<size_t>(done);
    const std::vector<std::string> texts =
        single_texts(std::move(window), options.first_text, "embed-sparse");
    const SparseVectors vectors = encoder.embed_sparse(texts, options);
    if (file) file->append(vectors);
    for (int64_t i = 0; !file && i < vectors.rows; ++i) {
      if (o.run.json)
        print_json(json_of(vectors, i, done + i, token));
      else
        print_terms(texts[static_cast<size_t>(i)], vectors, i,
                    o.top_k > 0 ? static_cast<size_t>(o.top_k) : kShownTerms, token);
    }
    done += vectors.rows;
    terms += vectors.offsets.back();
  });
  if (!file) return 0;
  file->finish();
  std::ostream& said = file->is_standard_output() ? std::cerr : std::cout;
  if (o.run.json)
    print_json(
        nlohmann::json{
            {"output", o.output}, {"rows", done}, {"columns", encoder.info().vocab_size}, {"terms", terms}},
        -1, said);
  else
    said << fmt::format("{}: {} vectors with {} terms of a vocabulary of {}\n", cleaned(o.output), done,
                        terms, encoder.info().vocab_size);
  return 0;
}

}  // namespace

void add_embed_sparse(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "embed-sparse", "Compute sparse vectors, a weight for each term, by a SPLADE model or bge-m3");
  auto o = std::make_shared<SparseArguments>();
  o->run.add_to(*command);
  o->run.add_pooling_to(*command);
  o->texts.add_to(*command);
  o->prompt.add_to(*command);
  command->add_option("--top-k", o->top_k, "Keep the K largest weights of each text [all]")
      ->check(at_least(1));
  command->add_option("-o,--output", o->output,
                      "Write the vectors to this .npz (SciPy), .jsonl or .safetensors file");
  command->add_option("--output-format", o->output_format,
                      "npz, jsonl or safetensors [by the file's ending]");
  command->callback([o, &run] { run = [o] { return embed_sparse(*o); }; });
}

}  // namespace mlxe::cli
