// What the hub tells of a repository and its files.
#pragma once

#include <string>
#include <string_view>

#include "hub/http.h"
#include "hub/hub_name.h"
#include "hub/wanted_files.h"

namespace mlxe {

struct RepoListing {
  std::string commit;
  FileNames files;  // each is inside the repository (is_inside_path)
};

struct RemoteFile {
  std::string url;   // of the content: may be signed, of another host, and good for a while only
  std::string etag;  // names the blob; a SHA-256 or a git hash
  uint64_t size = 0;
};

// Errors of all: not_found (by what is missing: the model, the revision or the file), io (the hub cannot be reached,
// refuses access, or keeps answering with an error), format (an answer that is malformed).
class HubClient {
 public:
  explicit HubClient(const HubSettings& settings) : settings_(settings), http_(settings) {}

  RepoListing list(const HubName& name);
  RemoteFile locate(const std::string& repo, const std::string& commit, const std::string& file);
  HttpClient& http() noexcept { return http_; }

  // Throws the error that an answer means. `what`: the file or model it is about.
  [[noreturn]] void refuse(const HttpAnswer& answer, const std::string& what) const;

 private:
  HttpAnswer follow(HttpMethod method, std::string url, const std::string& what);

  const HubSettings& settings_;
  HttpClient http_;
};

// Of a redirect: an absolute address or a path of the same host. Errors: format.
std::string redirect_target(const HttpAnswer& answer);

// `text` in an address, with all but letters, digits and "-._~" escaped; "/" stays if it separates names.
enum class Slash { kept, escaped };
std::string in_address(std::string_view text, Slash slash);

}  // namespace mlxe
