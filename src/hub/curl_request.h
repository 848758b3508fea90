// One request over libcurl, and how often it is tried.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/curl_library.h"
#include "hub/http.h"

namespace mlxe {

struct CurlDeleter {
  void operator()(CURL* handle) const noexcept { curl().easy_cleanup(handle); }
  void operator()(curl_slist* list) const noexcept { curl().slist_free_all(list); }
};
template <class T>
using CurlPointer = std::unique_ptr<T, CurlDeleter>;

// The options that all requests share. `to` receives status and headers; `headers` has to live as long as the handle is
// used.
void prepare_request(CURL* handle, const std::string& url, const HubSettings& settings, HttpAnswer& to,
                     CurlPointer<curl_slist>& headers);

// One more line for the list of headers. The list may move.
void add_header(CurlPointer<curl_slist>& headers, const std::string& line);

// Whether a status is one to try again after a while.
bool is_passing_status(long status);
// Whether there is no way to the server, as on a machine without a network.
bool is_unreachable(CURLcode code);
// Whether every other attempt would fail, too: a bad address, a certificate that is not accepted.
bool is_lasting(CURLcode code);

// Why a request failed, in words.
std::string reason_of(CURLcode code, const HubSettings& settings);

// Counts attempts that brought nothing.
class Attempts {
 public:
  explicit Attempts(const HubSettings& settings) : settings_(settings) {}
  void progressed() noexcept { failures_ = 0; }
  // The pause before the next attempt; none if there were too many. Tells of a wait that the server asks for.
  std::optional<std::chrono::milliseconds> failed(const HttpAnswer& answer);

 private:
  const HubSettings& settings_;
  int failures_ = 0;
};

}  // namespace mlxe
