#include "npy.h"

#include <fmt/format.h>

#include <string>

namespace mlxe::cli {
namespace {

constexpr size_t kHeaderBytes = 128;  // a multiple of 64 with room for any number of rows

}  // namespace

NpyWriter::NpyWriter(const std::filesystem::path& path, int64_t columns) : file_(path), columns_(columns) {
  file_.write(header());
}

std::string NpyWriter::header() const {
  std::string text("\x93NUMPY\x01\x00", 8);
  const size_t dictionary = kHeaderBytes - 10;
  text += static_cast<char>(dictionary & 0xff);
  text += static_cast<char>(dictionary >> 8);
  text += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows_, columns_);
  text.resize(kHeaderBytes - 1, ' ');
  return text + '\n';
}

void NpyWriter::append(std::span<const float> values) {
  file_.write(std::as_bytes(values));
  rows_ += static_cast<int64_t>(values.size()) / columns_;
}

void NpyWriter::finish() {
  file_.rewrite_start(header());
  file_.finish();
}

}  // namespace mlxe::cli
