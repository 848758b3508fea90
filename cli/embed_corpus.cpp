// mlx-encoder embed -i FOLDER -o FOLDER: vectors of all files of texts in a folder.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/wording.h"
#include "embed_arguments.h"
#include "mlx_encoder/corpus.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "range_file.h"

namespace mlxe::cli {
namespace {

void require_no_file_options(const EmbedArguments& o) {
  const std::pair<const std::string&, const char*> files[] = {{o.sparse, "--sparse-output"},
                                                              {o.tokens, "--token-output"},
                                                              {o.save_ranges, "--save-ranges"},
                                                              {o.texts.format, "--input-format"}};
  for (const auto& [value, option] : files)
    if (!value.empty())
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: is a folder, for which {} has no meaning; leave it out, or give a file of texts",
                      o.texts.input, option));
  if (o.output.empty() || o.output == "-")
    throw Error(ErrorCode::usage,
                fmt::format("{}: is a folder; add -o FOLDER for its files of vectors", o.texts.input));
}

}  // namespace

int embed_corpus(const EmbedArguments& o) {
  require_no_file_options(o);
  CorpusOptions options{.embed = o.options(),
                        .chunking = o.chunking(),
                        .precision = parse_vector_precision(o.precision),
                        .format = o.output_format,
                        .text_column = o.texts.text_column,
                        .progress = progress(),
                        .warning = o.run.warning()};
  if (!o.ranges.empty()) options.ranges = read_ranges(o.ranges, options.precision);
  const Encoder encoder = o.run.load();
  const CorpusResult result = mlxe::embed_corpus(encoder, o.texts.input, o.output, options);
  if (o.run.json) {
    print_json(nlohmann::json{{"output", o.output},
                              {"files", result.files},
                              {"files_before", result.files_before},
                              {"texts", result.texts},
                              {"truncated", result.truncated},
                              {"rows", result.vectors},
                              {"columns", result.columns},
                              {"precision", o.precision}});
    return 0;
  }
  const std::string before =
      result.files_before == 0 ? "" : fmt::format(", {} of them by earlier runs", result.files_before);
  std::cout << fmt::format("{}: {} file{}{}: {} vectors of {} {} values\n", cleaned(o.output), result.files,
                           result.files == 1 ? "" : "s", before, result.vectors, result.columns, o.precision);
  return 0;
}

}  // namespace mlxe::cli
