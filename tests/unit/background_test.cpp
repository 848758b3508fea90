#include "base/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

namespace mlxe::background_test {
namespace {

TEST(Background, GivesTheResult) {
  Background<std::string> text([] { return std::string("done"); });
  EXPECT_EQ(text.get(), "done");
}

TEST(Background, ThrowsWhatTheWorkThrew) {
  Background<int> work([]() -> int { throw std::runtime_error("a disk that fails"); });
  try {
    work.get();
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "a disk that fails");
  }
}

TEST(Background, EndsBeforeItsOwner) {
  std::atomic<bool> done{false};
  {
    Background<int> work([&] {
      done = true;
      return 1;
    });
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace mlxe::background_test
