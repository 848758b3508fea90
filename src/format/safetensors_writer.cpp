#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "format/free_space.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string header_text(std::span<const TensorSpec> specs, const SafetensorsWriter::Metadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    const char* separator = "";
    for (const auto& [key, value] : metadata) {
      text += fmt::format("{}{}:{}", separator, json_string(key), json_string(value));
      separator = ",";
    }
    text += "}";
  }
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        text.size() > 1 ? "," : "", json_string(spec.name), name(spec.dtype),
                        fmt::join(spec.shape, ","), offset, offset + spec.bytes());
    offset += spec.bytes();
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // data then starts at a multiple of 8
  return text;
}

uint64_t payload_bytes(std::span<const TensorSpec> specs) {
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) total += spec.bytes();
  return total;
}

}  // namespace

uint64_t SafetensorsWriter::predicted_size(std::span<const TensorSpec> specs, const Metadata& metadata) {
  return 8 + header_text(specs, metadata).size() + payload_bytes(specs);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                                     const Metadata& metadata)
    : path_(std::move(path)), specs_(std::move(specs)) {
  std::set<std::string_view> names{"__metadata__"};
  for (const TensorSpec& spec : specs_)
    if (!names.insert(spec.name).second)
      throw Error(ErrorCode::usage, fmt::format("{}: the tensor name {} is reserved or used twice",
                                                path_.string(), printable(spec.name)));
  const std::string header = header_text(specs_, metadata);
  if (header.size() > kMaxSafetensorsHeader)
    throw Error(ErrorCode::usage,
                fmt::format("{}: {} tensors make a header of {} bytes, the limit is {}; use shards",
                            path_.string(), specs_.size(), header.size(), kMaxSafetensorsHeader));
  size_ = 8 + header.size() + payload_bytes(specs_);
  require_free_space(path_, size_);

  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0)
    throw Error(ErrorCode::io, fmt::format("{}: can't be created: {}", path_.string(), std::strerror(errno)));
  try {
    buffer_.reserve(kBufferBytes);
    std::byte length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(header.size() >> (8 * i));
    put(length);
    put(std::as_bytes(std::span(header)));
  } catch (...) {
    ::close(fd_);
    ::unlink(path_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(path_.c_str());
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> piece) {
  while (current_ < specs_.size() && written_ == specs_[current_].bytes() && specs_[current_].name != name) {
    ++current_;
    written_ = 0;
  }
  if (current_ == specs_.size() || specs_[current_].name != name)
    throw Error(ErrorCode::internal, fmt::format("{}: {} came out of turn", path_.string(), printable(name)));
  if (piece.size() > specs_[current_].bytes() - written_)
    throw Error(ErrorCode::internal, fmt::format("{}: {} has {} bytes, more came", path_.string(),
                                                 printable(name), specs_[current_].bytes()));
  put(piece);
  written_ += piece.size();
}

void SafetensorsWriter::finish() {
  while (current_ < specs_.size() && written_ == specs_[current_].bytes()) {
    ++current_;
    written_ = 0;
  }
  if (current_ < specs_.size())
    throw Error(ErrorCode::internal,
                fmt::format("{}: {} is incomplete", path_.string(), printable(specs_[current_].name)));
  flush();
  if (::fsync(fd_) != 0)
    throw Error(ErrorCode::io,
                fmt::format("{}: can't be written to the device: {}", path_.string(), std::strerror(errno)));
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) {
    const int error = errno;
    ::unlink(path_.c_str());
    throw Error(ErrorCode::io, fmt::format("{}: can't be closed: {}", path_.string(), std::strerror(error)));
  }
}

void SafetensorsWriter::put(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    put_unbuffered(bytes.data(), bytes.size());
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void SafetensorsWriter::flush() {
  put_unbuffered(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void SafetensorsWriter::put_unbuffered(const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd_, data, std::min(size, size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      if (error == ENOSPC || error == EDQUOT) throw_no_space(path_, size_);
      throw Error(ErrorCode::io,
                  fmt::format("{}: can't be written: {}", path_.string(), std::strerror(error)));
    }
    data += n;
    size -= static_cast<size_t>(n);
  }
}

}  // namespace mlxe
