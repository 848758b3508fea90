// Ragged rows that wait in temporary files until their number is known.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/spool_file.h"

namespace mlxe::cli {

class SpooledRows {
 public:
  // Rows [offsets[i], offsets[i + 1]) of two arrays belong to text i.
  void append(std::span<const int64_t> offsets, std::span<const std::byte> first,
              std::span<const std::byte> second) {
    first_.write(first);
    second_.write(second);
    const int64_t before = offsets_.back();
    for (const int64_t offset : offsets.subspan(1)) offsets_.push_back(before + offset);
  }

  int64_t rows() const { return std::ssize(offsets_) - 1; }  // texts
  int64_t count() const { return offsets_.back(); }          // rows of the arrays
  std::span<const std::byte> offsets() const { return std::as_bytes(std::span(offsets_)); }

  // Calls write(bytes) with all of an array, in order; each once.
  template <class Write>
  void give_first(const Write& write) {
    first_.read_all(write);
  }
  template <class Write>
  void give_second(const Write& write) {
    second_.read_all(write);
  }

 private:
  std::vector<int64_t> offsets_{0};
  SpoolFile first_, second_;
};

}  // namespace mlxe::cli
