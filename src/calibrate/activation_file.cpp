#include "calibrate/activation_file.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/thread_pool.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

constexpr float kLargest = 32767;

// Returns the scale.
float encode(const float* values, int64_t count, int16_t* codes) noexcept {
  float largest = 0, check = 0;
  for (int64_t c = 0; c < count; ++c) {
    largest = std::max(largest, std::abs(values[c]));
    check += values[c] * 0;  // NaN if a value is NaN or infinite
  }
  if (!(check == 0)) {
    std::fill_n(codes, count, int16_t{1});
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = largest > 0 ? kLargest / largest : 0;
  for (int64_t c = 0; c < count; ++c)
    codes[c] = static_cast<int16_t>(values[c] * inverse + std::copysign(0.5f, values[c]));
  return largest / kLargest;
}

[[noreturn]] void failed(const std::filesystem::path& folder, const char* what) {
  throw Error(ErrorCode::io, fmt::format("calibration: {}: a temporary file of activations can't be {}: {}",
                                         folder.string(), what, std::strerror(errno)));
}

}  // namespace

ActivationFile::ActivationFile(const std::filesystem::path& folder, size_t slots)
    : folder_(folder), slots_(slots) {
  std::string name = (folder / ".activations-XXXXXX").string();
  file_ = ::mkstemp(name.data());
  if (file_ < 0) failed(folder_, "made");
  ::unlink(name.c_str());
}

ActivationFile::~ActivationFile() {
  ::close(file_);
}

int64_t ActivationFile::put(size_t slot, const cpu::Tensor& rows, ThreadPool& pool) {
  Slot& s = slots_[slot];
  const int64_t columns = rows.columns(), count = rows.rows() * columns;
  if (s.offset < 0) {
    s.offset = end_;
    s.columns = columns;
    s.scales.resize(static_cast<size_t>(rows.rows()));
    end_ += count * static_cast<int64_t>(sizeof(int16_t));
  }
  if (s.columns != columns || static_cast<int64_t>(s.scales.size()) != rows.rows())
    throw Error(ErrorCode::internal, "calibration: a slot of activations is put with another shape");
  codes_.resize(static_cast<size_t>(count));
  pool.parallel_for(rows.rows(), [&](int64_t r, int) {
    s.scales[static_cast<size_t>(r)] = encode(rows.row(r), columns, codes_.data() + r * columns);
  });
  const auto* bytes = reinterpret_cast<const char*>(codes_.data());
  const int64_t size = count * static_cast<int64_t>(sizeof(int16_t));
  for (int64_t done = 0; done < size;) {
    const ssize_t n = ::pwrite(file_, bytes + done, static_cast<size_t>(size - done), s.offset + done);
    if (n < 0 && errno != EINTR) failed(folder_, "written");
    if (n > 0) done += n;
  }
  return ++s.version;
}

cpu::Tensor ActivationFile::get(size_t slot, int64_t version, cpu::Arena& arena, ThreadPool& pool) {
  const Slot& s = slots_[slot];
  if (s.version != version)
    throw Error(ErrorCode::internal, "calibration: activations were read after they had been replaced");
  const auto rows = static_cast<int64_t>(s.scales.size());
  codes_.resize(static_cast<size_t>(rows * s.columns));
  auto* bytes = reinterpret_cast<char*>(codes_.data());
  const int64_t size = rows * s.columns * static_cast<int64_t>(sizeof(int16_t));
  for (int64_t done = 0; done < size;) {
    const ssize_t n = ::pread(file_, bytes + done, static_cast<size_t>(size - done), s.offset + done);
    if (n == 0) errno = EIO;
    if (n == 0 || (n < 0 && errno != EINTR)) failed(folder_, "read");
    if (n > 0) done += n;
  }
  cpu::Tensor to = arena.tensor(rows, s.columns);
  pool.parallel_for(rows, [&](int64_t r, int) {
    const float scale = s.scales[static_cast<size_t>(r)];
    const int16_t* codes = codes_.data() + r * s.columns;
    for (int64_t c = 0; c < s.columns; ++c) to.row(r)[c] = static_cast<float>(codes[c]) * scale;
  });
  return to;
}

}  // namespace mlxe::calibrate
