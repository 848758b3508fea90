#include "tokenizer/chat_template.h"

#include "base/mapped_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

constexpr const char* kKey = "chat_template";

}  // namespace

std::optional<ChatTemplate> ChatTemplate::find(const std::filesystem::path& folder) {
  if (const auto file = folder / "chat_template.jinja"; std::filesystem::exists(file)) {
    const MappedFile mapped(file);
    return ChatTemplate({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()},
                        file.string());
  }
  const auto file = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  const nlohmann::json settings = read_json(file);
  if (!settings.is_object() || !settings.contains(kKey)) return std::nullopt;
  const nlohmann::json& stated = settings[kKey];
  const std::string where = file.string() + ": \"" + kKey + "\"";
  if (stated.is_string()) return ChatTemplate(stated.get<std::string>(), where);
  if (stated.is_array())
    for (const nlohmann::json& entry : stated)
      if (entry.is_object() && entry.value("name", nlohmann::json()) == "default" &&
          entry.contains("template") && entry["template"].is_string())
        return ChatTemplate(entry["template"].get<std::string>(), where);
  return std::nullopt;
}

std::string ChatTemplate::render(const nlohmann::json& variables) const {
  const std::string given = variables.dump();
  RustString text, error;
  check_rust(mlxe_chat_template_render(jinja_.data(), jinja_.size(), given.data(), given.size(), text.out(),
                                       error.out()),
             where_ + ": ", error);
  return text.str();
}

}  // namespace mlxe
