#include "convert/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/file_errors.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "convert/weight_components.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kBegin = "<!-- mlx-encoder: measurements begin -->";
constexpr std::string_view kEnd = "<!-- mlx-encoder: measurements end -->";

std::string text_of(const fs::path& file) {
  const MappedFile mapped(file);
  return {reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()};
}

struct Card {
  std::string text;
  size_t begin = 0, end = 0;  // the text between the marks
};

Card read_card(const fs::path& folder) {
  const fs::path readme = folder / "README.md";
  if (!fs::is_regular_file(readme))
    throw Error(ErrorCode::not_found,
                readme.string() + ": no such file; measurements go into the model card that convert writes");
  Card card{.text = text_of(readme)};
  const size_t begin = card.text.find(kBegin);
  const size_t end = begin == card.text.npos ? begin : card.text.find(kEnd, begin);
  if (end == card.text.npos)
    throw Error(ErrorCode::format,
                fmt::format("{}: has no place for measurements, expected the lines \"{}\" and \"{}\" of a "
                            "card written by convert; add them, or convert again",
                            readme.string(), kBegin, kEnd));
  card.begin = begin + kBegin.size();
  card.end = end;
  return card;
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
  const bool ours = !is_mlx(f.mode) && f.mode != Mode::none;
  std::string text = "```sh\n";
  text += fmt::format("mlx-encoder {}\n", f.example);
  text +=
      "```\n\n```cpp\n#include <mlx_encoder/encoder.h>\n\nmlxe::Encoder encoder = "
      "mlxe::Encoder::load(\".\");\n```\n";
  if (f.layout == Layout::mlx_embeddings && !ours)
    text +=
        "\n```python\nfrom mlx_embeddings import load, generate\n\nmodel, tokenizer = load(\".\")\n"
        "vectors = generate(model, tokenizer, texts=[\"a text\"]).text_embeds\n```\n";
  return text;
}

// The lines between two fences "---", without their ends: \n, \r\n or \r. A byte order mark, blank lines
// before the first fence and blanks after a fence are passed over, as YAML readers do.
std::vector<std::string> front_matter_lines(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<std::string> lines;
  bool open = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(text.starts_with("\r\n") ? 2 : std::min<size_t>(1, text.size()));
    std::string fence = line;
    while (fence.ends_with(' ') || fence.ends_with('\t')) fence.pop_back();
    if (fence == "---") {
      if (open) return lines;
      open = true;
    } else if (open) {
      lines.push_back(std::move(line));
    } else if (!fence.empty()) {
      return {};
    }
  }
  return {};  // the second fence is missing
}

bool is_quantized(const PlannedTensor& t) {
  return t.scheme.mode != Mode::none;
}

// "affine 4-bit g64 float16"; where only groups differ "affine 4-bit float16, groups of 32 and 64"; of
// several schemes "mixed, 4.52 bits a weight"; without any the floats' dtype.
std::string stored_as(const ConversionPlan& plan) {
  std::set<std::string> quantized, floats, widths;
  std::set<int> groups;
  for (const PlannedTensor& t : plan.tensors) {
    if (is_quantized(t)) {
      quantized.insert(to_string(t.scheme));
      groups.insert(t.scheme.group_size);
      widths.insert(fmt::format("{} {}-bit {}", name(t.scheme.mode), t.scheme.bits,
                                to_string(Scheme{.dtype = t.scheme.dtype})));
    } else if (is_float(t.scheme.dtype)) {
      floats.insert(to_string(t.scheme));
    }
  }
  const std::set<std::string>& schemes = quantized.empty() ? floats : quantized;
  if (schemes.size() == 1) return *schemes.begin();
  if (widths.size() == 1) return fmt::format("{}, groups of {}", *widths.begin(), fmt::join(groups, " and "));
  return fmt::format("mixed, {:.2f} bits a weight", plan.bits_per_weight);
}

// "quantized", "with 30 of 40 matrices quantized", "cast".
std::string what_was_done(const ConversionPlan& plan) {
  const auto is_matrix = [](const PlannedTensor& t) {
    return is_quantized(t) || (!t.source.empty() && (t.role == "linear" || t.role == "embedding"));
  };
  const auto matrices = std::ranges::count_if(plan.tensors, is_matrix);
  const auto quantized = std::ranges::count_if(plan.tensors, is_quantized);
  if (quantized == 0) return "cast";
  return quantized == matrices ? "quantized"
                               : fmt::format("with {} of {} matrices quantized", quantized, matrices);
}

}  // namespace

std::string model_card(const CardFacts& f, const ConversionPlan& plan) {
  std::string text = "---\nlibrary_name: mlx\n" + f.front_matter;
  if (!f.base_model.empty()) text += fmt::format("base_model: {}\n", f.base_model);
  text += "tags:\n- mlx\n- mlx-encoder\n";
  if (f.sentence_model) text += "- sentence-transformers\n";
  text += "---\n\n";
  text += fmt::format("# {} ({})\n\n", f.title, stored_as(plan));
  text += fmt::format(
      "A `{}` encoder {} by mlx-encoder: {:.2f} MiB of weights instead of {:.2f}, {:.2f} bits a weight over "
      "{:.2f} million "
      "parameters.\n\n",
      f.model_type, what_was_done(plan), mib(plan.predicted_bytes), mib(plan.source_bytes),
      plan.bits_per_weight, static_cast<double>(plan.parameters) / 1e6);
  if (f.mode == Mode::fake)
    text +=
        "**This is a baseline to compare with, not a model to use:** its values carry the error of 8-bit "
        "quantization and are stored as 32-bit floats.\n\n";
  text += "## Size\n\n" + size_table(plan);
  if (const std::string floats = f.mode != Mode::none ? float_list(plan) : ""; !floats.empty())
    text += "\nNot stored as asked, and why:\n\n" + floats;
  text += "\n## What it cost\n\n";
  text += fmt::format(
      "{}\nNot measured yet. `mlx-encoder compare ORIGINAL . --texts FILE --update-card` measures it and "
      "enters the figures here.\n{}\n",
      kBegin, kEnd);
  text += "\n## Load\n\n" + how_to_load(f);
  return text;
}

std::string reusable_front_matter(const fs::path& readme) {
  if (!fs::exists(readme)) return {};
  std::string reusable;
  bool in_list = false;  // the items of such a key
  for (const std::string& line : front_matter_lines(text_of(readme))) {
    if (in_list && (line.starts_with("- ") || line.starts_with(" "))) {
      reusable += line + "\n";
      continue;
    }
    in_list = false;
    for (const std::string_view key :
         {"license:", "license_name:", "license_link:", "language:", "pipeline_tag:"})
      if (line.starts_with(key)) {
        reusable += line + "\n";
        in_list = true;
      }
  }
  return reusable;
}

void require_measurement_place(const fs::path& folder) {
  with_file_errors([&] { read_card(folder); });
  require_writable(folder / "README.md");
}

void insert_measurements(const fs::path& folder, const std::string& markdown) {
  with_file_errors([&] {
    Card card = read_card(folder);
    card.text.replace(card.begin, card.end - card.begin,
                      fmt::format("\n{}{}", markdown, markdown.ends_with('\n') ? "" : "\n"));
    write_whole_file(folder / "README.md", card.text);
  });
}

}  // namespace mlxe
