#include "hub/curl_transfer.h"

#include <fmt/format.h>

#include <algorithm>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostErrorBytes = 4096;
constexpr int kLongestPoll = 200;  // milliseconds

}  // namespace

struct CurlTransfer::Part {
  Part(uint64_t first, uint64_t last, const HubSettings& settings)
      : at(first), end(last), attempts(settings) {}

  // Whether the body is the range that was asked for, or a whole file where none was.
  bool is_answered_as_asked() const {
    return !is_range || (answer.status == 206 &&
                         answer.header("content-range").starts_with(fmt::format("bytes {}-", from)));
  }

  uint64_t at, end;  // the bytes of the file that are to come
  std::string data;  // what came and was not given on
  // Of the running attempt:
  uint64_t from = 0;  // `at` when it began
  uint64_t skip = 0;  // bytes of the body before `at`, from a server that knows no ranges
  bool is_range = false, is_other_range = false;
  bool is_surplus = false;  // the body has more bytes than were asked for
  Attempts attempts;
  Clock::time_point not_before = Clock::now();
  HttpAnswer answer;
  CurlPointer<curl_slist> headers;
  CurlPointer<CURL> handle;
  bool is_running = false;
};

// Runs inside libcurl. Only a complete answer of the right kind gives bytes of the file.
size_t CurlTransfer::take_bytes(char* data, size_t, size_t size, void* to) noexcept try {
  Part& part = *static_cast<Part*>(to);
  std::string_view bytes(data, size);
  if (!part.answer.is_good()) {
    if (part.answer.body.size() < kMostErrorBytes) part.answer.body.append(bytes);
    return size;
  }
  part.is_other_range = !part.is_answered_as_asked();
  if (part.is_other_range) return 0;
  const size_t skipped = static_cast<size_t>(std::min<uint64_t>(part.skip, bytes.size()));
  part.skip -= skipped;
  bytes.remove_prefix(skipped);
  part.is_surplus = bytes.size() > part.end - part.at;
  if (part.is_surplus) return 0;
  part.data.append(bytes);
  part.at += bytes.size();
  return size;
} catch (const std::exception&) {  // no memory
  return 0;
}

CurlTransfer::CurlTransfer(const std::string& url, uint64_t from, uint64_t size, const std::string& what,
                           const HubSettings& settings, const HttpClient::Take& take)
    : url_(url),
      what_(what),
      settings_(settings),
      take_(take),
      size_(size),
      given_(from),
      next_(from),
      multi_(curl().multi_init()) {
  if (multi_ == nullptr) throw std::bad_alloc();
}

CurlTransfer::~CurlTransfer() {
  for (const auto& part : parts_) stop(*part);
  curl().multi_cleanup(multi_);
}

std::optional<HttpAnswer> CurlTransfer::run() {
  const CurlLibrary& c = curl();
  while (given_ < size_) {
    open_parts();
    int running = 0;
    c.multi_perform(multi_, &running);
    int left = 0;
    while (CURLMsg* message = c.multi_info_read(multi_, &left)) {
      const auto part = std::ranges::find_if(
          parts_, [&](const auto& p) { return p->handle.get() == message->easy_handle; });
      if (message->msg != CURLMSG_DONE || part == parts_.end()) continue;
      if (auto refused = finish(**part, message->data.result)) {
        give_on();
        return refused;
      }
      if (!has_ranges_ && parts_.empty()) break;  // starts anew with one connection
    }
    give_on();
    if (given_ < size_) wait();
  }
  return std::nullopt;
}

void CurlTransfer::open_parts() {
  const size_t most = has_ranges_ ? settings_.connections : 1;
  while (parts_.size() < most && next_ < size_) {
    const uint64_t end = has_ranges_ ? std::min(size_, next_ + settings_.part_bytes) : size_;
    parts_.push_back(std::make_unique<Part>(next_, end, settings_));
    next_ = end;
  }
  for (const auto& part : parts_)
    if (!part->is_running && part->at < part->end && Clock::now() >= part->not_before) start(*part);
}

void CurlTransfer::start(Part& part) {
  const CurlLibrary& c = curl();
  if (part.handle == nullptr) part.handle.reset(c.easy_init());
  if (part.handle == nullptr) throw std::bad_alloc();
  part.answer = {.url = url_, .headers = {}, .body = {}};
  part.from = part.at;
  part.skip = has_ranges_ ? 0 : part.at;
  part.is_range = has_ranges_ && (part.at > 0 || part.end < size_);
  part.is_other_range = part.is_surplus = false;
  CURL* handle = part.handle.get();
  prepare_request(handle, url_, settings_, part.answer, part.headers);
  const bool has_token = !settings_.token.empty() && origin_of(url_) == origin_of(settings_.endpoint);
  c.setopt(handle, CURLOPT_FOLLOWLOCATION, has_token ? 0L : 1L);  // the token stays with the endpoint
  c.setopt(handle, CURLOPT_MAXREDIRS, 5L);
  c.setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes);
  c.setopt(handle, CURLOPT_WRITEDATA, &part);
  if (part.is_range) c.setopt(handle, CURLOPT_RANGE, fmt::format("{}-{}", part.at, part.end - 1).c_str());
  c.multi_add(multi_, handle);
  part.is_running = true;
}

void CurlTransfer::stop(Part& part) {
  if (part.is_running) curl().multi_remove(multi_, part.handle.get());
  part.is_running = false;
}

void CurlTransfer::give_on() {
  while (!parts_.empty()) {
    Part& first = *parts_.front();
    if (!first.data.empty()) {
      take_(first.data);
      given_ += first.data.size();
      first.data.clear();
    }
    if (first.at < first.end || first.is_running) return;
    parts_.pop_front();
  }
}

void CurlTransfer::wait() {
  auto until = Clock::now() + std::chrono::milliseconds(kLongestPoll);
  for (const auto& part : parts_)
    if (!part->is_running && part->at < part->end) until = std::min(until, part->not_before);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  if (left > 0) curl().multi_poll(multi_, nullptr, 0, static_cast<int>(left), nullptr);
}

std::optional<HttpAnswer> CurlTransfer::finish(Part& part, CURLcode code) {
  stop(part);
  const HttpAnswer& answer = part.answer;
  if (part.is_other_range) {
    fall_back_to_one_connection();
    return std::nullopt;
  }
  if (part.is_surplus)
    throw Error(ErrorCode::io,
                fmt::format("{}: the server sends more bytes than the {} that the hub announced; try "
                            "again later",
                            what_, size_));
  if (part.at == part.end) return std::nullopt;
  const bool answered = code == CURLE_OK && answer.status != 0;
  if (answered && !answer.is_good() && !is_passing_status(answer.status)) return answer;
  if (part.at > part.from) {  // the connection broke: goes on at once
    part.attempts.progressed();
    return std::nullopt;
  }
  const auto pause = part.attempts.failed(answer);
  if (!pause && answered && !answer.is_good()) return answer;
  if (!pause || is_lasting(code))
    throw Error(
        ErrorCode::io,
        fmt::format("{}: the download broke off after {} of {} bytes: {}; run the command again, it goes on "
                    "from there",
                    what_, given_, size_, reason_of(code, settings_)));
  part.not_before = Clock::now() + *pause;
  return std::nullopt;
}

void CurlTransfer::fall_back_to_one_connection() {
  for (const auto& part : parts_) stop(*part);
  parts_.clear();
  has_ranges_ = false;
  next_ = given_;
}

}  // namespace mlxe
