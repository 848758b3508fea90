// Buffers of a call: reused by the next, aligned, never shared by two live tensors.
#include "engine_cpu/arena.h"

#include <gtest/gtest.h>

namespace mlxe::cpu::arena_test {
namespace {

TEST(Arena, LiveTensorsNeverShareABuffer) {
  Arena arena;
  const Tensor a = arena.tensor(3, 17);
  const float* first;
  {
    const Tensor b = arena.tensor(3, 17);
    const Tensor copy = b;
    first = b.row(0);
    EXPECT_NE(a.row(0), first);
    EXPECT_EQ(copy.row(2), b.row(2));
  }
  const Tensor c = arena.tensor(2, 17);
  EXPECT_EQ(c.row(0), first) << "the buffer given back is taken again";
}

TEST(Arena, ACopyKeepsTheBuffer) {
  Arena arena;
  Tensor copy;
  {
    const Tensor a = arena.tensor(4, 4);
    copy = a;
  }
  EXPECT_NE(arena.tensor(4, 4).row(0), copy.row(0));
  copy = arena.tensor(4, 4);
  Tensor moved = std::move(copy);
  EXPECT_NE(arena.tensor(4, 4).row(0), moved.row(0));
}

TEST(Arena, RowsAreAlignedAndAnOddNumberOfCacheLinesApart) {
  Arena arena;
  for (int64_t columns : {1, 16, 17, 384, 768, 1024, 3072}) {
    const Tensor t = arena.tensor(5, columns);
    EXPECT_GE(t.stride(), columns);
    EXPECT_EQ(t.stride() % 32, 16) << columns;
    for (int64_t m = 0; m < 5; ++m) EXPECT_EQ(reinterpret_cast<uintptr_t>(t.row(m)) % 64, 0u);
  }
}

TEST(Arena, ASecondCallOfTheSameOrLesserSizeAllocatesNothing) {
  Arena arena;
  const auto call = [&](int64_t rows) {
    Tensor x = arena.tensor(rows, 384);
    for (int layer = 0; layer < 3; ++layer) {
      const Tensor q = arena.tensor(rows, 384), wide = arena.tensor(rows, 1536);
      x = arena.tensor(rows, 384);
    }
    const Tensor head = arena.tensor(1, 384);
  };
  call(100);
  const size_t before = arena.bytes();
  for (int64_t rows : {100, 1, 37, 100}) call(rows);
  EXPECT_EQ(arena.bytes(), before);
  // For any sequence of calls, the arena keeps at most as many buffers as one call holds at once (4 here),
  // none larger than the largest tensor.
  for (int64_t rows : {101, 7, 130, 128, 200, 1, 199}) call(rows);
  const size_t largest = 200 * (1536 + 16) * sizeof(float);
  EXPECT_LE(arena.bytes(), 4 * largest);
}

}  // namespace
}  // namespace mlxe::cpu::arena_test
