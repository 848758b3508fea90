// Reads one table of a TOML file key by key. Keys that were not read, and values of another type, are errors that name
// the line.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "format/toml_file.h"

namespace mlxe {

class TomlTable {
 public:
  // The table at `pointer` ("" is the whole file). Errors: format (it is not a table).
  TomlTable(const TomlFile& file, std::string pointer);

  bool has(const std::string& key) const { return object_.contains(key); }

  // The value of a key, or `otherwise` if the key is missing. Errors: format (another type, a negative number).
  std::string text(const std::string& key, const std::string& otherwise = "");
  std::string text_or_number(const std::string& key);  // as on the command line
  int64_t whole(const std::string& key, int64_t otherwise);
  bool truth(const std::string& key, bool otherwise);
  std::vector<std::string> texts(const std::string& key);
  std::vector<TomlTable> tables(const std::string& key);

  std::string where(const std::string& key) const;  // "matrix.toml:12"
  std::string where() const { return file_.where(pointer_); }

  // Errors: format (a key that was not read).
  void expect_no_others() const;

 private:
  const nlohmann::json* take(const std::string& key);
  [[noreturn]] void wrong_type(const std::string& key, const char* expected) const;

  const TomlFile& file_;
  std::string pointer_;
  const nlohmann::json& object_;
  std::set<std::string> asked_;
};

}  // namespace mlxe
