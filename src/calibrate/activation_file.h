// What flows from one step of a calibration to the next: in a file without a name, as there are far more
// tokens than memory for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine_cpu/arena.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// Slots of rows, each stored as 16-bit codes with a scale a row: a value comes back within 2^-16 of the
// largest of its row, a row with NaN or infinity as NaN. One thread at a time.
class ActivationFile {
 public:
  // `folder`: where the file is made; it is gone with this object, or with the process. Errors: io.
  ActivationFile(const std::filesystem::path& folder, size_t slots);
  ~ActivationFile();
  ActivationFile(const ActivationFile&) = delete;
  ActivationFile& operator=(const ActivationFile&) = delete;

  // Replaces what the slot held, which had the same shape. Returns what get() wants: that the rows read are
  // those that were put, not later ones. Errors: io (a full disk).
  int64_t put(size_t slot, const cpu::Tensor& rows, ThreadPool& pool);
  // Errors: internal (the slot was put again), io.
  cpu::Tensor get(size_t slot, int64_t version, cpu::Arena& arena, ThreadPool& pool);

 private:
  struct Slot {
    int64_t offset = -1, columns = 0, version = 0;
    std::vector<float> scales;
  };
  std::filesystem::path folder_;
  int file_ = -1;
  int64_t end_ = 0;
  std::vector<Slot> slots_;
  std::vector<int16_t> codes_;
};

}  // namespace calibrate
}  // namespace mlxe
