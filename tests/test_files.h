// Temporary folders, small files and caught errors for tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/error.h"
#include "mlx_encoder/types.h"

namespace mlxe::test {

// A temporary folder. The destructor removes it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlxe-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  ASSERT_TRUE(file.good()) << path;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The text of the mlxe::Error that `action` throws. Fails the test unless `action` throws one with this code.
template <class Action>
std::string error_text(Action action, ErrorCode expected) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_STREQ(name(error.code()), name(expected)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown, expected " << name(expected);
  return {};
}

// Collects warnings: pass `heard.warning()` as the Warning.
struct Heard {
  std::vector<std::string> sentences;
  Warning warning() {
    return [this](std::string_view sentence) { sentences.emplace_back(sentence); };
  }
};

}  // namespace mlxe::test
