#include "engine_cpu/arena.h"

#include <algorithm>
#include <new>

namespace mlxe::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kSlack = 64;  // floats
constexpr int64_t kLine = 16;  // floats in a cache line

// An odd number of cache lines: rows a multiple of 4 KiB apart would fall into the same few cache sets, and a
// matrix product reads many rows at once.
int64_t row_stride(int64_t columns) {
  return ((columns + kLine - 1) / kLine | 1) * kLine;
}

}  // namespace

Buffer::Buffer(size_t capacity)
    : data_(static_cast<float*>(::operator new((capacity + kSlack) * sizeof(float), kAlignment))),
      capacity_(capacity) {}

Buffer::~Buffer() {
  ::operator delete(data_, kAlignment);
}

Tensor Arena::tensor(int64_t rows, int64_t columns) {
  Tensor t;
  t.rows_ = rows, t.columns_ = columns, t.stride_ = row_stride(columns);
  t.values_ = BufferRef(acquire(static_cast<size_t>(std::max<int64_t>(rows, 1) * t.stride_)));
  return t;
}

Tensor Arena::codes(int64_t rows, int64_t columns, int group) {
  Tensor t;
  t.rows_ = rows, t.columns_ = columns;
  add_codes(t, group);
  return t;
}

void Arena::add_codes(Tensor& t, int group) {
  t.group_ = group;
  // Codes come in whole groups of 64 columns, one cache line each; again an odd number of lines.
  t.code_stride_ = ((t.columns_ + kInt8Alignment - 1) / kInt8Alignment | 1) * kInt8Alignment;
  const int64_t floats = t.rows_ * (t.code_stride_ / static_cast<int64_t>(sizeof(float)) + t.group_stride());
  t.codes_ = BufferRef(acquire(static_cast<size_t>(std::max<int64_t>(floats, 1))));
}

size_t Arena::bytes() const noexcept {
  size_t floats = 0;
  for (const auto& b : buffers_) floats += b->capacity();
  return floats * sizeof(float);
}

// The tightest free buffer that is large enough; else a new one in place of the largest free one. There are
// never more buffers than were in use at once, and none is larger than what was once asked for.
Buffer* Arena::acquire(size_t floats) {
  auto tightest = buffers_.end(), largest = buffers_.end();
  for (auto b = buffers_.begin(); b != buffers_.end(); ++b) {
    if ((*b)->users_ > 0) continue;
    const size_t capacity = (*b)->capacity();
    if (capacity >= floats && (tightest == buffers_.end() || capacity < (*tightest)->capacity()))
      tightest = b;
    if (largest == buffers_.end() || capacity > (*largest)->capacity()) largest = b;
  }
  if (tightest != buffers_.end()) return tightest->get();
  if (largest != buffers_.end()) buffers_.erase(largest);
  return buffers_.emplace_back(std::make_unique<Buffer>(floats)).get();
}

}  // namespace mlxe::cpu
