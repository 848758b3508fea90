#include "engine_cpu/arena.h"

#include <algorithm>
#include <new>

namespace mlxe::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kSlack = 64;  // floats
constexpr int64_t kLine = 16;  // floats in a cache line

// An odd number of cache lines. A matrix product reads many rows at once; rows a multiple of 4 KiB apart
// would share few cache sets.
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
  t.first_row_ = t.values_.data();
  return t;
}

Tensor Arena::operand(int64_t rows, int64_t columns, ActivationFormat format) {
  Tensor t;
  t.rows_ = rows, t.columns_ = columns;
  add_operand(t, format);
  return t;
}

void Arena::add_operand(Tensor& t, ActivationFormat format) {
  t.group_ = format.group;
  // Rows are padded to 64 columns, and to an odd number of cache lines.
  constexpr int64_t kBytesOfLine = 64;
  const int64_t columns = up_to_multiple(t.columns_, kInt8Alignment);
  const int64_t bytes = format.kind == Activations::bf16 ? 2 * columns : columns;
  t.operand_stride_ = (bytes / kBytesOfLine | 1) * kBytesOfLine;
  const int64_t of_groups = format.group > 0 ? t.group_stride() : 0;
  const int64_t floats = t.rows_ * (t.operand_stride_ / static_cast<int64_t>(sizeof(float)) + of_groups);
  t.operand_ = BufferRef(acquire(static_cast<size_t>(std::max<int64_t>(floats, 1))));
}

void Arena::trim() {
  std::erase_if(buffers_, [](const std::unique_ptr<Buffer>& buffer) { return buffer->users_ == 0; });
}

size_t Arena::bytes() const noexcept {
  size_t floats = 0;
  for (const auto& b : buffers_) floats += b->capacity();
  return floats * sizeof(float);
}

// Returns the smallest free buffer that is large enough. If there is none, replaces the largest free buffer
// by a new one. So there are never more buffers than were in use at once, and none is larger than the
// largest request.
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
