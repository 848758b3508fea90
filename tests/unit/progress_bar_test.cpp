#include "base/progress_bar.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

namespace mlxe::progress_bar_test {
namespace {

using testing::HasSubstr;

// The output of `action` on stderr, while stderr is a terminal.
template <class Action>
std::string seen_on_terminal(Action action) {
  const int screen = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_EQ(::grantpt(screen), 0);
  EXPECT_EQ(::unlockpt(screen), 0);
  const int terminal = ::open(::ptsname(screen), O_RDWR | O_NOCTTY);
  const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  ::ioctl(terminal, TIOCSWINSZ, &size);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(terminal, STDERR_FILENO);
  action();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  // Output may arrive late and in pieces.
  std::string seen;
  std::string piece(1 << 12, '\0');
  for (pollfd ready{screen, POLLIN, 0}; ::poll(&ready, 1, 300) > 0;) {
    const ssize_t count = ::read(screen, piece.data(), piece.size());
    if (count <= 0) break;
    seen.append(piece, 0, static_cast<size_t>(count));
  }
  ::close(terminal);
  ::close(screen);
  return seen;
}

void work(const Progress& progress) {
  progress("reading tensors", 0, 4);
  progress("reading tensors", 1, 4);
  progress("reading tensors", 4, 4);
  progress("counting", 7, 0);
}

TEST(ProgressBar, draws_on_a_terminal) {
  const std::string seen = seen_on_terminal([] { work(ProgressBar()); });
  EXPECT_THAT(seen, HasSubstr("reading tensors"));
  EXPECT_THAT(seen, HasSubstr("0/4"));
  EXPECT_THAT(seen, HasSubstr("counting"));
}

TEST(ProgressBar, draws_nothing_when_told_so_or_without_a_terminal) {
  EXPECT_EQ(seen_on_terminal([] { work(ProgressBar(Drawing::never)); }), "");
  testing::internal::CaptureStderr();
  work(ProgressBar());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(ProgressBar, prints_lines_with_and_without_a_bar) {
  testing::internal::CaptureStderr();
  ProgressBar bar;
  bar.update("reading", 1, 2);
  bar.print("warning: plain");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: plain\n");
  EXPECT_THAT(seen_on_terminal([] {
                ProgressBar on_terminal;
                on_terminal.update("reading", 1, 2);
                on_terminal.print("warning: above");
              }),
              HasSubstr("warning: above"));
}

}  // namespace
}  // namespace mlxe::progress_bar_test
