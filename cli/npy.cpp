#include "npy.h"

#include <fmt/format.h>

#include "mlx_encoder/error.h"

namespace mlxe::cli {
namespace {

constexpr size_t kHeaderBytes = 128;  // a multiple of 64, room for any row count

}  // namespace

NpyWriter::NpyWriter(std::filesystem::path path, int64_t columns)
    : path_(std::move(path)), partial_(path_.string() + ".partial"), columns_(columns) {
  file_.open(partial_, std::ios::binary | std::ios::trunc);
  if (!file_) throw Error(ErrorCode::io, path_.string() + ": can't be created");
  header();
}

NpyWriter::~NpyWriter() {
  if (finished_) return;
  file_.close();
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

void NpyWriter::header() {
  std::string text("\x93NUMPY\x01\x00", 8);
  const size_t dictionary = kHeaderBytes - 10;
  text += static_cast<char>(dictionary & 0xff);
  text += static_cast<char>(dictionary >> 8);
  text += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows_, columns_);
  text.resize(kHeaderBytes - 1, ' ');
  file_ << text << '\n';
}

void NpyWriter::append(std::span<const float> values) {
  file_.write(reinterpret_cast<const char*>(values.data()),
              static_cast<std::streamsize>(values.size_bytes()));
  rows_ += static_cast<int64_t>(values.size()) / columns_;
}

void NpyWriter::finish() {
  file_.seekp(0);
  header();
  file_.close();
  if (!file_) throw Error(ErrorCode::io, path_.string() + ": writing failed; is the disk full?");
  std::filesystem::rename(partial_, path_);
  finished_ = true;
}

}  // namespace mlxe::cli
