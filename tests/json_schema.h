// The part of JSON Schema that docs/json/*.schema.json use: type, required, properties, additionalProperties,
// items, enum and references to $defs.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mlxe::test {

class JsonSchema {
 public:
  explicit JsonSchema(nlohmann::json schema) : root_(std::move(schema)) {}

  // The violations of the schema by `value`, one a line. Empty if `value` is valid.
  std::string findings(const nlohmann::json& value) const {
    std::string all;
    check(root_, value, "$", all);
    return all;
  }

 private:
  static bool is(const std::string& type, const nlohmann::json& v) {
    if (type == "object") return v.is_object();
    if (type == "array") return v.is_array();
    if (type == "string") return v.is_string();
    if (type == "boolean") return v.is_boolean();
    if (type == "null") return v.is_null();
    if (type == "integer") return v.is_number_integer();
    return type == "number" && v.is_number();
  }

  void check(const nlohmann::json& schema, const nlohmann::json& value, const std::string& path,
             std::string& all) const {
    if (schema.contains("$ref"))
      return check(root_.at(nlohmann::json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value,
                   path, all);
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
      all += fmt::format("{}: {} is none of {}\n", path, value.dump(), schema["enum"].dump());
    if (schema.contains("type")) {
      const nlohmann::json types =
          schema["type"].is_array() ? schema["type"] : nlohmann::json::array({schema["type"]});
      if (std::none_of(types.begin(), types.end(), [&](const auto& t) { return is(t, value); })) {
        all += fmt::format("{}: is {}, expected {}\n", path, value.type_name(), types.dump());
        return;
      }
    }
    if (value.is_object()) check_object(schema, value, path, all);
    if (value.is_array() && schema.contains("items"))
      for (size_t i = 0; i < value.size(); ++i)
        check(schema["items"], value[i], fmt::format("{}[{}]", path, i), all);
  }

  void check_object(const nlohmann::json& schema, const nlohmann::json& value, const std::string& path,
                    std::string& all) const {
    for (const auto& key : schema.value("required", nlohmann::json::array()))
      if (!value.contains(key)) all += fmt::format("{}: has no {}\n", path, key.dump());
    const nlohmann::json known = schema.value("properties", nlohmann::json::object());
    const nlohmann::json others = schema.value("additionalProperties", nlohmann::json(true));
    for (const auto& [key, inside] : value.items()) {
      if (known.contains(key))
        check(known[key], inside, path + "." + key, all);
      else if (others.is_object())
        check(others, inside, path + "." + key, all);
      else if (others == false)
        all += fmt::format("{}: {} is not described\n", path, key);
    }
  }

  nlohmann::json root_;
};

}  // namespace mlxe::test
