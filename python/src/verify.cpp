#include "mlx_encoder/verify.h"

#include "call.h"
#include "mlx_encoder/hub.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

auto checked_text(const CheckedText& t) {
  return result<"reports.CheckedText">("text"_a = t.text, "pair"_a = t.pair, "prompt_name"_a = t.prompt_name,
                                       "difference"_a = t.difference, "cosine"_a = t.cosine,
                                       "cosine_to_original"_a = t.cosine_to_original,
                                       "recorded_cosine"_a = t.recorded_cosine, "problem"_a = t.problem);
}

auto report_of(const VerifyReport& r, const std::string& folder) {
  return result<"reports.Verification">(
      "folder"_a = folder, "verdict"_a = name(r.verdict), "failures"_a = r.failures,
      "model_type"_a = r.model_type, "engine"_a = r.engine, "engine_variant"_a = r.engine_variant,
      "settings"_a = list_of(r.settings,
                             [](const SettingInForce& s) {
                               return result<"reports.Setting">("name"_a = s.name, "value"_a = s.value,
                                                                "source"_a = s.from);
                             }),
      "used_keys"_a = r.used_keys, "harmless_keys"_a = r.harmless_keys, "ignored_keys"_a = r.ignored_keys,
      "recorded"_a = r.recorded,
      "files"_a = list_of(r.files,
                          [](const CheckedFile& f) {
                            return result<"reports.CheckedFile">("name"_a = f.name, "problem"_a = f.problem);
                          }),
      "golden"_a = r.golden, "golden_made_by"_a = r.golden_made_by, "output"_a = r.output,
      "difference_limit"_a = r.difference_limit, "cosine_limit"_a = r.cosine_limit,
      "mean_cosine_limit"_a = r.mean_cosine_limit, "mean_cosine"_a = r.mean_cosine,
      "texts"_a = list_of(r.texts, checked_text));
}

auto verify_model(const std::string& model, const std::string& against, const std::string& save_golden,
                  const std::string& engine, int threads, const nb::object& progress) {
  VerifyOptions options{
      .engine = parse_engine(engine), .threads = threads, .against = against, .save_golden = save_golden};
  const auto [verified, folder] = run(progress, OnInterrupt::wait, [model, options](CallState& call) mutable {
    options.warning = call.warning();
    const std::filesystem::path found =
        model_folder(model, {.warning = call.warning(), .progress = call.progress()});
    return std::pair(verify(found, options), found.string());
  });
  return report_of(verified, folder);
}

}  // namespace

void bind_verify(nb::module_& m) {
  m.def("verify", verify_model, "model"_a, "against"_a, "save_golden"_a, "engine"_a, "threads"_a,
        "progress"_a.none(), "A reports.Verification.");
}

}  // namespace mlxe::python
