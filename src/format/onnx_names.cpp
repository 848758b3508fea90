#include "format/onnx_names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace mlxe {
namespace {

bool is_of_a_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
}

}  // namespace

bool is_parameter_name(std::string_view name) {
  return std::ranges::all_of(name, is_of_a_name) && name.find('.') != name.npos && !name.starts_with('.') &&
         !name.ends_with('.');
}

std::string parameter_of(std::string_view name) {
  for (const std::string_view ending : {std::string_view(".weight"), std::string_view(".bias")})
    if (const size_t at = name.rfind(ending); at != name.npos && at > 0)
      if (const std::string_view parameter = name.substr(0, at + ending.size());
          is_parameter_name(parameter)) {
        const std::string_view rest = name.substr(parameter.size());
        if (rest.empty() || rest.front() == '_') return std::string(parameter);
      }
  return is_parameter_name(name) ? std::string(name) : std::string();
}

std::string module_around(const OnnxNode& node) {
  std::string module;
  if (node.scopes.size() >= 2) {
    module = node.scopes[node.scopes.size() - 2];
  } else if (node.name.starts_with('/')) {
    const size_t end = node.name.rfind('/');
    module = end == 0 ? "" : node.name.substr(1, end - 1);
    std::ranges::replace(module, '/', '.');
  }
  return std::ranges::all_of(module, is_of_a_name) ? module : std::string();
}

bool is_later_call(std::string_view name, std::string_view module) {
  // Any part of the path may have the number: "attention_1.query" too.
  while (!name.empty() || !module.empty()) {
    const std::string_view a = name.substr(0, name.find('.')), b = module.substr(0, module.find('.'));
    if (a != b) {
      const bool numbered =
          a.size() > b.size() + 1 && a.starts_with(b) && a[b.size()] == '_' &&
          std::ranges::all_of(a.substr(b.size() + 1), [](char c) { return c >= '0' && c <= '9'; });
      if (!numbered) return false;
    }
    name.remove_prefix(std::min(name.size(), a.size() + 1));
    module.remove_prefix(std::min(module.size(), b.size() + 1));
  }
  return true;
}

}  // namespace mlxe
