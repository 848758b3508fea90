#include "allocate/trials.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "allocate/pareto_chart.h"
#include "base/output_file.h"
#include "base/sha256.h"
#include "format/model_folder.h"

namespace mlxe::allocate {
namespace fs = std::filesystem;
namespace {

nlohmann::json measured_json(const Trial& trial) {
  const HeldOut& m = trial.measured;
  return {{"bytes", trial.bytes},
          {"bits_per_weight", trial.bits},
          {"predicted", trial.predicted},
          {"metric", m.metric},
          {"cost", m.cost},
          {"relative_error", m.relative_error},
          {"flips", m.labels ? nlohmann::json(m.flips) : nlohmann::json()},
          {"rows", m.rows}};
}

std::vector<RecipeTensor> recipe_tensors(const PreparedConversion& conversion) {
  std::vector<RecipeTensor> list;
  const std::vector<TensorJob>& jobs = conversion.weights().tensors;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const PlannedTensor& t = conversion.plan().tensors[i];
    if (t.scheme.mode == Mode::none && t.role != "linear" && t.role != "embedding") continue;
    if (jobs[i].origin != TensorJob::Origin::stored) continue;
    list.push_back({jobs[i].source.name, t.shape, t.scheme});
  }
  return list;
}

Recipe recipe_of(const PreparedConversion& conversion, const Trial& trial, const RecipeOrigin& origin) {
  const ConvertOptions& options = conversion.options();
  Recipe recipe{.target = origin.target,
                .request = origin.request,
                .source = {},
                .layout = options.layout,
                .scheme = options.scheme,
                .calibration = origin.calibration,
                .tensors = recipe_tensors(conversion),
                .measured = measured_json(trial)};
  const ConversionSource& source = conversion.source();
  for (const CheckpointFile& file : source.checkpoint.files()) {
    const fs::path name = file.path.lexically_relative(source.checkpoint.folder()).lexically_normal();
    recipe.source[name.generic_string()] = sha256_hex(options.model / name);
  }
  source.stamp.require_unchanged(source.files());
  return recipe;
}

}  // namespace

TrialConversion Trials::make(Allocation allocation, const Progress& progress) {
  const PreparedConversion& conversion = allocation.conversion;
  conversion.report_warnings();
  auto pending = std::make_unique<PendingConversion>(conversion, claim_, progress);
  const ConversionPlan& plan = conversion.plan();
  all_.push_back({.bytes = plan.predicted_bytes,
                  .bits = plan.bits_per_weight,
                  .predicted = allocation.cost,
                  .measured = held_out_.measure(pending->folder())});
  return {all_.size() - 1, std::move(allocation), std::move(pending)};
}

Conversion Trials::commit(const TrialConversion& made, const RecipeOrigin& origin) const {
  const Trial& chosen = trial(made);
  const fs::path& folder = made.pending->folder();
  write_whole_file(folder / kRecipeFile, recipe_of(made.allocation.conversion, chosen, origin).text(),
                   Placement::fresh);
  std::vector<Trial> others = all_;
  if (made.index + 1 == others.size())
    others.pop_back();  // the last trial is the chosen one, which is drawn separately
  write_whole_file(folder / kParetoFile, pareto_chart(space_, chosen, others), Placement::fresh);
  Conversion conversion = made.pending->commit();
  add_own_files(conversion);
  return conversion;
}

void add_own_files(Conversion& conversion) {
  for (const char* file : {kRecipeFile, kParetoFile})
    if (fs::exists(conversion.folder / file))
      conversion.plan.folder_bytes += fs::file_size(conversion.folder / file);
}

}  // namespace mlxe::allocate
