#include "hub/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/text.h"
#include "base/whole_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEndpoint = "https://huggingface.co";
constexpr size_t kMostTokenBytes = 65536;

// An empty variable counts as unset.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string first_of(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string value = variable(name); !value.empty()) return value;
  return {};
}

// As huggingface_hub: "~" at the start, "$NAME" and "${NAME}". An unset variable stays as it is written.
fs::path expanded(std::string text) {
  if (text == "~" || text.starts_with("~/")) text = variable("HOME") + text.substr(1);
  const auto in_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::string path;
  for (size_t i = 0; i < text.size();) {
    const bool braced = text.compare(i, 2, "${") == 0;
    const size_t begin = i + (braced ? 2 : 1);
    size_t end = begin;
    while (end < text.size() && in_name(text[end])) ++end;
    const bool named = text[i] == '$' && end > begin && (!braced || (end < text.size() && text[end] == '}'));
    const std::string value = named ? variable(text.substr(begin, end - begin).c_str()) : std::string();
    const size_t after = end + (braced ? 1 : 0);
    if (value.empty()) {
      path += text[i++];
    } else {
      path += value;
      i = after;
    }
  }
  return path;
}

fs::path home() {
  if (const std::string named = variable("HF_HOME"); !named.empty()) return expanded(named);
  const std::string cache = variable("XDG_CACHE_HOME");
  return expanded(cache.empty() ? "~/.cache" : cache) / "huggingface";
}

fs::path cache_folder() {
  const std::string named = first_of({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  return fs::absolute(named.empty() ? home() / "hub" : expanded(named));
}

bool is_true(const std::string& value) {
  const std::string lower = lowercase(value);
  return lower == "1" || lower == "on" || lower == "yes" || lower == "true";
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  return first == text.npos ? std::string()
                            : std::string(text.substr(first, text.find_last_not_of(kBlanks) + 1 - first));
}

// A token becomes part of a header, so it must not end the line. The error does not repeat it.
std::string checked_token(std::string_view text, const std::string& where) {
  std::string token = trimmed(text);
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7F; }))
    throw Error(ErrorCode::usage, where + ": found blanks or other bytes in it, expected a token of the hub");
  return token;
}

std::string token_of_environment() {
  if (std::string token = checked_token(first_of({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}), "HF_TOKEN");
      !token.empty())
    return token;
  if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return {};
  const std::string named = variable("HF_TOKEN_PATH");
  const fs::path file = named.empty() ? home() / "token" : expanded(named);
  std::error_code failed;
  if (!fs::exists(file, failed)) return {};
  return checked_token(read_whole_file(file, kMostTokenBytes), file.string());
}

std::string checked_endpoint(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (origin_of(endpoint).empty())
    throw Error(ErrorCode::usage, fmt::format("HF_ENDPOINT: found {}, expected an address such as {}",
                                              printable(endpoint), kEndpoint));
  return endpoint;
}

}  // namespace

std::string origin_of(const std::string& url) {
  // What programs read differently: curl takes "http://a\@b/" for an address of b.
  const auto is_ambiguous = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7F' || c == '\\';
  };
  if (std::ranges::any_of(url, is_ambiguous)) return {};
  const size_t colon = url.find("://");
  if (colon == url.npos) return {};
  const std::string scheme = lowercase(url.substr(0, colon));
  if (scheme != "http" && scheme != "https") return {};
  const size_t begin = colon + 3;
  std::string host = lowercase(url.substr(begin, url.find_first_of("/?#", begin) - begin));
  if (const size_t user = host.rfind('@'); user != host.npos) host.erase(0, user + 1);
  if (host.empty() || host.front() == ':') return {};
  const size_t port = host.rfind(':');
  const bool has_port = port != host.npos && host.find(']', port) == host.npos;
  return scheme + "://" + host + (has_port ? "" : scheme == "http" ? ":80" : ":443");
}

HubSettings hub_settings(const HubOptions& options) {
  HubSettings s{.cache = options.cache ? fs::absolute(*options.cache) : cache_folder(),
                .warning = options.warning,
                .progress = options.progress};
  const std::string endpoint = options.endpoint ? *options.endpoint : variable("HF_ENDPOINT");
  s.endpoint = checked_endpoint(endpoint.empty() ? kEndpoint : endpoint);
  s.token = options.token ? checked_token(*options.token, "the token") : token_of_environment();
  s.offline = options.offline
                  ? *options.offline
                  : is_true(variable("HF_HUB_OFFLINE")) || is_true(variable("TRANSFORMERS_OFFLINE"));
  return s;
}

}  // namespace mlxe
