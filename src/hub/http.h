// HTTP over libcurl, as far as the hub needs it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/settings.h"
#include "mlx_encoder/error.h"

namespace mlxe {

// Whether this build can send requests.
bool has_http() noexcept;

struct HttpAnswer {
  std::string url;  // of the request
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // of a file, only that of an error

  bool is_good() const { return status >= 200 && status < 300; }
  bool is_redirect() const { return status >= 300 && status < 400 && headers.contains("location"); }
  std::string header(const std::string& lower_case_name) const {  // "" if absent
    const auto it = headers.find(lower_case_name);
    return it == headers.end() ? std::string() : it->second;
  }
};

// Error(io): no answer, as on a machine without a network.
class NoConnection : public Error {
 public:
  explicit NoConnection(const std::string& message) : Error(ErrorCode::io, message) {}
};

enum class HttpMethod { get, head, post, put };

// What a request of `post` or `put` brings.
struct HttpContent {
  std::vector<std::string> headers = {};  // "Content-Type: application/json"
  uint64_t size = 0;                      // bytes
  // Fills `to`, or as much of it as there is, with the bytes from `at` on, and returns how many these are. Called from
  // the start again when the request is sent again.
  std::function<size_t(uint64_t at, std::span<char> to)> read = {};
};

// Sends the token to the endpoint's own scheme, host and port, and nowhere else. Uses the proxies of the environment.
// Not thread-safe.
class HttpClient {
 public:
  // `settings` must outlive the client. Errors: unsupported (this build, or this machine, has no libcurl).
  explicit HttpClient(const HubSettings& settings);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // One answer, redirects included, whatever its status. A connection that fails, a status of 429 or 5xx is tried
  // again a few times. Errors: NoConnection, format (an answer larger than a list of files).
  HttpAnswer request(HttpMethod method, const std::string& url, const HttpContent& content = {});

  using Take = std::function<void(std::string_view bytes)>;
  // Gives `take` the bytes [from, size) of a file in order, received over several connections. Goes on where a
  // connection broke. `what` names the file in messages. Returns the server's answer if it refuses (a signed address that is too old). Errors: io (the
  // server gives other sizes than announced, or connections keep breaking), and those of `take`.
  std::optional<HttpAnswer> fetch(const std::string& url, uint64_t from, uint64_t size,
                                  const std::string& what, const Take& take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlxe
