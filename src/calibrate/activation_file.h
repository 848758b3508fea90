// Stores the activations between two steps of a calibration. They are in an unnamed temporary file, because the
// activations of all tokens do not fit into memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine_cpu/arena.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// Slots of rows, stored as 16-bit codes with a scale per row. The error of a value is at most 2^-16 of the largest
// magnitude in its row. A row with NaN or infinity becomes NaN. One thread at a time.
class ActivationFile {
 public:
  // `folder`: the folder of the file. The file is removed with this object, or when the process ends. Errors: io.
  ActivationFile(const std::filesystem::path& folder, size_t slots);
  ~ActivationFile();
  ActivationFile(const ActivationFile&) = delete;
  ActivationFile& operator=(const ActivationFile&) = delete;

  // Replaces the rows of the slot by rows of the same shape. Returns a version for get(), which checks that the slot
  // was not replaced since. Errors: io (a full disk).
  int64_t put(size_t slot, const cpu::Tensor& rows, ThreadPool& pool);
  // Errors: internal (the slot has a later version), io.
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
