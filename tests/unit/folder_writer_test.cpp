#include "format/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_files.h"

namespace mlxe::folder_writer_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class PendingFolderTest : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  fs::path target_ = folder_ / "out";

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  std::string error_of(const fs::path& target, IfExists if_exists = IfExists::refuse,
                       std::initializer_list<fs::path> sources = {}, ErrorCode code = ErrorCode::usage) {
    return test::error_text([&] { PendingFolder(target, if_exists, sources); }, code);
  }
};

TEST_F(PendingFolderTest, AppearsOnlyWhenCommitted) {
  PendingFolder pending(target_, IfExists::refuse);
  write_whole_file(pending.path() / "config.json", "{}");
  EXPECT_EQ(pending.path().parent_path(), folder_.path());
  EXPECT_THAT(pending.path().filename().string(),
              StartsWith(".out.partial-" + std::to_string(::getpid()) + "-"));
  EXPECT_FALSE(fs::exists(target_));
  pending.commit();
  EXPECT_EQ(test::read_file(target_ / "config.json"), "{}");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(PendingFolderTest, LeavesNothingWhenAbandoned) {
  { PendingFolder pending(target_, IfExists::refuse); }
  EXPECT_THAT(names(), IsEmpty());
  const fs::path deep = folder_ / "a/b/c";
  {
    PendingFolder pending(deep, IfExists::refuse);
    write_whole_file(pending.path() / "x", "x");
  }
  EXPECT_THAT(names(), IsEmpty());
  PendingFolder(deep, IfExists::refuse).commit();
  EXPECT_TRUE(fs::is_directory(deep));
}

TEST_F(PendingFolderTest, TheFolderGetsTheUsersMode) {
  const mode_t old = ::umask(027);
  PendingFolder(target_, IfExists::refuse).commit();
  ::umask(old);
  EXPECT_EQ(fs::status(target_).permissions(), fs::perms(0750));
}

TEST_F(PendingFolderTest, AnEmptyFolderMayBeFilled) {
  fs::create_directory(target_);
  PendingFolder pending(target_, IfExists::refuse);
  write_whole_file(pending.path() / "x", "x");
  pending.commit();
  EXPECT_TRUE(fs::exists(target_ / "x"));
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(PendingFolderTest, RefusesWhatExists) {
  test::write_file(target_ / "config.json", "{}");
  EXPECT_THAT(error_of(target_), HasSubstr("exists already; choose another folder or pass --force"));
  test::write_file(folder_ / "file", "x");
  EXPECT_THAT(error_of(folder_ / "file", IfExists::replace), HasSubstr("is not a folder"));
  test::write_file(folder_ / "home/letter", "x");
  EXPECT_THAT(error_of(folder_ / "home", IfExists::replace), HasSubstr("not a model folder"));
  EXPECT_THAT(error_of("/"), HasSubstr("can't be the output folder"));
}

TEST_F(PendingFolderTest, ReplacesAModelWhenAsked) {
  test::write_file(target_ / "config.json", "old");
  test::write_file(target_ / "old.txt", "old");
  {
    PendingFolder pending(target_, IfExists::replace);
    EXPECT_EQ(test::read_file(target_ / "config.json"), "old");
  }
  EXPECT_EQ(test::read_file(target_ / "config.json"), "old");
  PendingFolder pending(target_, IfExists::replace);
  write_whole_file(pending.path() / "config.json", "new");
  pending.commit();
  EXPECT_EQ(test::read_file(target_ / "config.json"), "new");
  EXPECT_FALSE(fs::exists(target_ / "old.txt"));
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(PendingFolderTest, WhoFinishesSecondReplacesNothingUnasked) {
  PendingFolder second(target_, IfExists::refuse);
  {
    PendingFolder first(target_, IfExists::refuse);
    write_whole_file(first.path() / "config.json", "first");
    first.commit();
  }
  EXPECT_THAT(test::error_text([&] { second.commit(); }, ErrorCode::usage), HasSubstr("exists already"));
  EXPECT_EQ(test::read_file(target_ / "config.json"), "first");
}

TEST_F(PendingFolderTest, NeverTouchesItsSource) {
  const fs::path source = folder_ / "model";
  test::write_file(source / "config.json", "{}");
  for (const fs::path& target : {source, source / "", source / "out", source / "../model", folder_.path()})
    EXPECT_THAT(error_of(target, IfExists::replace, {source}), HasSubstr("the input folder")) << target;
  fs::create_directory_symlink(source, folder_ / "link");
  EXPECT_THAT(error_of(folder_ / "link", IfExists::replace, {source}), HasSubstr("the input folder"));
  EXPECT_THAT(error_of(folder_ / "link/out", IfExists::replace, {source}), HasSubstr("the input folder"));
  EXPECT_NO_THROW(PendingFolder(folder_ / "model-8bit", IfExists::refuse, {source}));
}

TEST_F(PendingFolderTest, ALinkedTargetIsReplacedWhereItPoints) {
  test::write_file(folder_ / "real/config.json", "old");
  fs::create_directory_symlink(folder_ / "real", target_);
  PendingFolder pending(target_, IfExists::replace);
  write_whole_file(pending.path() / "config.json", "new");
  pending.commit();
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(test::read_file(folder_ / "real/config.json"), "new");
}

// A killed process leaves its hidden folder; the next run with this target removes it, and only it.
TEST_F(PendingFolderTest, CleansUpAfterAKilledProcess) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    PendingFolder pending(target_, IfExists::refuse);
    write_whole_file(pending.path() / "model.safetensors", "half");
    (void)!::write(pipe_ends[1], "x", 1);
    for (;;) ::pause();
  }
  char ready = 0;
  ASSERT_EQ(::read(pipe_ends[0], &ready, 1), 1);
  { PendingFolder other(target_, IfExists::refuse); }  // its process lives: nothing may be taken away
  ASSERT_EQ(names().size(), 1u);
  EXPECT_TRUE(fs::exists(folder_.path() / names()[0] / "model.safetensors"));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_THAT(names(), ElementsAre(StartsWith(".out.partial-")));

  fs::create_directory(folder_ / ".out.partial-mine");
  fs::create_directory(folder_ / ".other.partial-999999-00000000");
  { PendingFolder next(target_, IfExists::refuse); }
  EXPECT_THAT(names(), ElementsAre(".other.partial-999999-00000000", ".out.partial-mine"));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

// On a volume without locks the process id alone protects a running conversion.
TEST_F(PendingFolderTest, AnUnlockedFolderOfALivingProcessStays) {
  const std::string name = ".out.partial-" + std::to_string(::getpid()) + "-00000000";
  fs::create_directory(folder_ / name);
  { PendingFolder pending(target_, IfExists::refuse); }
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(PendingFolderTest, AFolderThatCannotBeMadeIsAnIoError) {
  test::write_file(folder_ / "file", "x");
  EXPECT_THAT(error_of(folder_ / "file/out", IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("can't be created"));
}

TEST_F(PendingFolderTest, ANameTooLongIsAnIoErrorAndLeavesNoParents) {
  EXPECT_THAT(error_of(folder_ / "new/folder" / std::string(250, 'x'), IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("too long"));
  EXPECT_THAT(error_of(folder_ / "new" / std::string(300, 'x'), IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("too long"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(PendingFolderTest, AFileIsReplacedWholeOrNotAtAll) {
  const fs::path file = folder_ / "README.md";
  test::write_file(file, "old");
  replace_whole_file(file, "new");
  EXPECT_EQ(test::read_file(file), "new");
  test::write_file(folder_ / ".README.md.next", "left by a killed process");
  replace_whole_file(file, "newer");
  EXPECT_EQ(test::read_file(file), "newer");
  EXPECT_THAT(names(), ElementsAre("README.md"));

  fs::create_directories(folder_ / "taken/inside");  // no file can be renamed over it
  EXPECT_THAT(test::error_text([&] { replace_whole_file(folder_ / "taken", "x"); }, ErrorCode::io),
              HasSubstr("can't be put into place"));
  EXPECT_THAT(names(), testing::UnorderedElementsAre("README.md", "taken"));
}

TEST(FreeSpace, IsKnownForPathsThatDoNotExistYet) {
  EXPECT_GT(free_space("/tmp/no/such/path"), 0u);
  EXPECT_NO_THROW(require_free_space("/tmp/x", 1));
  EXPECT_THAT(test::error_text([] { require_free_space("/tmp/x", uint64_t{1} << 62); }, ErrorCode::io),
              HasSubstr("/tmp/x: 4611686018427387904 bytes needed, "));
}

TEST(WriteWholeFile, ReplacesAndFailsCleanly) {
  test::TemporaryFolder folder;
  write_whole_file(folder / "a", "long text");
  write_whole_file(folder / "a", "short");
  EXPECT_EQ(test::read_file(folder / "a"), "short");
  test::error_text([&] { write_whole_file(folder / "no/such/folder", "x"); }, ErrorCode::io);
}

}  // namespace
}  // namespace mlxe::folder_writer_test
