#include "sweep/toml_table.h"

#include <fmt/format.h>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {

TomlTable::TomlTable(const TomlFile& file, std::string pointer)
    : file_(file),
      pointer_(std::move(pointer)),
      object_(file.values.at(nlohmann::json::json_pointer(pointer_))) {
  if (!object_.is_object())
    throw Error(ErrorCode::format, fmt::format("{}: found {}, expected a table", where(), shown(object_)));
}

const nlohmann::json* TomlTable::take(const std::string& key) {
  asked_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

void TomlTable::wrong_type(const std::string& key, const char* expected) const {
  throw Error(ErrorCode::format,
              fmt::format("{}: {} is {}, expected {}", where(key), key, shown(object_.at(key)), expected));
}

std::string TomlTable::where(const std::string& key) const {
  return file_.where(pointer_ + "/" + key);
}

std::string TomlTable::text(const std::string& key, const std::string& otherwise) {
  const nlohmann::json* value = take(key);
  if (value == nullptr) return otherwise;
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) wrong_type(key, "a text");
  return value->get<std::string>();
}

std::string TomlTable::text_or_number(const std::string& key) {
  const nlohmann::json* value = take(key);
  return value != nullptr && value->is_number() ? value->dump() : text(key);
}

int64_t TomlTable::whole(const std::string& key, int64_t otherwise) {
  const nlohmann::json* value = take(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_integer() || value->get<int64_t>() < 0) wrong_type(key, "a whole number");
  return value->get<int64_t>();
}

bool TomlTable::truth(const std::string& key, bool otherwise) {
  const nlohmann::json* value = take(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong_type(key, "true or false");
  return value->get<bool>();
}

std::vector<std::string> TomlTable::texts(const std::string& key) {
  const nlohmann::json* value = take(key);
  std::vector<std::string> all;
  if (value == nullptr) return all;
  if (!value->is_array()) wrong_type(key, "a list of texts");
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) wrong_type(key, "a list of texts");
    all.push_back(item.get<std::string>());
  }
  return all;
}

std::vector<TomlTable> TomlTable::tables(const std::string& key) {
  const nlohmann::json* value = take(key);
  std::vector<TomlTable> all;
  if (value == nullptr) return all;
  if (!value->is_array()) wrong_type(key, fmt::format("tables, each begun by [[{}]]", key).c_str());
  for (size_t i = 0; i < value->size(); ++i)
    all.emplace_back(file_, fmt::format("{}/{}/{}", pointer_, key, i));
  return all;
}

void TomlTable::expect_no_others() const {
  std::string unknown, known;
  for (const auto& [key, value] : object_.items())
    if (!asked_.contains(key) && unknown.empty()) unknown = key;
  if (unknown.empty()) return;
  for (const std::string& key : asked_) known += (known.empty() ? "" : ", ") + key;
  throw Error(ErrorCode::format, fmt::format("{}: the key {} is unknown; known here are {}", where(unknown),
                                             printable(unknown), known));
}

}  // namespace mlxe
