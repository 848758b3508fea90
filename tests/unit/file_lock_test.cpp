#include "base/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "gates/baseline.h"
#include "test_files.h"

namespace mlxe::file_lock_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

pid_t in_a_process(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  work();
  ::_exit(0);
}

int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(FileLock, NamesItsHolderAndGoesWithIt) {
  const test::TemporaryFolder folder;
  const fs::path target = folder / "out", file = folder / ".out.lock";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = in_a_process([&] {
    const FileLock lock(target, IfLocked::refuse, "is busy");
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(test::error_text([&] { FileLock(target, IfLocked::refuse, "is busy"); }, ErrorCode::usage),
              HasSubstr("out: process " + std::to_string(child) + " is busy; wait until it is done"));
  ::kill(child, SIGKILL);
  status_of(child);
  EXPECT_TRUE(fs::exists(file)) << "a killed holder can't remove it";
  { const FileLock next(target, IfLocked::refuse, "is busy"); }
  EXPECT_FALSE(fs::exists(file));
  ::close(ready[0]), ::close(ready[1]);
}

// As a process of another user leaves it when it is killed: `sudo mlx-encoder convert ...`.
TEST(FileLock, OneThatMayOnlyBeReadIsTakenAllTheSame) {
  const test::TemporaryFolder folder;
  const fs::path target = folder / "out", file = folder / ".out.lock";
  fs::permissions(folder.path(), fs::perms::all);
  const auto as_another_user = [&](const std::function<void()>& work) {
    return status_of(in_a_process([&] {
      if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(9);
      work();
    }));
  };
  test::write_file(file, "1\n");
  fs::permissions(file, fs::perms(0444));
  EXPECT_EQ(as_another_user([&] {
              const FileLock lock(target, IfLocked::refuse, "is busy");
              bool refused = false;
              try {
                const FileLock second(target, IfLocked::refuse, "is busy");
              } catch (const Error&) {
                refused = true;
              }
              if (!refused) ::_exit(1);
            }),
            0);
  EXPECT_FALSE(fs::exists(file));

  test::write_file(file, "1\n");
  fs::permissions(file, fs::perms::none);
  EXPECT_EQ(as_another_user([&] {
              const std::string text =
                  test::error_text([&] { FileLock(target, IfLocked::refuse, "is busy"); }, ErrorCode::io);
              const bool named =
                  text.starts_with(file.string() + ": the lock of out can't be opened: Permission denied");
              ::_exit(named ? 0 : 1);
            }),
            0);
}

// Each process adds one to a number in a file. Without the lock some additions would be lost.
TEST(FileLock, OneAtATimeOfManyThatWait) {
  const test::TemporaryFolder folder;
  const fs::path number = folder / "number";
  test::write_file(number, "0");
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i)
    children.push_back(in_a_process([&] {
      for (int k = 0; k < 25; ++k) {
        const FileLock lock(number, IfLocked::wait, "");
        const int value = std::stoi(test::read_file(number));
        std::this_thread::yield();
        test::write_file(number, std::to_string(value + 1));
      }
    }));
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(test::read_file(number), "200");
  EXPECT_FALSE(fs::exists(folder / ".number.lock"));
}

TEST(FileLock, APlaceThatCannotBeWrittenIsAnIoError) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(test::error_text([&] { FileLock(folder / "no/such/out", IfLocked::wait, ""); }, ErrorCode::io),
              HasSubstr("no/such/out: can't be created: No such file or directory"));
}

Measured run_of(const std::string& model) {
  return {.model = model, .version = "0", .date = "d", .machine = "m", .values = {{"output.cosine.mean", 1}}};
}

TEST(SaveBaseline, KeepsTheRunsOfAllProcesses) {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "b.json";
  fs::create_symlink("b.json", folder / "link");
  std::vector<pid_t> children;
  for (int i = 0; i < 12; ++i)
    children.push_back(in_a_process(
        [&, i] { save_baseline(i % 2 == 0 ? file : folder / "link", run_of("m" + std::to_string(i))); }));
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  const Baseline baseline(file);
  for (int i = 0; i < 12; ++i)
    EXPECT_TRUE(baseline.find("m" + std::to_string(i), "output.cosine.mean", MeasuredBy::compare)) << i;
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
}

TEST(SaveBaseline, SaysBeforeTheWorkWhatItCannotWrite) {
  const test::TemporaryFolder folder;
  const auto refused = [&](const fs::path& file, ErrorCode code) {
    return test::error_text([&] { require_baseline_place(file); }, code);
  };
  require_baseline_place(folder / "new.json");
  require_baseline_place("/dev/null");
  save_baseline("/dev/null", run_of("m"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(refused(folder / "no/b.json", ErrorCode::io), HasSubstr("can't be created"));
  EXPECT_THAT(refused(folder.path(), ErrorCode::io), HasSubstr("is a folder"));
  test::write_file(folder / "other.json", "[]");
  EXPECT_THAT(refused(folder / "other.json", ErrorCode::format), HasSubstr("expected a baseline"));
  EXPECT_EQ(test::read_file(folder / "other.json"), "[]");
}

}  // namespace
}  // namespace mlxe::file_lock_test
