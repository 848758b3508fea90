#include "format/config.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kMaxLabels = 1'000'000;

}  // namespace

Config::Config(const nlohmann::json& object, std::string where)
    : where_(std::move(where)),
      json_(std::make_shared<nlohmann::json>(object)),
      account_(std::make_shared<Account>()) {
  if (!json_->is_object())
    throw Error(ErrorCode::format,
                fmt::format("{}: found {}, expected an object of keys and values", where_, shown(*json_)));
}

Config Config::read(const std::filesystem::path& file) {
  return Config(read_json(file), file.string());
}

Config Config::parse(std::string_view text, std::string where) {
  const nlohmann::json object = parse_json(text, where);
  return Config(object, std::move(where));
}

const nlohmann::json* Config::find(std::string_view key) const {
  const auto it = json_->find(key);
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

bool Config::has(std::string_view key) const {
  return find(key) != nullptr;
}

void Config::use(std::string_view key) const {
  const std::lock_guard lock(account_->mutex);
  account_->used.emplace(key);
  if (const auto declared = account_->harmless.find(key); declared != account_->harmless.end())
    account_->harmless.erase(declared);
}

const nlohmann::json& Config::require(std::string_view key) const {
  use(key);
  if (const nlohmann::json* value = find(key)) return *value;
  throw Error(ErrorCode::format, fmt::format("{}: {} is missing", where_, printable(key)));
}

void Config::mistyped(std::string_view key, const nlohmann::json& value, std::string_view expected) const {
  throw Error(ErrorCode::format,
              fmt::format("{}: {} is {}, expected {}", where_, printable(key), shown(value), expected));
}

template <>
bool Config::get(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_boolean()) mistyped(key, value, "true or false");
  return value.get<bool>();
}

template <>
int64_t Config::get(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() &&
       value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())))
    mistyped(key, value, "a whole number");
  return value.get<int64_t>();
}

template <>
int Config::get(std::string_view key) const {
  const int64_t value = get<int64_t>(key);
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    mistyped(key, value, "a whole number below 2^31");
  return static_cast<int>(value);
}

template <>
double Config::get(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) mistyped(key, value, "a number");
  return value.get<double>();
}

template <>
std::string Config::get(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_string()) mistyped(key, value, "a string");
  return value.get<std::string>();
}

template <>
std::vector<std::string> Config::get(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_array()) mistyped(key, value, "a list of strings");
  for (const nlohmann::json& item : value)
    if (!item.is_string()) mistyped(key, value, "a list of strings");
  return value.get<std::vector<std::string>>();
}

int64_t Config::positive(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_number_integer() || value.get<double>() < 1) mistyped(key, value, "a positive integer");
  if (value.get<double>() > static_cast<double>(kMaxConfigSize))
    mistyped(key, value, fmt::format("a positive integer up to {}", kMaxConfigSize));
  return value.get<int64_t>();
}

int64_t Config::positive_or(std::string_view key, int64_t fallback) const {
  return has(key) ? positive(key) : (use(key), fallback);
}

double Config::non_negative_number(std::string_view key) const {
  const double value = get<double>(key);
  if (!(value >= 0)) mistyped(key, value, "a number from 0 on");
  return value;
}

double Config::non_negative_number_or(std::string_view key, double fallback) const {
  return has(key) ? non_negative_number(key) : (use(key), fallback);
}

Config Config::object(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_object()) mistyped(key, value, "an object");
  return Config(value, fmt::format("{}: {}", where_, printable(key)));
}

std::vector<std::string> Config::labels(const Warning& warn, int64_t otherwise) const {
  use("label2id");
  use("num_labels");
  use("id2label");
  const auto unnamed = [](size_t i) { return "LABEL_" + std::to_string(i); };
  const nlohmann::json* map = find("id2label");
  std::vector<std::string> names;
  if (!map) {
    const int64_t count = positive_or("num_labels", otherwise);
    if (count > static_cast<int64_t>(kMaxLabels))
      mistyped("num_labels", count, fmt::format("at most {}", kMaxLabels));
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) names.push_back(unnamed(i));
    return names;
  }
  if (!map->is_object() || map->empty() || map->size() > kMaxLabels)
    mistyped("id2label", *map, "an object with one entry a class");
  for (const auto& [key, label] : map->items())
    if (key.empty() || key.find_first_not_of("0123456789") != key.npos)
      mistyped("id2label", *map, "the numbers of the classes as keys");

  const auto note = [&](const std::string& sentence) {
    if (warn) warn(fmt::format("{}: {}", where_, sentence));
  };
  for (size_t i = 0; i < map->size(); ++i) {
    const auto it = map->find(std::to_string(i));
    if (it != map->end() && it->is_string()) {
      names.push_back(it->get<std::string>());
      continue;
    }
    const bool named = it != map->end() && !it->is_null();
    names.push_back(named ? it->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) : unnamed(i));
    note(named ? fmt::format("\"id2label\" names class {} {}, which is no string; it is called {}", i,
                             shown(*it), printable(names.back()))
               : fmt::format("\"id2label\" has {} classes but no name for class {}; it is called {}",
                             map->size(), i, printable(names.back())));
  }
  if (const nlohmann::json* count = find("num_labels"); count && *count != names.size())
    note(fmt::format(
        "\"num_labels\" is {}, \"id2label\" has {} classes; the second was used, as transformers does",
        shown(*count), names.size()));
  return names;
}

void Config::harmless(std::initializer_list<std::string_view> keys) const {
  const std::lock_guard lock(account_->mutex);
  for (const std::string_view key : keys)
    if (account_->used.emplace(key).second) account_->harmless.emplace(key);
}

void Config::reject_unless(std::string_view key, std::initializer_list<nlohmann::json> honoured,
                           std::string_view why) const {
  use(key);
  const nlohmann::json* value = find(key);
  if (!value) return;
  for (const nlohmann::json& one : honoured)
    if (*value == one) return;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: {} is {}; {}", where_, printable(key), shown(*value), why));
}

void Config::reject_unsupported(std::span<const std::string_view> except) const {
  std::string problems;
  for (const RejectedKey& row : rejected_keys()) {
    if (std::ranges::find(except, row.key) != except.end()) continue;
    use(row.key);
    const nlohmann::json* value = find(row.key);
    if (!value || *value == nlohmann::json::parse(row.honoured)) continue;
    problems +=
        fmt::format("{}\"{}\" is {}; {}", problems.empty() ? "" : "\n", row.key, shown(*value), row.why);
  }
  if (!problems.empty()) throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where_, problems));
}

std::vector<std::string> Config::unused_keys() const {
  const std::lock_guard lock(account_->mutex);
  std::vector<std::string> unused;
  for (const auto& [key, value] : json_->items())
    if (!account_->used.contains(key)) unused.push_back(key);
  return unused;
}

std::vector<std::string> Config::unknown_keys() const {
  std::vector<std::string> unknown = unused_keys();
  std::erase_if(unknown, [](const std::string& key) { return is_harmless_key(key); });
  return unknown;
}

Config::KeyAccount Config::account() const {
  const std::lock_guard lock(account_->mutex);
  KeyAccount keys;
  for (const auto& [key, value] : json_->items()) {
    const bool read = account_->used.contains(key), declared = account_->harmless.contains(key);
    if (read && !declared)
      keys.used.push_back(key);
    else if (declared || is_harmless_key(key))
      keys.harmless.push_back(key);
    else
      keys.ignored.push_back(key);
  }
  return keys;
}

bool is_stanford_colbert(const Config& config) {
  const nlohmann::json& json = config.json();
  const auto classes = json.find("architectures");
  return classes != json.end() && classes->is_array() && !classes->empty() &&
         classes->front() == "HF_ColBERT";
}

void Config::warn_unknown(const Warning& warn) const {
  if (!warn) return;
  for (const std::string& key : unknown_keys())
    warn(fmt::format("{}: the key {} is not known and was ignored", where_, printable(key)));
}

}  // namespace mlxe
