#include "hub/upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>

#include "base/base64.h"
#include "base/file_errors.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/whole_file.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "hub/hub_client.h"
#include "hub/repo_cache.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* kJson = "application/json";
constexpr const char* kLfs = "application/vnd.git-lfs+json";
constexpr size_t kSampleBytes = 512;  // of a file, by which the hub tells text from other files
constexpr size_t kMostReasonBytes = 200;

// "" unless the object has a text there.
std::string text_in(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What the hub says of a refusal, as the end of a sentence.
std::string reason_in(const HttpAnswer& answer) {
  const std::string reason = text_in(json::parse(answer.body, nullptr, false), "error");
  return reason.empty() ? std::string() : ": " + printable(reason.substr(0, kMostReasonBytes));
}

[[noreturn]] void malformed_answer(const std::string& url, const std::string& lack) {
  throw Error(ErrorCode::format,
              fmt::format("{}: the answer has no {}; is HF_ENDPOINT the address of a hub?", url, lack));
}

// An empty object if there is none: an absent one, null.
json object_in(const json& object, const char* key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || found->is_null()) return json::object();
  if (!found->is_object()) malformed_answer(where, fmt::format("object \"{}\"", key));
  return *found;
}

// An address that an answer names: its own host's or another's, and fit for a request.
std::string address_in(const json& action, const std::string& where) {
  std::string address = text_in(action, "href");
  if (origin_of(address).empty()) malformed_answer(where, "address of the storage");
  return address;
}

// Headers that an answer asks for, without those that are no header but facts of a transfer in parts.
std::vector<std::string> headers_in(const json& action, const std::string& where) {
  std::vector<std::string> headers;
  const json wanted = object_in(action, "header", where);
  for (const auto& [header, value] : wanted.items()) {
    if (!value.is_string()) malformed_answer(where, "text in \"header\"");
    std::string line = header + ": " + value.get<std::string>();
    if (std::ranges::any_of(line, [](char c) { return std::iscntrl(static_cast<unsigned char>(c)) != 0; }))
      malformed_answer(where, "header without control characters");
    headers.push_back(std::move(line));
  }
  return headers;
}

HttpContent content_of(const char* type, const std::string& body) {
  return {.headers = {fmt::format("Content-Type: {}", type),
                      fmt::format("Accept: {}", type == kLfs ? kLfs : kJson)},
          .size = body.size(),
          .read = [&body](uint64_t at, std::span<char> to) { return body.copy(to.data(), to.size(), at); }};
}

}  // namespace

HubName require_upload_target(std::string_view text, const HubSettings& settings) {
  const std::optional<HubName> name = parse_hub_name(text);
  if (!name || name->repo.find('/') == std::string::npos || text.find('@') != text.npos)
    throw Error(ErrorCode::usage, fmt::format("--upload-repo: found {}, expected org/name or user/name",
                                              printable(std::string(text))));
  if (settings.offline)
    throw Error(ErrorCode::usage, "--upload-repo: HF_HUB_OFFLINE is set; unset it to upload");
  if (settings.token.empty())
    throw Error(ErrorCode::usage,
                "--upload-repo: no token; set HF_TOKEN to a token of the hub that may write");
  if (!has_http())
    throw Error(ErrorCode::unsupported, "--upload-repo: this build has no libcurl (MLXE_WITH_HUB=OFF)");
  return *name;
}

void require_token(const HubSettings& settings) {
  HttpClient http(settings);
  const HttpAnswer answer = http.request(HttpMethod::get, settings.endpoint + "/api/whoami-v2");
  if (!answer.is_good())
    throw Error(ErrorCode::io,
                fmt::format("{} does not accept the token (status {}){}; set HF_TOKEN to one that may write",
                            settings.endpoint, answer.status, reason_in(answer)));
}

Upload::Upload(const HubSettings& settings, const HubName& name, const fs::path& folder)
    : settings_(settings), name_(name), http_(settings) {
  for (const fs::path& file : ModelFiles(folder).found())
    if (fs::is_regular_file(folder / file) && !file.generic_string().starts_with("."))
      files_.push_back({folder / file, file.generic_string(), fs::file_size(folder / file), false, {}});
  if (std::ranges::find(files_, "config.json", &File::name) == files_.end())
    throw Error(fs::exists(folder) ? ErrorCode::usage : ErrorCode::not_found,
                fmt::format("{}: no config.json; give the folder of a model", folder.string()));
}

Uploaded Upload::run() {
  create_repository();
  ask_which_are_large();
  send_large_files();
  return commit();
}

void Upload::require_good(const HttpAnswer& answer, const std::string& doing) const {
  if (answer.is_good()) return;
  throw Error(ErrorCode::io, fmt::format("{}: {} refuses {} (status {}){}; {}", name_.repo,
                                         origin_of(answer.url), doing, answer.status, reason_in(answer),
                                         answer.status == 401 || answer.status == 403
                                             ? "check that the token may write there"
                                             : "run the command again, what was uploaded is kept"));
}

json Upload::post(const std::string& url, const char* type, const std::string& body, const char* doing) {
  const HttpAnswer answer = http_.request(HttpMethod::post, url, content_of(type, body));
  require_good(answer, doing);
  return parse_json(answer.body, answer.url);
}

void Upload::create_repository() {
  const size_t slash = name_.repo.find('/');
  const std::string body =
      json{{"organization", name_.repo.substr(0, slash)}, {"name", name_.repo.substr(slash + 1)}}.dump();
  const HttpAnswer answer =
      http_.request(HttpMethod::post, settings_.endpoint + "/api/repos/create", content_of(kJson, body));
  if (answer.status == 409) return;  // it exists
  // A token for one repository may not create it, though it may write to it.
  if (answer.status == 403 &&
      http_
          .request(HttpMethod::get, settings_.endpoint + "/api/models/" + in_address(name_.repo, Slash::kept))
          .is_good())
    return;
  require_good(answer, "to create the repository");
}

void Upload::ask_which_are_large() {
  json files = json::array();
  for (const File& file : files_) {
    const MappedFile mapped(file.path);
    files.push_back(
        {{"path", file.name},
         {"size", file.size},
         {"sample", base64(mapped.bytes().first(std::min(kSampleBytes, mapped.bytes().size())))}});
  }
  const std::string url =
      fmt::format("{}/api/models/{}/preupload/main", settings_.endpoint, in_address(name_.repo, Slash::kept));
  const json answer = post(url, kJson, json{{"files", files}}.dump(), "the list of files");
  if (!answer.is_object() || !answer.contains("files") || !answer["files"].is_array())
    malformed_answer(url, "\"files\"");
  std::map<std::string, std::string> modes;
  for (const json& file : answer["files"])
    if (file.is_object())
      modes[text_in(file, "path")] =
          file.value("shouldIgnore", json(false)) == json(true) ? "ignore" : text_in(file, "uploadMode");
  for (File& file : files_) {
    const std::string& mode = modes[file.name];
    if (mode != "regular" && mode != "lfs" && mode != "ignore")
      malformed_answer(url, fmt::format("mode \"regular\" or \"lfs\" for {}", printable(file.name)));
    file.is_large = mode == "lfs";
    if (mode == "ignore" && settings_.warning)
      settings_.warning(fmt::format("{}: {} is not uploaded, because .gitignore of the repository names it",
                                    name_.repo, printable(file.name)));
  }
  std::erase_if(files_, [&](const File& file) { return modes[file.name] == "ignore"; });
  if (files_.empty())
    throw Error(ErrorCode::usage,
                fmt::format("{}: .gitignore of the repository names every file; choose another", name_.repo));
}

void Upload::send_large_files() {
  json objects = json::array();
  std::map<std::string, const File*> by_hash;
  for (File& file : files_) {
    if (!file.is_large) continue;
    file.sha256 = sha256_hex(file.path);
    if (by_hash.emplace(file.sha256, &file).second)
      objects.push_back({{"oid", file.sha256}, {"size", file.size}});
  }
  if (objects.empty()) return;
  const std::string url = fmt::format("{}/{}.git/info/lfs/objects/batch", settings_.endpoint,
                                      in_address(name_.repo, Slash::kept));
  const json request{{"operation", "upload"},
                     {"transfers", {"basic", "multipart"}},
                     {"objects", objects},
                     {"hash_algo", "sha256"},
                     {"ref", {{"name", "main"}}}};
  const json answer = post(url, kLfs, request.dump(), "the large files");
  if (!answer.is_object() || !answer.contains("objects") || !answer["objects"].is_array())
    malformed_answer(url, "\"objects\"");
  std::vector<std::pair<const File*, json>> wanted;
  for (const json& object : answer["objects"]) {
    const auto file = by_hash.find(text_in(object, "oid"));
    if (file == by_hash.end()) malformed_answer(url, "\"oid\" of a file that was named, each once");
    if (object.contains("error"))
      throw Error(ErrorCode::io, fmt::format("{}: {} refuses {}: {}; try again later", name_.repo,
                                             origin_of(url), file->second->name, shown(object["error"])));
    json actions = object_in(object, "actions", url);
    if (actions.contains("upload")) {  // else it is there already
      wanted.emplace_back(file->second, std::move(actions));
      to_send_ += file->second->size;
    }
    by_hash.erase(file);
  }
  if (!by_hash.empty()) malformed_answer(url, "\"oid\" of " + printable(by_hash.begin()->second->name));
  for (const auto& [file, actions] : wanted) send(*file, actions);
}

void Upload::send(const File& file, const json& actions) {
  const std::string where = name_.repo + ": " + file.name;
  const std::string doing = "the content of " + file.name;
  const json upload = object_in(actions, "upload", where), verify = object_in(actions, "verify", where);
  const json header = object_in(upload, "header", where);
  if (header.contains("chunk_size")) {
    const json& size = header["chunk_size"];
    const std::string text = size.is_string() ? size.get<std::string>() : size.dump();
    const uint64_t part_bytes = std::strtoull(text.c_str(), nullptr, 10);
    if (part_bytes == 0) malformed_answer(where, "size of the parts");
    send_in_parts(file, upload, part_bytes);
  } else {
    HttpContent content = piece_of(file, 0, file.size);
    content.headers = headers_in(upload, where);
    require_good(http_.request(HttpMethod::put, address_in(upload, where), content), doing);
  }
  sent_ += file.size;
  if (!verify.empty()) {
    const std::string body = json{{"oid", file.sha256}, {"size", file.size}}.dump();
    require_good(http_.request(HttpMethod::post, address_in(verify, where), content_of(kLfs, body)), doing);
  }
}

void Upload::send_in_parts(const File& file, const json& upload, uint64_t part_bytes) {
  const std::string where = name_.repo + ": " + file.name;
  std::map<uint64_t, std::string> addresses;  // by the number of the part, from 1
  for (const auto& [key, value] : upload["header"].items())
    if (!key.empty() && std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; }) &&
        value.is_string())
      addresses[std::strtoull(key.c_str(), nullptr, 10)] = value.get<std::string>();
  const uint64_t count = file.size / part_bytes + (file.size % part_bytes != 0);
  json parts = json::array();
  for (uint64_t i = 0; i < count; ++i) {
    const std::string& address = addresses[i + 1];
    if (origin_of(address).empty()) malformed_answer(where, fmt::format("address of part {}", i + 1));
    const uint64_t from = i * part_bytes;
    const HttpAnswer answer =
        http_.request(HttpMethod::put, address, piece_of(file, from, std::min(part_bytes, file.size - from)));
    require_good(answer, fmt::format("part {} of {}", i + 1, file.name));
    parts.push_back({{"partNumber", i + 1}, {"etag", answer.header("etag")}});
  }
  const std::string body = json{{"oid", file.sha256}, {"parts", parts}}.dump();
  require_good(http_.request(HttpMethod::post, address_in(upload, where), content_of(kLfs, body)),
               "the parts of " + file.name);
}

// Bytes of a file as the content of a request, with progress.
HttpContent Upload::piece_of(const File& file, uint64_t from, uint64_t size) {
  const auto mapped = std::make_shared<const MappedFile>(file.path);
  if (mapped->bytes().size() != file.size)
    throw Error(ErrorCode::io,
                file.path.string() + ": was written to while it was uploaded; run the command again");
  const auto read = [this, mapped, from, size](uint64_t at, std::span<char> to) {
    const auto left = mapped->bytes().subspan(from + at, std::min<uint64_t>(to.size(), size - at));
    std::ranges::transform(left, to.begin(), [](std::byte b) { return static_cast<char>(b); });
    if (settings_.progress)
      settings_.progress("uploading " + name_.repo, sent_ + from + at + left.size(), to_send_);
    return left.size();
  };
  return {.headers = {}, .size = size, .read = read};
}

Uploaded Upload::commit() {
  std::string lines =
      json{{"key", "header"},
           {"value", {{"summary", fmt::format("Upload by mlx-encoder {}", kVersion)}, {"description", ""}}}}
          .dump() +
      "\n";
  for (const File& file : files_) {
    const json value =
        file.is_large
            ? json{{"path", file.name}, {"algo", "sha256"}, {"oid", file.sha256}, {"size", file.size}}
            : json{{"path", file.name},
                   {"encoding", "base64"},
                   {"content", base64(MappedFile(file.path).bytes())}};
    lines += json{{"key", file.is_large ? "lfsFile" : "file"}, {"value", value}}.dump() + "\n";
  }
  const std::string url =
      fmt::format("{}/api/models/{}/commit/main", settings_.endpoint, in_address(name_.repo, Slash::kept));
  const json answer = post(url, "application/x-ndjson", lines, "the commit");
  if (!answer.is_object() || !answer.contains("commitOid") || !answer["commitOid"].is_string() ||
      !is_commit(answer["commitOid"].get_ref<const std::string&>()))
    malformed_answer(url, "commit in \"commitOid\"");
  return {.commit = answer["commitOid"].get<std::string>(),
          .url = fmt::format("{}/{}", settings_.endpoint, name_.repo),
          .bytes = sent_};
}

Uploaded upload_model(const fs::path& folder, std::string_view repo, const HubOptions& options) {
  return with_file_errors([&] {
    const HubSettings settings = hub_settings(options);
    const HubName name = require_upload_target(repo, settings);
    return Upload(settings, name, folder).run();
  });
}

void require_upload(std::string_view repo, const HubOptions& options) {
  const HubSettings settings = hub_settings(options);
  require_upload_target(repo, settings);
  require_token(settings);
}

}  // namespace mlxe
