#include "mlx_encoder/convert.h"

#include <fmt/format.h>

#include "base/file_errors.h"
#include "convert/pending_conversion.h"
#include "convert/prepared_conversion.h"
#include "convert/routed_conversion.h"
#include "format/config.h"
#include "format/encoder_routes.h"
#include "format/folder_writer.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// The dtype of floats by config.json. (In converted folders: of the tensors that stayed float.)
Dtype stored_dtype(const fs::path& model) {
  // One dtype for all routes: that of the first whose config.json states one.
  if (const auto routes = encoder_routes(model)) {
    for (const fs::path& encoder : routes->encoders)
      if (fs::exists(model / encoder / "config.json")) return stored_dtype(model / encoder);
    return Dtype::f16;
  }
  const Config config = Config::read(model / "config.json");
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto spelling = config.get_or<std::string>(key, "");
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
      if (spelling == to_string(Scheme{.dtype = dtype})) return dtype;
  }
  return Dtype::f16;
}

}  // namespace

Layout parse_layout(std::string_view spelling) {
  if (spelling == "hf") return Layout::hf;
  if (spelling == "mlx-embeddings") return Layout::mlx_embeddings;
  throw Error(ErrorCode::usage, fmt::format("layout: \"{}\" is unknown; use hf or mlx-embeddings", spelling));
}

ConversionPlan plan_conversion(const ConvertOptions& options) {
  const FolderConversion conversion(options);
  conversion.report_warnings();
  return conversion.plan();
}

Conversion convert(const ConvertOptions& options) {
  return FolderConversion(options).convert(options.progress);
}

Conversion convert(const PreparedConversion& prepared, const Progress& progress) {
  return with_file_errors([&] {
    prepared.report_warnings();
    const ConvertOptions& options = prepared.options();
    if (prepared.is_written())
      return Conversion{.plan = prepared.plan(),
                        .folder = options.output,
                        .bytes = prepared.weights().bytes_in(options.output),
                        .skipped = true,
                        .calibration = {}};
    const FolderClaim claim(options.output, if_exists(options.if_done), {options.model});
    return prepared.write(claim, progress).commit();
  });
}

IfExists if_exists(IfDone if_done) noexcept {
  return if_done == IfDone::skip ? IfExists::refuse : IfExists::replace;
}

Conversion dequantize_model(const DequantizeOptions& options) {
  return with_file_errors([&] {
    ConvertOptions all{.model = options.model,
                       .output = options.output,
                       .scheme = {.dtype = options.dtype ? *options.dtype : stored_dtype(options.model)},
                       .allow_unknown = options.allow_unknown,
                       .max_shard_size = options.max_shard_size,
                       .strict = options.strict,
                       .if_done = options.if_done,
                       .threads = options.threads,
                       .warning = options.warning,
                       .progress = options.progress};
    return FolderConversion(all, Purpose::dequantize).convert(all.progress);
  });
}

}  // namespace mlxe
