// In builds without libcurl (MLXE_WITH_HUB=OFF): the cache is read, nothing is downloaded.
#include "hub/http.h"
#include "mlx_encoder/error.h"

namespace mlxe {

struct HttpClient::State {};

bool has_http() noexcept {
  return false;
}

HttpClient::HttpClient(const HubSettings& settings) {
  throw Error(ErrorCode::unsupported,
              settings.endpoint +
                  ": this build cannot download (MLXE_WITH_HUB=OFF); download the model with another "
                  "tool of the hub into the same cache, or build with libcurl");
}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::request(HttpMethod, const std::string&, const HttpContent&) {
  return {};
}

std::optional<HttpAnswer> HttpClient::fetch(const std::string&, uint64_t, uint64_t, const std::string&,
                                            const Take&) {
  return {};
}

}  // namespace mlxe
