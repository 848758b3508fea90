// mlx-encoder dequantize: from a quantized folder back to plain floats.
#include <memory>

#include "command.h"
#include "conversion.h"

namespace mlxe::cli {

int dequantize(const FolderOptions& o) {
  DequantizeOptions options{.model = o.source(),
                            .output = o.output,
                            .dtype = {},
                            .allow_unknown = o.allow_unknown,
                            .max_shard_size = o.max_shard_size(),
                            .strict = o.strict,
                            .if_done = o.if_done(),
                            .threads = o.threads,
                            .warning = warnings(Strictness::warn),
                            .progress = progress()};
  if (!o.dtype.empty()) options.dtype = parse_dtype(o.dtype);
  o.require_upload();
  const Conversion done = dequantize_model(options);
  show(done, Written::yes, o, {.uploaded = o.upload(done.folder)});
  return 0;
}

void add_dequantize(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("dequantize", "Convert a quantized model folder back to floats");
  auto o = std::make_shared<FolderOptions>();
  o->add_to(*command);
  command->add_option("--dtype", o->dtype,
                      "float16, bfloat16 or float32 [what config.json says, else float16]");
  command->callback([o, &run] { run = [o] { return dequantize(*o); }; });
}

}  // namespace mlxe::cli
