#include "compare/stored_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace mlxe {
namespace {

namespace fs = std::filesystem;

uint64_t folder_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;  // a file that goes away meanwhile counts nothing
  for (fs::recursive_directory_iterator it(folder, ignored), end; it != end; it.increment(ignored))
    if (it->is_regular_file(ignored)) bytes += it->file_size(ignored);
  return bytes;
}

enum class Faked { yes, no };

std::string scheme_of(const StoredWeight& w, Faked faked) {
  return faked == Faked::yes ? "fake int8 (float32 values)" : to_string(w.scheme);
}

void add_part(const StoredWeight& w, Component component, Faked is_fake, StoredSize& size) {
  const std::string part = name(component), scheme = scheme_of(w, is_fake);
  size.parts[part] += w.bytes();
  auto group =
      std::ranges::find_if(size.groups, [&](const auto& g) { return g.part == part && g.scheme == scheme; });
  if (group == size.groups.end()) group = size.groups.insert(group, {.part = part, .scheme = scheme});
  ++group->tensors;
  group->parameters += element_count(w.shape);
  group->bytes += w.bytes();
}

// Weights whose owner says they were rounded to int8 and stored back as floats.
std::set<std::string> faked(const Checkpoint& checkpoint) {
  std::set<std::string> names;
  for (const CheckpointTensor& t : checkpoint.tensors())
    if (t.role == TensorRole::stray_component) names.insert(t.owner);
  return names;
}

}  // namespace

StoredSize stored_size(const TextRunner& runner) {
  const Checkpoint& checkpoint = runner.checkpoint();
  StoredSize size;
  size.weight_bytes = checkpoint.bytes();
  size.folder_bytes = folder_bytes(checkpoint.folder());

  const std::set<std::string> fakes = faked(checkpoint);
  std::map<std::string, int64_t> schemes;  // of the matrices, by values
  uint64_t bytes = 0;
  for (const std::string& name : checkpoint.weight_names()) {
    const StoredWeight w = checkpoint.stored(name);
    const int64_t count = element_count(w.shape);
    size.parameters += count;
    bytes += w.bytes();
    if (w.shape.size() < 2) continue;
    schemes[scheme_of(w, fakes.contains(name) ? Faked::yes : Faked::no)] += count;
  }
  size.bits_per_weight =
      8.0 * static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(size.parameters, 1));
  const auto most = std::ranges::max_element(schemes, {}, [](const auto& s) { return s.second; });
  if (most != schemes.end()) size.scheme = most->first;

  for (const Parameter& p : runner.model().parameters())
    add_part(checkpoint.stored(p.name), p.component, fakes.contains(p.name) ? Faked::yes : Faked::no, size);
  std::ranges::stable_sort(size.groups, std::greater<>(), &StoredSize::Group::bytes);
  uint64_t named = 0;
  for (const auto& [name, part] : size.parts) named += part;
  if (size.weight_bytes > named) size.parts["other"] = size.weight_bytes - named;
  return size;
}

ExpectedCosine expected_cosine(const Checkpoint& checkpoint) {
  const std::set<std::string> fakes = faked(checkpoint);
  ExpectedCosine expected;
  for (const std::string& name : checkpoint.weight_names()) {
    StoredWeight w = checkpoint.stored(name);
    if (fakes.contains(name)) w.scheme = {.mode = Mode::fake, .bits = 8};
    expected.add(w);
  }
  return expected;
}

}  // namespace mlxe
