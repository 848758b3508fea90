// A file received in parts over several connections, given on in order.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "hub/curl_request.h"
#include "hub/http.h"

namespace mlxe {

// All in the thread that calls run(). At most `connections` parts are received at a time; what follows a part that is
// not complete waits in memory.
class CurlTransfer {
 public:
  CurlTransfer(const std::string& url, uint64_t from, uint64_t size, const std::string& what,
               const HubSettings& settings, const HttpClient::Take& take);
  ~CurlTransfer();
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // As HttpClient::fetch. Call once.
  std::optional<HttpAnswer> run();

 private:
  struct Part;
  static size_t take_bytes(char* data, size_t, size_t size, void* part) noexcept;

  void open_parts();
  void start(Part& part);
  void stop(Part& part);
  void give_on();
  void wait();
  std::optional<HttpAnswer> finish(Part& part, CURLcode code);
  void fall_back_to_one_connection();

  const std::string &url_, &what_;
  const HubSettings& settings_;
  const HttpClient::Take& take_;
  const uint64_t size_;
  uint64_t given_;  // to take_: bytes from the start of the file
  uint64_t next_;   // where the next part begins
  bool has_ranges_ = true;
  CURLM* multi_ = nullptr;
  std::deque<std::unique_ptr<Part>> parts_;
};

}  // namespace mlxe
