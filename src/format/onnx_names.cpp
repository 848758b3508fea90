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
        if (rest.empty() || (rest.front() == '_' && rest.find('.') == rest.npos))
          return std::string(parameter);
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

void ModulePaths::add(std::string_view path, std::string_view module) {
  // Without the parts at the end that are the same.
  size_t same = 0;
  for (size_t i = 1;
       i <= std::min(path.size(), module.size()) && path[path.size() - i] == module[module.size() - i]; ++i) {
    const bool begins = i == path.size() || path[path.size() - i - 1] == '.';
    if (begins && (i == module.size() || module[module.size() - i - 1] == '.')) same = i;
  }
  if (same == 0) return;
  const auto before = [&](std::string_view whole) {
    return std::string(whole.substr(0, whole.size() - std::min(whole.size(), same + 1)));
  };
  const auto [found, is_new] = counts_.try_emplace({before(path), before(module)}, 0);
  if (++found->second > most_) {
    most_ = found->second;
    beginnings_ = found->first;
  }
}

std::string ModulePaths::module(const std::string& path) const {
  const auto& [of_path, of_module] = beginnings_;
  if (path.empty() || of_path == of_module) return path;
  if (of_path.empty()) return of_module + "." + path;
  if (!path.starts_with(of_path + ".")) return path;
  return of_module.empty() ? path.substr(of_path.size() + 1) : of_module + path.substr(of_path.size());
}

}  // namespace mlxe
