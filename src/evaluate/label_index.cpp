#include "evaluate/label_index.h"

#include <map>

#include "base/text.h"

namespace mlxe {
namespace {

using Classes = std::map<std::string, int64_t>;

// The classes of the labels, up to the first that is not known.
std::vector<int64_t> indices_of(std::span<const std::string> gold, const Classes& known) {
  std::vector<int64_t> indices;
  for (const std::string& label : gold) {
    const auto found = known.find(lowercase(label));
    if (found == known.end()) break;
    indices.push_back(found->second);
  }
  return indices;
}

}  // namespace

GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn) {
  Classes by_name, by_number;
  for (size_t i = 0; i < names.size(); ++i) {
    by_name.emplace(lowercase(names[i]), static_cast<int64_t>(i));
    by_number.emplace(std::to_string(i), static_cast<int64_t>(i));
  }
  bool ambiguous = false;
  for (const auto& [name, index] : by_name) {
    const auto number = by_number.find(name);
    ambiguous |= number != by_number.end() && number->second != index;
  }
  std::vector<int64_t> numbered = indices_of(gold, by_number);
  if (!ambiguous) by_name.insert(by_number.begin(), by_number.end());
  std::vector<int64_t> named = indices_of(gold, by_name);

  const bool all_named = named.size() == gold.size(), all_numbered = numbered.size() == gold.size();
  if (all_named && all_numbered && named != numbered && warn)
    warn("the gold labels fit the names of the model's labels and their numbers; they were read as names");
  const bool by_number_only = ambiguous ? !all_named && numbered.size() > named.size() : all_numbered;
  std::vector<int64_t>& read = by_number_only ? numbered : named;
  const size_t count = read.size();
  return {std::move(read), count < gold.size() ? std::optional(count) : std::nullopt, by_number_only};
}

}  // namespace mlxe
