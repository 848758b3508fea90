#include "evaluate/label_index.h"

#include <fmt/format.h>

#include <set>

#include "base/text.h"

namespace mlxe {
namespace {

// The classes of the labels, up to the first that is not known. `class_of`: -1 where it is not.
std::vector<int64_t> indices_of(std::span<const std::string> gold, const auto& class_of) {
  std::vector<int64_t> indices;
  for (const std::string& label : gold) {
    const int64_t found = class_of(label);
    if (found < 0) break;
    indices.push_back(found);
  }
  return indices;
}

}  // namespace

ClassNames::ClassNames(std::span<const std::string> names) {
  for (size_t i = 0; i < names.size(); ++i) {
    exact_[names[i]].push_back(static_cast<int64_t>(i));
    lower_case_[lowercase(names[i])].push_back(static_cast<int64_t>(i));
  }
}

const std::vector<int64_t>& ClassNames::classes(const std::string& label) const {
  static const std::vector<int64_t> none;
  if (const auto found = exact_.find(label); found != exact_.end()) return found->second;
  const auto found = lower_case_.find(lowercase(label));
  return found == lower_case_.end() ? none : found->second;
}

std::vector<std::string> distinct_names(std::vector<std::string> names) {
  const std::multiset<std::string> all(names.begin(), names.end());
  std::set<std::string> used;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string number = fmt::format(" ({})", i);
    if (all.count(names[i]) > 1) names[i] += number;
    while (!used.insert(names[i]).second) names[i] += number;
  }
  return names;
}

GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn) {
  const ClassNames by_name(names);
  std::map<std::string, int64_t> by_number;
  for (size_t i = 0; i < names.size(); ++i) by_number.emplace(std::to_string(i), static_cast<int64_t>(i));
  bool ambiguous = false;
  for (const auto& [number, index] : by_number)
    for (const int64_t named : by_name.classes(number)) ambiguous |= named != index;
  const auto numbered_class = [&](const std::string& label) {
    const auto found = by_number.find(label);
    return found == by_number.end() ? -1 : found->second;
  };
  std::vector<int64_t> numbered = indices_of(gold, numbered_class);
  std::vector<int64_t> named = indices_of(gold, [&](const std::string& label) {
    const std::vector<int64_t>& classes = by_name.classes(label);
    if (classes.empty() && !ambiguous) return numbered_class(label);
    return classes.size() == 1 ? classes[0] : -1;
  });

  const bool all_named = named.size() == gold.size(), all_numbered = numbered.size() == gold.size();
  if (all_named && all_numbered && named != numbered && warn)
    warn("the gold labels fit the names of the model's labels and their numbers; they were read as names");
  const bool by_number_only = ambiguous ? !all_named && numbered.size() > named.size() : all_numbered;
  std::vector<int64_t>& read = by_number_only ? numbered : named;
  const size_t count = read.size();
  return {std::move(read), count < gold.size() ? std::optional(count) : std::nullopt, by_number_only};
}

}  // namespace mlxe
