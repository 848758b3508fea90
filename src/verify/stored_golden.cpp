#include "verify/stored_golden.h"

#include <fmt/format.h>

#include <span>

#include "base/sha256.h"
#include "models/engine.h"
#include "verify/golden_run.h"
#include "verify/settings.h"

namespace mlxe {
namespace {

const std::string kNoDigest(64, '0');

EncoderOptions exact(int threads) {
  // Of an original: the plan of the conversion refused what is unknown.
  return {.engine = EngineKind::cpu,
          .activations = Activations::float32,
          .threads = threads,
          .allow_unknown = true};
}

}  // namespace

Golden golden_form(const LoadedModel& source, const Tokenizer& tokenizer, WithHeads heads) {
  const GoldenOutput output = heads == WithHeads::yes ? golden_output(source.model) : GoldenOutput::sentence;
  const auto width = static_cast<size_t>(*golden_width(source.model, source.sentence, output));
  Golden golden{.made_by = golden_maker(make_cpu_engine({.threads = 1})->info()),
                .output = output,
                .tolerance = {.difference = kGoldenDifference, .cosine = {}},
                .record = kNoDigest,
                .settings = by_name(settings_in_force(source, &tokenizer)),
                .texts = golden_texts(output, source.sentence.prompts)};
  if (heads == WithHeads::no)
    for (const char* of_a_head : {"score function", "labels", "token labels"})
      golden.settings.erase(of_a_head);
  for (GoldenText& text : golden.texts) text.values = text.original = std::vector<float>(width);
  return golden;
}

void fill_golden(Golden& golden, GoldenSide side, const std::filesystem::path& folder, int threads) {
  const auto values = side == GoldenSide::original ? &GoldenText::original : &GoldenText::values;
  const TextRunner runner(folder, exact(threads));
  for (GoldenText& text : golden.texts) text.*values = golden_values(runner, golden.output, text);
}

std::string record_digest(const Fingerprints& output) {
  std::string text;
  for (const auto& [file, print] : output)
    if (file != kGoldenFile) text += fmt::format("{} {} {}\n", print.sha256, print.bytes, file);
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace mlxe
