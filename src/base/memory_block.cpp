#include "base/memory_block.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;

}  // namespace

MemoryBlock::MemoryBlock(size_t bytes) {
  if (bytes == 0) return;
  // A large page begins at a multiple of its size. Map one page more, then unmap both ends.
  const size_t mapped = bytes + kLargePage;
  void* p = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    throw Error(ErrorCode::io,
                "can't get " + std::to_string(bytes) + " bytes of memory: " + std::strerror(errno));
  auto* first = static_cast<std::byte*>(p);
  const size_t skip = (kLargePage - reinterpret_cast<uintptr_t>(first) % kLargePage) % kLargePage;
  data_ = first + skip;
  bytes_ = (bytes + 4095) / 4096 * 4096;
  if (skip > 0) ::munmap(first, skip);
  if (const size_t rest = mapped - skip - bytes_; rest > 0) ::munmap(data_ + bytes_, rest);
#ifdef MADV_HUGEPAGE
  ::madvise(data_, bytes_, MADV_HUGEPAGE);  // optional: small pages work, too
#endif
}

MemoryBlock::~MemoryBlock() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace mlxe
