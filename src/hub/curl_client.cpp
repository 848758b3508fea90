#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "format/json_file.h"
#include "hub/curl_request.h"
#include "hub/curl_transfer.h"
#include "hub/http.h"
#include "mlx_encoder/error.h"

namespace mlxe {

bool has_http() noexcept {
  return true;
}

struct HttpClient::State {
  const HubSettings& settings;
  CurlPointer<CURL> handle;  // used again and again: the connection stays open
};

HttpClient::HttpClient(const HubSettings& settings)
    : state_(new State{settings, CurlPointer<CURL>(curl().easy_init())}) {
  if (state_->handle == nullptr) throw std::bad_alloc();
}

HttpClient::~HttpClient() = default;

namespace {

size_t take_body(char* data, size_t, size_t size, void* to) noexcept try {
  std::string& body = *static_cast<std::string*>(to);
  if (body.size() + size > kMaxJsonBytes) return 0;
  body.append(data, size);
  return size;
} catch (const std::exception&) {  // no memory
  return 0;
}

// The content of a request, and how much of it was sent.
struct Sending {
  const HttpContent& content;
  uint64_t at = 0;
};

size_t give_content(char* to, size_t, size_t size, void* sending) noexcept try {
  Sending& s = *static_cast<Sending*>(sending);
  const size_t given =
      s.content.read(s.at, {to, static_cast<size_t>(std::min<uint64_t>(size, s.content.size - s.at))});
  s.at += given;
  return given;
} catch (const std::exception&) {  // a file that can't be read
  return CURL_READFUNC_ABORT;
}

// libcurl sends a content anew on its own where a kept connection turns out to be closed.
int seek_content(void* sending, curl_off_t at, int) noexcept {
  static_cast<Sending*>(sending)->at = static_cast<uint64_t>(at);
  return CURL_SEEKFUNC_OK;
}

void prepare_content(CURL* handle, HttpMethod method, Sending& sending, CurlPointer<curl_slist>& headers) {
  const CurlLibrary& c = curl();
  for (const std::string& line : sending.content.headers) add_header(headers, line);
  add_header(headers,
             "Expect:");  // waiting for "100 Continue" costs a second where a server does not know it
  c.setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  c.setopt(handle, CURLOPT_UPLOAD, 1L);
  c.setopt(handle, CURLOPT_CUSTOMREQUEST, method == HttpMethod::post ? "POST" : "PUT");
  c.setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(sending.content.size));
  c.setopt(handle, CURLOPT_READFUNCTION, give_content);
  c.setopt(handle, CURLOPT_READDATA, &sending);
  c.setopt(handle, CURLOPT_SEEKFUNCTION, seek_content);
  c.setopt(handle, CURLOPT_SEEKDATA, &sending);
}

// "https://huggingface.co"
std::string host_part(const std::string& url) {
  return url.substr(0, url.find('/', url.find("://") + 3));
}

}  // namespace

HttpAnswer HttpClient::request(HttpMethod method, const std::string& url, const HttpContent& content) {
  const CurlLibrary& c = curl();
  CURL* handle = state_->handle.get();
  for (Attempts attempts(state_->settings);;) {
    HttpAnswer answer{.url = url, .headers = {}, .body = {}};
    CurlPointer<curl_slist> headers;
    prepare_request(handle, url, state_->settings, answer, headers);
    Sending sending{content};
    if (method == HttpMethod::head) c.setopt(handle, CURLOPT_NOBODY, 1L);
    if (method == HttpMethod::post || method == HttpMethod::put)
      prepare_content(handle, method, sending, headers);
    c.setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    c.setopt(handle, CURLOPT_WRITEDATA, &answer.body);
    const CURLcode code = c.perform(handle);
    if (code == CURLE_WRITE_ERROR)
      throw Error(ErrorCode::format,
                  fmt::format("{}: the answer has more than {} MiB, expected a list of files", url,
                              kMaxJsonBytes >> 20));
    if (code == CURLE_OK && !is_passing_status(answer.status)) return answer;
    const bool is_silent = code == CURLE_OPERATION_TIMEDOUT && answer.status == 0;
    if (code != CURLE_OK) answer.status = 0;
    const auto pause = attempts.failed(answer);
    if (!pause && code == CURLE_OK) return answer;
    if (!pause || is_silent || is_unreachable(code) || is_lasting(code))
      throw NoConnection(
          fmt::format("{} can't be reached: {}; check the network, the proxy and HF_ENDPOINT, or set "
                      "HF_HUB_OFFLINE=1 to use the cache alone",
                      host_part(url), reason_of(code, state_->settings)));
    std::this_thread::sleep_for(*pause);
  }
}

std::optional<HttpAnswer> HttpClient::fetch(const std::string& url, uint64_t from, uint64_t size,
                                            const std::string& what, const Take& take) {
  return CurlTransfer(url, from, size, what, state_->settings, take).run();
}

}  // namespace mlxe
