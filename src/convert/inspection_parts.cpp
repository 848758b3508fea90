#include "convert/inspection_parts.h"

#include <algorithm>
#include <memory>

#include "convert/prepared_conversion.h"
#include "format/config.h"
#include "format/weight_files.h"
#include "quant/default_scheme.h"

namespace mlxe {

double bits_per_weight(uint64_t bytes, uint64_t parameters) {
  return parameters ? 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0;
}

Inspection inspect_foreign(const std::filesystem::path& folder, const Error& error) {
  const Config config = Config::read(folder / "config.json");
  const WeightFiles weights = open_weight_files(folder, {});
  Inspection result{.model_type = config.get_or<std::string>("model_type", ""),
                    .diagnosis = Diagnosis::unknown,
                    .evidence = {error.what()}};
  for (const TensorFile& file : weights.files) result.bytes += file.size();
  for (const WeightFiles::Location& at : weights.tensors) {
    const TensorView& view = weights.files[at.file].tensors()[at.tensor];
    const auto count = static_cast<uint64_t>(element_count(view.shape));
    result.tensors.push_back({.name = view.name,
                              .shape = view.shape,
                              .scheme = {.dtype = view.dtype},
                              .dtype = view.dtype,
                              .bytes = view.data.size(),
                              .bits_per_weight = bits_per_weight(view.data.size(), count),
                              .component = "other",
                              .finding = {}});
    result.parameters += count;
  }
  result.bits_per_weight = bits_per_weight(result.bytes, result.parameters);
  result.readers = {{"mlx-encoder", false, {error.what()}}};
  return result;
}

void predict_size_at_8_bits(const std::filesystem::path& folder, const FolderTokenizer& tokenizer,
                            Inspection& inspection) {
  std::shared_ptr<const ConversionSource> source;
  size_t most = 0;
  for (const Mode mode : {Mode::affine, Mode::int8}) {
    try {
      ConvertOptions options{.model = folder, .scheme = default_scheme(mode)};
      options.scheme.dtype = Dtype::f16;
      if (!source) source = std::make_shared<const ConversionSource>(options, tokenizer);
      const PreparedConversion conversion(source, options);
      const ConversionPlan& plan = conversion.plan();
      const auto quantized = static_cast<size_t>(std::ranges::count_if(
          plan.tensors, [](const PlannedTensor& t) { return t.scheme.mode != Mode::none; }));
      if (quantized <= most) continue;
      most = quantized;
      inspection.mode_at_8_bits = mode;
      inspection.bytes_at_8_bits = plan.predicted_bytes;
    } catch (const Error&) {  // the loaders' verdicts say why
    }
  }
}

}  // namespace mlxe
