// Output on a terminal: warnings and the progress bar do not overwrite each other.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "hub/http.h"
#include "hub_server.h"
#include "test_files.h"

namespace mlxe::test::terminal_test {
namespace {

using testing::HasSubstr;

// Everything that MLXE_PROGRAM writes to standard error, which is a terminal. Standard output is discarded.
std::string seen_on_terminal(const std::vector<std::string>& arguments) {
  const int screen = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_EQ(::grantpt(screen), 0);
  EXPECT_EQ(::unlockpt(screen), 0);
  const int terminal = ::open(::ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
  const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  ::ioctl(terminal, TIOCSWINSZ, &size);
  std::vector<char*> argv{const_cast<char*>(MLXE_PROGRAM)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::dup2(terminal, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(terminal);
  std::string seen, piece(1 << 12, '\0');
  for (ssize_t n; (n = ::read(screen, piece.data(), piece.size())) > 0;)  // fails once the program has ended
    seen.append(piece, 0, static_cast<size_t>(n));
  ::close(screen);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << seen;
  return seen;
}

// Texts are read in windows of 4096 and tokenized 2048 at a time, so that the second and third warning come
// while the bar is drawn.
TEST(Terminal, WarningsStandOnLinesOfTheirOwnAndNumberTheTextsOfTheWholeInput) {
  const TemporaryFolder folder;
  std::string texts;
  for (int i = 1; i <= 5000; ++i) {
    const bool is_long = i == 100 || i == 3000 || i == 4500;
    for (int words = is_long ? 40 : 1; words > 0; --words) texts += "cat ";
    texts += '\n';
  }
  write_file(folder / "texts.txt", texts);
  const std::string seen = seen_on_terminal({"embed", MLXE_TEST_DATA "/tiny/st_mean_norm", "--engine", "cpu",
                                             "--input", (folder / "texts.txt").string()});
  EXPECT_THAT(seen, HasSubstr("/4,096")) << "no bar was drawn";
  for (const char* number : {"100", "3000", "4500"})
    EXPECT_THAT(seen, HasSubstr(std::string("warning: text ") + number + ": truncated"));
  int warnings = 0;
  for (size_t at = 0; (at = seen.find("warning: ", at)) != std::string::npos; ++at, ++warnings) {
    const std::string before = seen.substr(0, at);
    EXPECT_TRUE(before.empty() || before.ends_with('\n') || before.ends_with("\r\x1b[2K"))
        << "behind: " << before.substr(before.size() - std::min<size_t>(before.size(), 60));
  }
  EXPECT_EQ(warnings, 3);
}

TEST(Terminal, ADownloadShowsBytesRateAndTimeLeft) {
  if (!has_http()) GTEST_SKIP() << "this build downloads nothing (MLXE_WITH_HUB=OFF)";
  const TemporaryFolder cache;
  const HubServer server;
  server.add("org/name", MLXE_TEST_DATA "/tiny/st_mean_norm");
  server.rule({{"slow", 0.3}});
  const Variables variables{
      {"HF_HUB_CACHE", cache.path()}, {"HF_ENDPOINT", server.endpoint()}, {"HF_HUB_OFFLINE", ""}};
  const std::string seen = seen_on_terminal({"tokenize", "org/name", "A text."});
  EXPECT_THAT(seen, testing::ContainsRegex(
                        "downloading org/name .* KiB/[0-9.]* [KM]iB  [0-9.]* [KM]?i?B/s  [0-9]+s left"));
}

}  // namespace
}  // namespace mlxe::test::terminal_test
