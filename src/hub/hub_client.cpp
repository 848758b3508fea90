#include "hub/hub_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "format/json_file.h"
#include "hub/repo_cache.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr int kMostRedirects = 8;
constexpr size_t kMostEtagBytes = 128;

[[noreturn]] void throw_malformed(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: {}; is HF_ENDPOINT the address of a hub?", where, what));
}

// "W/\"abc\"" -> "abc". Names a file of the cache, so nothing else than letters, digits, "-", "_" and "." may be in it.
std::string blob_name(const HttpAnswer& answer) {
  std::string etag = answer.header("x-linked-etag");
  if (etag.empty()) etag = answer.header("etag");
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  if (etag.empty() || etag.size() > kMostEtagBytes || etag.front() == '.' ||
      !std::ranges::all_of(etag, allowed))
    throw_malformed(answer.url, fmt::format("the ETag is {}, expected a hash", printable(etag)));
  return etag;
}

uint64_t content_size(const HttpAnswer& answer) {
  std::string text = answer.header("x-linked-size");
  if (text.empty()) text = answer.header("content-length");
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || size > uint64_t{1} << 50)
    throw_malformed(answer.url, fmt::format("the size is {}, expected a number of bytes", printable(text)));
  return size;
}

}  // namespace

std::string in_address(std::string_view text, Slash slash) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                       std::string_view("-._~").find(c) != std::string_view::npos);
    if (plain || (c == '/' && slash == Slash::kept))
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", byte);
  }
  return escaped;
}

std::string redirect_target(const HttpAnswer& answer) {
  const std::string to = answer.header("location");
  const std::string from = answer.url;
  if (to.starts_with("/") && !to.starts_with("//"))
    return from.substr(0, from.find('/', from.find("://") + 3)) + to;
  if (origin_of(to).empty() || (from.starts_with("https") && !to.starts_with("https")))
    throw_malformed(from,
                    fmt::format("is redirected to {}, expected an address of the same kind", printable(to)));
  return to;
}

void HubClient::refuse(const HttpAnswer& answer, const std::string& what) const {
  const std::string code = answer.header("x-error-code");
  const std::string hub = settings_.endpoint;
  const auto fail = [&](ErrorCode kind, const std::string& text) { throw Error(kind, what + ": " + text); };
  if (code == "GatedRepo")
    fail(ErrorCode::io,
         fmt::format("access is restricted (status {}); accept the conditions at {}/{} and set HF_TOKEN "
                     "to a token of that account",
                     answer.status, hub, what.substr(0, what.find_first_of("@:"))));
  if (code == "RevisionNotFound")
    fail(ErrorCode::not_found,
         fmt::format("{} has the model but no such revision; check the name after @", hub));
  if (code == "EntryNotFound")
    fail(ErrorCode::not_found, fmt::format("{} lists the file but does not have it; try again", hub));
  if (code == "RepoNotFound" || answer.status == 404)
    fail(ErrorCode::not_found,
         fmt::format("no such folder, and {} has no such model, or a private one; check the name{}", hub,
                     settings_.token.empty() ? ", or set HF_TOKEN" : " and the rights of the token"));
  if (answer.status == 401 || answer.status == 403)
    fail(ErrorCode::io,
         fmt::format("{} refuses access (status {}); {}", hub, answer.status,
                     settings_.token.empty() ? "set HF_TOKEN" : "check the token and its rights"));
  if (answer.status == 429)
    fail(ErrorCode::io,
         fmt::format("{} has had too many requests (status 429); try again later, or set HF_TOKEN", hub));
  fail(ErrorCode::io, fmt::format("{} answers with status {}; try again later", hub, answer.status));
  throw Error(ErrorCode::internal, what);  // not reached: fail() throws
}

HttpAnswer HubClient::follow(HttpMethod method, std::string url, const std::string& what) {
  for (int i = 0; i < kMostRedirects; ++i) {
    HttpAnswer answer = http_.request(method, url);
    // A file's own address is the last one of the endpoint: the next host does not tell ETag and size.
    const bool is_file = method == HttpMethod::head && !answer.header("x-linked-etag").empty();
    if (!answer.is_redirect() || is_file) return answer;
    url = redirect_target(answer);
  }
  throw Error(ErrorCode::io,
              fmt::format("{}: {} redirects in a circle; try again later", what, settings_.endpoint));
}

RepoListing HubClient::list(const HubName& name) {
  const std::string what = name.revision == "main" ? name.repo : name.repo + "@" + name.revision;
  const HttpAnswer answer =
      follow(HttpMethod::get,
             fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint,
                         in_address(name.repo, Slash::kept), in_address(name.revision, Slash::escaped)),
             what);
  if (!answer.is_good()) refuse(answer, what);
  const nlohmann::json json = parse_json(answer.body, answer.url);
  const auto text = [&](const nlohmann::json& object, const char* key) {
    if (!object.is_object() || !object.contains(key) || !object[key].is_string())
      throw_malformed(answer.url, fmt::format("the answer has no \"{}\"", key));
    return object[key].get<std::string>();
  };
  RepoListing listing{text(json, "sha"), {}};
  if (!is_commit(listing.commit))
    throw_malformed(answer.url, fmt::format("\"sha\" is {}, expected a commit", printable(listing.commit)));
  if (!json.contains("siblings") || !json["siblings"].is_array())
    throw_malformed(answer.url, "the answer has no \"siblings\"");
  for (const nlohmann::json& sibling : json["siblings"]) {
    std::string file = text(sibling, "rfilename");
    if (!is_inside_path(file))
      throw Error(ErrorCode::format,
                  fmt::format("{}: lists the file {}, expected a path inside the repository; do not "
                              "trust this repository",
                              what, printable(file)));
    listing.files.push_back(std::move(file));
  }
  return listing;
}

RemoteFile HubClient::locate(const std::string& repo, const std::string& commit, const std::string& file) {
  const std::string what = repo + ": " + file;
  const HttpAnswer answer =
      follow(HttpMethod::head,
             fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, in_address(repo, Slash::kept), commit,
                         in_address(file, Slash::kept)),
             what);
  if (!answer.is_good() && !answer.is_redirect()) refuse(answer, what);
  return {answer.is_redirect() ? redirect_target(answer) : answer.url, blob_name(answer),
          content_size(answer)};
}

}  // namespace mlxe
