// Damaged files of weights, and what their readers may make of them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "format/tensor_file.h"
#include "mlx_encoder/error.h"

namespace mlxe::test {

// The file with one to eight bytes changed, all of them among the first `within`.
inline std::string damaged(std::string file, std::mt19937& random, size_t within) {
  for (unsigned changes = 1 + random() % 8; changes > 0; --changes)
    file[random() % within] = static_cast<char>(random());
  return file;
}

// `parse` gives tensors whose every byte can be read, or one sentence of a documented error.
template <class Parse>
void expect_tensors_or_a_sentence(const Parse& parse, const std::string& file) {
  try {
    const TensorContent content = parse(file);
    for (const TensorView& tensor : content.tensors) to_floats(tensor);  // touches every byte
  } catch (const Error& error) {
    EXPECT_NE(error.code(), ErrorCode::internal) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 4096u);
    EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
  }
}

// Every beginning of the file is refused.
template <class Parse>
void expect_truncations_refused(const Parse& parse, const std::string& whole) {
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
}

}  // namespace mlxe::test
