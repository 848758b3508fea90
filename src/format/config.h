// Reads a model's config.json and accounts for every key: used, known to be harmless, rejected or unknown.
//
// A converter that ignores an unknown key may silently compute something else. Therefore:
//   - each accessor marks its key as used;
//   - a table (config_keys.cpp) lists the keys that can't change an encoder's output, and those that
//     change it unless they have the one value that this library honours;
//   - the remaining keys are reported.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// Limit of layer count, width, vocabulary, ...: a product of two stays far from overflow.
inline constexpr int64_t kMaxConfigSize = int64_t{1} << 24;

// Cheap to copy: copies share the parsed file and the record of used keys. Reading is thread-safe.
// Accessors throw format: the text names file, key, value and the expected type or value.
class Config {
 public:
  // Errors: not_found, io, format (not JSON, not UTF-8, not an object, too large, nested too deep).
  static Config read(const std::filesystem::path& file);
  static Config parse(std::string_view text, std::string where);
  Config(const nlohmann::json& object, std::string where);

  const std::string& where() const noexcept { return where_; }
  const nlohmann::json& json() const noexcept { return *json_; }

  // Whether the key is present and not null (transformers reads null as "not given"). Does not mark it as
  // used.
  bool has(std::string_view key) const;

  // T: bool, int, int64_t, double (any finite number), std::string, std::vector<std::string>.
  template <class T>
  T get(std::string_view key) const;
  template <class T>
  T get_or(std::string_view key, T fallback) const {
    return has(key) ? get<T>(key) : (use(key), std::move(fallback));
  }
  // A whole number in [1, kMaxConfigSize].
  int64_t positive(std::string_view key) const;
  int64_t positive_or(std::string_view key, int64_t fallback) const;
  // A finite number >= 0, such as an epsilon.
  double non_negative_number(std::string_view key) const;
  double non_negative_number_or(std::string_view key, double fallback) const;
  // A nested object with its own record of used keys. Its errors begin with `config.json: "key"`.
  Config object(std::string_view key) const;

  // Names of the classes in order: id2label; else LABEL_0, ... for num_labels; else for `otherwise` classes, the
  // default of the architecture in transformers. Warns of odd values that transformers also loads: a num_labels that
  // contradicts id2label (it is ignored), a label that is no string, a class without a name.
  std::vector<std::string> labels(const Warning& warn = {}, int64_t otherwise = 2) const;

  // Marks keys that can't change the result for this architecture.
  void harmless(std::initializer_list<std::string_view> keys) const;
  // Throws unsupported unless the key is absent, null or has one of the `honoured` values. `why` completes
  // the error text.
  void reject_unless(std::string_view key, std::initializer_list<nlohmann::json> honoured,
                     std::string_view why) const;

  // Throws unsupported naming every key of the central table whose value this library can't honour
  // (is_decoder: true, position_embedding_type: "relative_key", ...).
  // Keys in `except` are left to the caller.
  void reject_unsupported(std::span<const std::string_view> except = {}) const;
  // Keys that were not used, sorted.
  std::vector<std::string> unused_keys() const;
  // Unused keys that are not in the table of harmless keys.
  std::vector<std::string> unknown_keys() const;
  // What became of every key, each in one list, sorted: one that was read or checked; one that cannot change a
  // result; any other.
  struct KeyAccount {
    std::vector<std::string> used, harmless, ignored;
  };
  KeyAccount account() const;
  // Gives one warning for each unknown key.
  void warn_unknown(const Warning& warn) const;

 private:
  const nlohmann::json* find(std::string_view key) const;  // nullptr if absent or null
  const nlohmann::json& require(std::string_view key) const;
  void use(std::string_view key) const;
  [[noreturn]] void mistyped(std::string_view key, const nlohmann::json& value,
                             std::string_view expected) const;

  struct Account {
    std::mutex mutex;
    std::set<std::string, std::less<>> used;
    std::set<std::string, std::less<>> harmless;  // those of `used` that were only declared so
  };
  std::string where_;
  std::shared_ptr<const nlohmann::json> json_;
  std::shared_ptr<Account> account_;
};

template <>
bool Config::get(std::string_view key) const;
template <>
int64_t Config::get(std::string_view key) const;
template <>
int Config::get(std::string_view key) const;
template <>
double Config::get(std::string_view key) const;
template <>
std::string Config::get(std::string_view key) const;
template <>
std::vector<std::string> Config::get(std::string_view key) const;

// Whether the first of "architectures" is HF_ColBERT.
bool is_stanford_colbert(const Config& config);

// The tables behind reject_unsupported() and unknown_keys().
struct RejectedKey {
  const char* key;
  const char* honoured;  // JSON; null is always honoured
  const char* why;
};
bool is_harmless_key(std::string_view key);
const std::vector<RejectedKey>& rejected_keys();

}  // namespace mlxe
