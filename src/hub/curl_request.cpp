#include "hub/curl_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <ctime>

#include "base/text.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

constexpr size_t kMostHeaderBytes = size_t{1} << 20;

// Called with a line of the header at a time. What a proxy or a redirect answered before is forgotten.
size_t take_header(char* data, size_t, size_t size, void* to) noexcept try {
  HttpAnswer& answer = *static_cast<HttpAnswer*>(to);
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    const size_t blank = line.find(' ');
    answer.status =
        blank == line.npos ? 0 : std::strtol(std::string(line.substr(blank)).c_str(), nullptr, 10);
    answer.headers.clear();
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) return size;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0)
    value.remove_prefix(1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0)
    value.remove_suffix(1);
  if (value.size() > kMostHeaderBytes || answer.headers.size() > 1000) return 0;
  answer.headers[lowercase(line.substr(0, colon))] = value;
  return size;
} catch (const std::exception&) {  // no memory
  return 0;
}

// The certificates that Python's tools would use. libcurl itself reads none of these variables.
const char* named_certificates() {
  for (const char* variable : {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})
    if (const char* file = std::getenv(variable); file != nullptr && *file != '\0') return file;
  return nullptr;
}

// Seconds that a header Retry-After asks for: a number, or the date until which to wait. 0: none.
int64_t asked_wait(const std::string& text) {
  int64_t seconds = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (failed == std::errc() && end == text.data() + text.size()) return seconds;
  const time_t date = curl().getdate(text.c_str(), nullptr);
  return date < 0 ? 0 : static_cast<int64_t>(date) - static_cast<int64_t>(std::time(nullptr));
}

}  // namespace

void add_header(CurlPointer<curl_slist>& headers, const std::string& line) {
  curl_slist* longer = curl().slist_append(headers.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)headers.release();  // part of the longer one
  headers.reset(longer);
}

void prepare_request(CURL* handle, const std::string& url, const HubSettings& settings, HttpAnswer& to,
                     CurlPointer<curl_slist>& headers) {
  const CurlLibrary& c = curl();
  const bool has_token = !settings.token.empty() && origin_of(url) == origin_of(settings.endpoint);
  c.easy_reset(handle);
  headers.reset();
  add_header(headers, "Accept-Encoding: identity");  // else sizes would be those of compressed bytes
  if (has_token) add_header(headers, "Authorization: Bearer " + settings.token);
  c.setopt(handle, CURLOPT_URL, url.c_str());
  c.setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  c.setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https") ? "https" : "http,https");
  c.setopt(handle, CURLOPT_USERAGENT, (std::string("mlx-encoder/") + kVersion).c_str());
  c.setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  c.setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  c.setopt(handle, CURLOPT_HEADERDATA, &to);
  c.setopt(handle, CURLOPT_NOSIGNAL, 1L);
  c.setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
           static_cast<long>(std::chrono::milliseconds(settings.connect_time).count()));
  c.setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  c.setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall_time.count()));
  if (const char* file = named_certificates()) c.setopt(handle, CURLOPT_CAINFO, file);
}

bool is_passing_status(long status) {
  return status == 429 || status >= 500;
}

bool is_unreachable(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

bool is_lasting(CURLcode code) {
  return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
         code == CURLE_BAD_FUNCTION_ARGUMENT || code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_TOO_MANY_REDIRECTS;
}

std::string reason_of(CURLcode code, const HubSettings& settings) {
  if (code == CURLE_OK) return "the server closed the connection";
  if (code == CURLE_OPERATION_TIMEDOUT)
    return fmt::format("nothing came for {} s", std::max(settings.connect_time, settings.stall_time).count());
  return curl().strerror(code);
}

std::optional<std::chrono::milliseconds> Attempts::failed(const HttpAnswer& answer) {
  using std::chrono::milliseconds;
  if (++failures_ > settings_.retries) return std::nullopt;
  const milliseconds pause = settings_.pause * (1 << (failures_ - 1));
  const int64_t asked = asked_wait(answer.header("retry-after"));
  if (!is_passing_status(answer.status) || asked <= 0) return pause;
  const milliseconds waited =
      std::min(settings_.longest_pause, milliseconds(1000 * std::min<int64_t>(asked, 86400)));
  if (settings_.warning)
    settings_.warning(fmt::format("{}: found status {} and a request to wait {} s; waiting {:g} s",
                                  origin_of(answer.url), answer.status, asked,
                                  static_cast<double>(waited.count()) / 1000));
  return std::max(pause, waited);
}

}  // namespace mlxe
