#include "convert/inspect_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "convert/inspection_parts.h"
#include "format/linked_folders.h"

namespace mlxe {
namespace {

Diagnosis together(const std::set<Diagnosis>& found) {
  if (found.contains(Diagnosis::unknown)) return Diagnosis::unknown;
  std::set<Diagnosis> quantized = found;
  quantized.erase(Diagnosis::plain);
  return quantized.size() > 1 ? Diagnosis::mixed : quantized.empty() ? Diagnosis::plain : *quantized.begin();
}

void add_new(std::vector<std::string>& all, const std::vector<std::string>& more) {
  for (const std::string& one : more)
    if (std::ranges::find(all, one) == all.end()) all.push_back(one);
}

}  // namespace

Inspection inspect_routes(const EncoderRoutes& routes, int threads) {
  Inspection all;
  std::set<Diagnosis> diagnoses;
  std::vector<std::string> types, own_problems;
  bool all_convert = true;
  for (size_t i = 0; i < routes.encoders.size(); ++i) {
    Inspection one = inspect_model(routes.model(i), threads);
    const std::string prefix = fmt::format("route {}: ", routes.router.routes[i].name);
    add_new(types, {one.model_type});
    diagnoses.insert(one.diagnosis);
    for (const std::string& sentence : one.evidence)
      all.evidence.push_back(prefix + with_shown_paths(sentence));
    for (const std::string& sentence : one.warnings)
      all.warnings.push_back(prefix + with_shown_paths(sentence));
    all.bytes += one.bytes;
    all.parameters += one.parameters;
    all_convert &= one.bytes_at_8_bits > 0;
    all.bytes_at_8_bits += one.bytes_at_8_bits;
    all.mode_at_8_bits = one.mode_at_8_bits;
    for (InspectedTensor& tensor : one.tensors) {
      tensor.name = (routes.encoders[i] / tensor.name).generic_string();
      all.tensors.push_back(std::move(tensor));
    }
    for (const ComponentSize& size : one.components) {
      auto sum = std::ranges::find(all.components, size.component, &ComponentSize::component);
      if (sum == all.components.end()) sum = all.components.insert(sum, {.component = size.component});
      sum->tensors += size.tensors;
      sum->parameters += size.parameters;
      sum->bytes += size.bytes;
    }
    add_new(all.heads, one.heads);
    add_new(all.unknown_keys, one.unknown_keys);
    for (const ReaderVerdict& reader : one.readers) {
      const bool own = reader.reader == one.readers.front().reader;  // mlx-encoder
      for (const std::string& why : reader.why)
        if (own) own_problems.push_back(prefix + with_shown_paths(why));
      if (i == 0 && !own)
        all.readers.push_back({reader.reader,
                               false,
                               {"knows no Router; a route that is converted alone is judged alone"},
                               reader.version});
      if (i == 0 && own) all.readers.push_back({reader.reader, true, {}, reader.version});
      if (own) all.readers.front().loads &= reader.loads;
    }
  }
  if (!all.readers.empty()) all.readers.front().why = std::move(own_problems);
  if (!all_convert) all.bytes_at_8_bits = 0;
  all.model_type = fmt::format("{}", fmt::join(types, ", "));
  all.diagnosis = together(diagnoses);
  all.bits_per_weight = bits_per_weight(all.bytes, all.parameters);
  std::ranges::stable_sort(all.components, std::greater{}, &ComponentSize::bytes);
  return all;
}

}  // namespace mlxe
