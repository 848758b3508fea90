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

double Config::positive_number(std::string_view key) const {
  const double value = get<double>(key);
  if (!(value > 0)) mistyped(key, value, "a number above 0");
  return value;
}

double Config::positive_number_or(std::string_view key, double fallback) const {
  return has(key) ? positive_number(key) : (use(key), fallback);
}

Config Config::object(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_object()) mistyped(key, value, "an object");
  return Config(value, fmt::format("{}: {}", where_, printable(key)));
}

std::vector<std::string> Config::labels() const {
  use("label2id");
  const nlohmann::json* map = find("id2label");
  use("id2label");
  if (!map) {
    const int64_t count = positive_or("num_labels", 2);
    if (count > static_cast<int64_t>(kMaxLabels))
      mistyped("num_labels", count, fmt::format("at most {}", kMaxLabels));
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i) names.push_back("LABEL_" + std::to_string(i));
    return names;
  }
  if (!map->is_object() || map->empty() || map->size() > kMaxLabels)
    mistyped("id2label", *map, "an object with one entry a class");
  std::vector<std::string> names;
  for (size_t i = 0; i < map->size(); ++i) {
    const auto it = map->find(std::to_string(i));
    if (it == map->end())
      throw Error(ErrorCode::format,
                  fmt::format("{}: \"id2label\" has {} classes but none numbered {}; expected 0 to {}",
                              where_, map->size(), i, map->size() - 1));
    if (!it->is_string()) mistyped("id2label", *it, "a string for each class");
    names.push_back(it->get<std::string>());
  }
  if (has("num_labels") && positive("num_labels") != static_cast<int64_t>(names.size()))
    throw Error(ErrorCode::format, fmt::format("{}: \"num_labels\" is {}, \"id2label\" has {} classes",
                                               where_, positive("num_labels"), names.size()));
  return names;
}

void Config::harmless(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) use(key);
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

void Config::reject_unsupported() const {
  std::string problems;
  for (const RejectedKey& row : rejected_keys()) {
    use(row.key);
    const nlohmann::json* value = find(row.key);
    if (!value || *value == nlohmann::json::parse(row.honoured)) continue;
    problems +=
        fmt::format("{}\"{}\" is {}; {}", problems.empty() ? "" : "\n", row.key, shown(*value), row.why);
  }
  if (!problems.empty()) throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where_, problems));
}

std::vector<std::string> Config::unknown_keys() const {
  const std::lock_guard lock(account_->mutex);
  std::vector<std::string> unknown;
  for (const auto& [key, value] : json_->items())
    if (!account_->used.contains(key) && !is_harmless_key(key)) unknown.push_back(key);
  return unknown;
}

void Config::warn_unknown(const Warning& warn) const {
  if (!warn) return;
  for (const std::string& key : unknown_keys())
    warn(fmt::format("{}: the key {} is not known and was ignored", where_, printable(key)));
}

}  // namespace mlxe
