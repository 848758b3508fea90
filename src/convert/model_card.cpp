#include "convert/model_card.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "convert/pieces.h"
#include "format/folder_writer.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kBegin = "<!-- mlx-encoder: measurements begin -->\n";
constexpr std::string_view kEnd = "<!-- mlx-encoder: measurements end -->\n";

std::string text_of(const fs::path& file) {
  const MappedFile mapped(file);
  return {reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()};
}

double mib(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

struct Line {
  uint64_t tensors = 0, bytes = 0;
};

std::string size_table(const ConversionPlan& plan) {
  std::map<std::string, Line> by_scheme;
  for (const PlannedTensor& t : plan.tensors) {
    Line& line = by_scheme[t.scheme.mode == Mode::none && !is_float(t.scheme.dtype) ? name(t.scheme.dtype)
                                                                                    : to_string(t.scheme)];
    ++line.tensors;
    line.bytes += t.bytes;
  }
  std::string text = "| stored as | tensors | MiB |\n|---|---:|---:|\n";
  for (const auto& [scheme, line] : by_scheme)
    text += fmt::format("| {} | {} | {:.2f} |\n", scheme, line.tensors, mib(line.bytes));
  text += fmt::format("| **all weight files** | **{}** | **{:.2f}** |\n", plan.tensors.size(),
                      mib(plan.predicted_bytes));
  return text;
}

// One line a reason, with how many tensors it holds for and an example.
std::string float_list(const ConversionPlan& plan) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const PlannedTensor& t : plan.tensors) {
    if (t.reason.empty()) continue;
    auto& names = by_reason[t.reason];
    if (names.empty()) order.push_back(t.reason);
    names.push_back(t.name);
  }
  std::string text;
  for (const std::string& reason : order) {
    const auto& names = by_reason[reason];
    text += fmt::format("- {}: `{}`{}\n", reason, names[0],
                        names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "");
  }
  return text;
}

std::string how_to_load(const CardFacts& f) {
  const bool ours = !is_mlx(f.scheme.mode) && f.scheme.mode != Mode::none;
  std::string text = "```sh\n";
  text += f.classifier ? "mlx-encoder classify . \"a text\"\n" : "mlx-encoder embed . \"a text\"\n";
  text +=
      "```\n\n```cpp\n#include <mlx_encoder/encoder.h>\n\nmlxe::Encoder encoder = "
      "mlxe::Encoder::load(\".\");\n```\n";
  if (f.layout == Layout::mlx_embeddings && !ours)
    text +=
        "\n```python\nfrom mlx_embeddings import load, generate\n\nmodel, tokenizer = load(\".\")\n"
        "vectors = generate(model, tokenizer, texts=[\"a text\"]).text_embeds\n```\n";
  return text;
}

}  // namespace

std::string model_card(const CardFacts& f, const ConversionPlan& plan) {
  std::string text = "---\nlibrary_name: mlx\n" + f.front_matter;
  if (!f.base_model.empty()) text += fmt::format("base_model: {}\n", f.base_model);
  text += "tags:\n- mlx\n- mlx-encoder\n";
  if (f.sentence_model) text += "- sentence-transformers\n";
  text += "---\n\n";
  const bool quantized = f.scheme.mode != Mode::none;
  text += fmt::format("# {} ({})\n\n", f.title, to_string(f.scheme));
  text += fmt::format(
      "A `{}` encoder {} by mlx-encoder: {:.2f} MiB of weights instead of {:.2f}, {:.2f} bits a weight over "
      "{:.2f} million "
      "parameters.\n\n",
      f.model_type, quantized ? "quantized" : "cast", mib(plan.predicted_bytes), mib(plan.source_bytes),
      plan.bits_per_weight, static_cast<double>(plan.parameters) / 1e6);
  if (f.scheme.mode == Mode::fake)
    text +=
        "**This is a baseline to compare with, not a model to use:** its values carry the error of 8-bit "
        "quantization and are stored as 32-bit floats.\n\n";
  text += "## Size\n\n" + size_table(plan);
  if (const std::string floats = quantized ? float_list(plan) : ""; !floats.empty())
    text += "\nNot stored as asked, and why:\n\n" + floats;
  text += "\n## What it cost\n\n";
  text += kBegin;
  text += "Not measured yet. `mlx-encoder compare ORIGINAL . --texts FILE` measures it.\n";
  text += kEnd;
  text += "\n## Load\n\n" + how_to_load(f);
  return text;
}

std::string kept_front_matter(const fs::path& readme) {
  if (!fs::exists(readme)) return {};
  const std::string text = text_of(readme);
  constexpr std::string_view kFence = "---\n";
  if (!text.starts_with(kFence)) return {};
  const size_t end = text.find("\n---", kFence.size() - 1);
  if (end == text.npos) return {};
  std::string kept;
  bool in_list = false;  // the items of a kept key
  for (size_t at = kFence.size(); at <= end;) {
    const size_t line_end = text.find('\n', at);
    std::string line = text.substr(at, line_end - at);
    at = line_end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (in_list && (line.starts_with("- ") || line.starts_with(" "))) {
      kept += line + "\n";
      continue;
    }
    in_list = false;
    for (const std::string_view key :
         {"license:", "license_name:", "license_link:", "language:", "pipeline_tag:"})
      if (line.starts_with(key)) {
        kept += line + "\n";
        in_list = true;
      }
  }
  return kept;
}

void insert_measurements(const fs::path& folder, const std::string& markdown) {
  const fs::path readme = folder / "README.md";
  std::string text = text_of(readme);
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  if (begin == text.npos || end == text.npos || end < begin)
    throw Error(ErrorCode::format,
                readme.string() + ": has no measurement marks; expected a card written by convert");
  const size_t from = begin + kBegin.size();
  text.replace(from, end - from, markdown + (markdown.ends_with('\n') ? "" : "\n"));
  const fs::path next = folder / ".README.md.next";
  write_whole_file(next, text);
  fs::rename(next, readme);
}

}  // namespace mlxe
