#include "allocate/target_request.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>
#include <utility>

#include "allocate/recipe.h"
#include "allocate/trials.h"
#include "base/sha256.h"
#include "convert/plan_digest.h"
#include "format/model_folder.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "quant/sources_hash.h"

namespace mlxe::allocate {
namespace fs = std::filesystem;
namespace {

Trial recorded_trial(const Recipe& recipe, const Conversion& conversion) {
  const nlohmann::json& m = recipe.measured;
  const bool labels = m.contains("flips") && m["flips"].is_number();
  return {.bytes = conversion.bytes,
          .bits = conversion.plan.bits_per_weight,
          .predicted = m.value("predicted", 0.0),
          .measured = {.metric = m.value("metric", ""),
                       .cost = m.value("cost", 0.0),
                       .relative_error = m.value("relative_error", 0.0),
                       .flips = labels ? m["flips"].get<double>() : 0,
                       .labels = labels,
                       .rows = m.value("rows", int64_t{0})}};
}

}  // namespace

std::string request_of(const ConvertOptions& options, const Target& target,
                       const std::vector<TextInput>& texts) {
  std::string text = fmt::format("mlx-encoder {} {}\n{} {}\n{} {}\n{}\n", kVersion, conversion_sources_hash(),
                                 option_of(target.kind), target.value, static_cast<int>(options.layout),
                                 to_string(options.scheme), hash_of(texts));
  for (const std::string& s : options.keep) text += "keep " + s + "\n";
  for (const std::string& s : options.overrides) text += "set " + s + "\n";
  if (options.calibration)
    text += fmt::format("calibration {} {} {} {}\n", mlxe::name(options.calibration->method),
                        options.calibration->limit, hash_of(options.calibration->texts),
                        static_cast<int>(options.calibration->built_in));
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::optional<FinishedTarget> finished_before(const ConvertOptions& options, const std::string& request) {
  const fs::path& output = options.output;
  if (options.if_done == IfDone::rewrite || !fs::exists(output)) return std::nullopt;
  if (fs::is_directory(output) && fs::is_empty(output)) return std::nullopt;
  if (fs::exists(output / kRecipeFile)) {
    const Recipe recipe = Recipe::read(output / kRecipeFile);
    if (recipe.request == request) {
      ConvertOptions again = options;
      again.scheme = recipe.scheme;
      again.allocation = recipe.allocation();
      again.keep.clear();
      again.overrides.clear();
      Conversion conversion = convert(again);  // skipped, or an error if the folder was changed
      add_own_files(conversion);
      const Trial chosen = recorded_trial(recipe, conversion);
      return FinishedTarget{std::move(conversion), chosen};
    }
  }
  if (options.if_done == IfDone::renew) return std::nullopt;
  throw Error(ErrorCode::usage,
              fmt::format("{}: holds something else; pass --force to replace it or choose another folder",
                          output.string()));
}

}  // namespace mlxe::allocate
