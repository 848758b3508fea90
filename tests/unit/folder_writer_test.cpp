#include "format/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file_errors.h"
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
  // Begins a folder and does not commit it.
  void begin(const fs::path& target, IfExists if_exists = IfExists::refuse) {
    const FolderClaim claim(target, if_exists);
    const PendingFolder pending(claim);
    write_whole_file(pending.path() / "config.json", "half");
  }
  void write(const fs::path& target, IfExists if_exists, const char* config) {
    const FolderClaim claim(target, if_exists);
    PendingFolder pending(claim);
    write_whole_file(pending.path() / "config.json", config);
    pending.commit();
  }
  void make_model(const fs::path& target) {
    test::write_file(target / "config.json", R"({"model_type": "bert"})");
    test::write_file(target / "model.safetensors", "old");
    test::write_file(target / "vocab.txt", "old");
  }
  std::string error_of(const fs::path& target, IfExists if_exists = IfExists::refuse,
                       std::initializer_list<fs::path> sources = {}, ErrorCode code = ErrorCode::usage) {
    return test::error_text([&] { FolderClaim(target, if_exists, sources); }, code);
  }
};

TEST_F(PendingFolderTest, AppearsOnlyWhenCommitted) {
  const FolderClaim claim(target_, IfExists::refuse);
  PendingFolder pending(claim);
  write_whole_file(pending.path() / "config.json", "{}");
  EXPECT_EQ(pending.path().parent_path(), folder_.path());
  EXPECT_THAT(pending.path().filename().string(),
              StartsWith(".out.partial-" + std::to_string(::getpid()) + "-"));
  EXPECT_FALSE(fs::exists(target_));
  pending.commit();
  EXPECT_EQ(test::read_file(target_ / "config.json"), "{}");
  EXPECT_THAT(names(), ElementsAre(".out.lock", "out"));
}

TEST_F(PendingFolderTest, LeavesNothingWhenAbandoned) {
  begin(target_);
  EXPECT_THAT(names(), IsEmpty());
  const fs::path deep = folder_ / "a/b/c";
  begin(deep);
  EXPECT_THAT(names(), IsEmpty());
  write(deep, IfExists::refuse, "x");
  EXPECT_TRUE(fs::is_directory(deep));
}

TEST_F(PendingFolderTest, TheFolderGetsTheUsersMode) {
  const mode_t old = ::umask(027);
  write(target_, IfExists::refuse, "x");
  ::umask(old);
  EXPECT_EQ(fs::status(target_).permissions(), fs::perms(0750));
}

TEST_F(PendingFolderTest, AnEmptyFolderMayBeFilled) {
  fs::create_directory(target_);
  write(target_, IfExists::refuse, "x");
  EXPECT_EQ(test::read_file(target_ / "config.json"), "x");
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
  make_model(target_);
  begin(target_, IfExists::replace);
  EXPECT_EQ(test::read_file(target_ / "vocab.txt"), "old");
  write(target_, IfExists::replace, "new");
  EXPECT_EQ(test::read_file(target_ / "config.json"), "new");
  EXPECT_FALSE(fs::exists(target_ / "vocab.txt"));
  EXPECT_THAT(names(), ElementsAre("out"));
}

// config.json alone is no model folder. A file that is no part of a model is never deleted.
TEST_F(PendingFolderTest, ReplacesNothingButAModel) {
  const auto refused = [&] { return error_of(target_, IfExists::replace); };
  test::write_file(target_ / "config.json", "{}");
  test::write_file(target_ / "model.safetensors", "x");
  EXPECT_THAT(refused(), HasSubstr("not a model folder (no config.json with a model_type)"));
  for (const char* config : {"not JSON", "[]", R"({"model_type": 1})"}) {
    test::write_file(target_ / "config.json", config);
    EXPECT_THAT(refused(), HasSubstr("no config.json with a model_type")) << config;
  }
  test::write_file(target_ / "config.json", R"({"model_type": "bert"})");
  EXPECT_NO_THROW(FolderClaim(target_, IfExists::replace));
  for (const char* file : {"thesis.txt", "src/main.c", "report.html", "embeddings.safetensors", ".git/HEAD",
                           "1_Pooling/notes.md", "notes/README.md", "b/model.safetensors",
                           "1_Pooling/config.json", "onnx/model.onnx"}) {
    test::write_file(target_ / file, "precious");
    EXPECT_THAT(refused(), AllOf(HasSubstr("no part of its model"), HasSubstr(file)));
    fs::remove(target_ / file);
  }
  fs::create_directory_symlink(folder_.path(), target_ / "data");
  EXPECT_THAT(refused(), HasSubstr(": data"));
  fs::remove(target_ / "data");
  fs::remove(target_ / "model.safetensors");
  EXPECT_THAT(refused(), HasSubstr("(no weights)"));
  // A folder with mlx_encoder.json is a model folder, and the files it names belong to the model.
  test::write_file(target_ / "odd name.txt", "carried over");
  test::write_file(target_ / "mlx_encoder.json", R"({"output": {"odd name.txt": {}}})");
  EXPECT_NO_THROW(FolderClaim(target_, IfExists::replace));
  EXPECT_EQ(test::read_file(target_ / "odd name.txt"), "carried over");
}

// Of the files in subfolders, the model's are those of its modules and those that mlx_encoder.json names.
TEST_F(PendingFolderTest, LeavesSubfoldersThatAreNotTheModels) {
  const auto refused = [&] { return error_of(target_, IfExists::replace); };
  make_model(target_);
  test::write_file(target_ / "modules.json",
                   R"([{"path": ""}, {"path": "1_Pooling"}, {"path": "m/2_Dense/"}])");
  for (const char* file : {"1_Pooling/config.json", "m/2_Dense/config.json", "m/2_Dense/model.safetensors"})
    test::write_file(target_ / file, "{}");
  EXPECT_NO_THROW(FolderClaim(target_, IfExists::replace));
  for (const char* file :
       {"1_Pooling/README.md", "1_Pooling/LICENSE", "1_Pooling/a/config.json", "m/config.json"}) {
    test::write_file(target_ / file, "precious");
    EXPECT_THAT(refused(), HasSubstr(file));
    fs::remove(target_ / file);
  }
  make_model(target_ / "b");  // another model
  EXPECT_THAT(refused(), AllOf(HasSubstr("b/config.json"), HasSubstr("b/model.safetensors")));
  test::write_file(target_ / "mlx_encoder.json",
                   R"({"output": {"b/config.json": {}, "b/model.safetensors": {}, "b/vocab.txt": {}}})");
  EXPECT_NO_THROW(FolderClaim(target_, IfExists::replace));
}

// A file that appears in the old folder while the new one is written is not lost.
TEST_F(PendingFolderTest, LooksAgainBeforeItReplaces) {
  make_model(target_);
  const FolderClaim claim(target_, IfExists::replace);
  PendingFolder pending(claim);
  test::write_file(target_ / "thesis.txt", "precious");
  EXPECT_THAT(test::error_text([&] { pending.commit(); }, ErrorCode::usage), HasSubstr("thesis.txt"));
  EXPECT_EQ(test::read_file(target_ / "thesis.txt"), "precious");
}

TEST_F(PendingFolderTest, OneAtATimeWritesAFolder) {
  {
    const FolderClaim first(target_, IfExists::refuse);
    EXPECT_THAT(error_of(target_), HasSubstr("this process is writing this folder; wait until it is done"));
    fs::create_directory_symlink(target_, folder_ / "link");
    EXPECT_THAT(error_of(folder_ / "link"), HasSubstr("is writing this folder"));
    EXPECT_NO_THROW(FolderClaim(folder_ / "other", IfExists::refuse));
  }
  fs::remove(folder_ / "link");
  EXPECT_THAT(names(), IsEmpty());
}

// As on a volume without locks.
TEST_F(PendingFolderTest, WhoFinishesSecondReplacesNothingUnasked) {
  const FolderClaim claim(target_, IfExists::refuse);
  PendingFolder second(claim);
  test::write_file(target_ / "config.json", "first");
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
  EXPECT_NO_THROW(FolderClaim(folder_ / "model-8bit", IfExists::refuse, {source}));
}

TEST_F(PendingFolderTest, ALinkedTargetIsReplacedWhereItPoints) {
  make_model(folder_ / "real");
  fs::create_directory_symlink(folder_ / "real", target_);
  write(target_, IfExists::replace, "new");
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(test::read_file(folder_ / "real/config.json"), "new");
}

TEST_F(PendingFolderTest, ADanglingLinkIsFollowed) {
  fs::create_directory_symlink("no/such/folder", target_);
  write(target_, IfExists::refuse, "new");
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(test::read_file(folder_ / "no/such/folder/config.json"), "new");
  fs::create_directory_symlink("circle", folder_ / "circle");
  EXPECT_THAT(error_of(folder_ / "circle", IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("links in a circle"));
}

// A killed process leaves its hidden folder; the next run with this target removes it, and only it.
TEST_F(PendingFolderTest, CleansUpAfterAKilledProcess) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderClaim claim(target_, IfExists::refuse);
    PendingFolder pending(claim);
    write_whole_file(pending.path() / "model.safetensors", "half");
    (void)!::write(pipe_ends[1], "x", 1);
    for (;;) ::pause();
  }
  char ready = 0;
  ASSERT_EQ(::read(pipe_ends[0], &ready, 1), 1);
  EXPECT_THAT(error_of(target_), HasSubstr("process " + std::to_string(child) + " is writing this folder"));
  ASSERT_EQ(names().size(), 2u);  // its process lives: nothing may be removed
  EXPECT_TRUE(fs::exists(folder_.path() / names()[1] / "model.safetensors"));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_THAT(names(), ElementsAre(".out.lock", StartsWith(".out.partial-")));

  fs::create_directory(folder_ / ".out.partial-mine");
  fs::create_directory(folder_ / ".other.partial-999999-00000000");
  begin(target_);
  EXPECT_THAT(names(), ElementsAre(".other.partial-999999-00000000", ".out.partial-mine"));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

// On a volume without locks, only the process id protects a running conversion.
TEST_F(PendingFolderTest, AnUnlockedFolderOfALivingProcessStays) {
  const std::string name = ".out.partial-" + std::to_string(::getpid()) + "-00000000";
  fs::create_directory(folder_ / name);
  begin(target_);
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(PendingFolderTest, AFolderThatCannotBeMadeIsAnIoError) {
  test::write_file(folder_ / "file", "x");
  EXPECT_THAT(error_of(folder_ / "file/out", IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("can't be created"));
}

TEST_F(PendingFolderTest, ANameTooLongIsAnIoErrorAndLeavesNoParents) {
  begin(folder_ / "new/folder" / std::string(250, 'x'));
  EXPECT_THAT(error_of(folder_ / "new" / std::string(300, 'x'), IfExists::refuse, {}, ErrorCode::io),
              HasSubstr("too long"));
  EXPECT_THAT(names(), IsEmpty());
}

// An iterator's own error has no path.
TEST(Walk, NamesTheFolderThatCannotBeRead) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "a/b/file", "x");
  std::vector<std::string> seen;
  walk(folder.path(),
       [&](const fs::directory_entry& entry) { seen.push_back(entry.path().filename().string()); });
  EXPECT_THAT(seen, ElementsAre("a", "b", "file"));
  const auto error = [&](const fs::path& path) {
    return test::error_text([&] { walk(path, [](const fs::directory_entry&) {}); }, ErrorCode::io);
  };
  EXPECT_THAT(error(folder / "absent"), HasSubstr("absent: No such file or directory"));
  if (::geteuid() == 0) return;  // root ignores file modes
  ::chmod((folder / "a/b").c_str(), 0);
  EXPECT_THAT(error(folder.path()), HasSubstr("a/b: Permission denied"));
  ::chmod((folder / "a/b").c_str(), 0700);
}

TEST(FreeSpace, IsKnownForPathsThatDoNotExistYet) {
  EXPECT_GT(free_space("/tmp/no/such/path"), 0u);
  EXPECT_NO_THROW(require_free_space("/tmp/x", 1));
  EXPECT_THAT(test::error_text([] { require_free_space("/tmp/x", uint64_t{1} << 62); }, ErrorCode::io),
              HasSubstr("/tmp/x: 4611686018427387904 bytes needed, "));
}

}  // namespace
}  // namespace mlxe::folder_writer_test
