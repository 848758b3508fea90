#include "base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "base/leftovers.h"
#include "base/mapped_file.h"
#include "test_files.h"

namespace mlxe::output_file_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OutputFileTest : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  fs::path file_ = folder_ / "v.npy";

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  static std::string error_of(const fs::path& path, ErrorCode code = ErrorCode::io) {
    return test::error_text([&] { OutputFile{path}; }, code);
  }
};

TEST_F(OutputFileTest, TheOldFileStandsUntilTheNewOneIsWhole) {
  test::write_file(file_, "old");
  {
    OutputFile abandoned(file_);
    abandoned.write("half");
    EXPECT_EQ(test::read_file(file_), "old");
    EXPECT_EQ(names().size(), 2u);
  }
  EXPECT_EQ(test::read_file(file_), "old");
  EXPECT_THAT(names(), ElementsAre("v.npy"));
  OutputFile file(file_);
  file.write("xyz, and what follows");
  file.rewrite_start("new");
  file.write(".");
  EXPECT_EQ(test::read_file(file_), "old");
  file.finish();
  EXPECT_EQ(test::read_file(file_), "new, and what follows.");
  EXPECT_THAT(names(), ElementsAre("v.npy"));
}

TEST_F(OutputFileTest, LargePiecesAndSmallOnesKeepTheirOrder) {
  std::string expected;
  {
    OutputFile file(file_);
    for (const size_t size : {size_t{3}, size_t{1} << 20, size_t{70'000}, size_t{3} << 20, size_t{1}}) {
      const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
      file.write(piece);
      expected += piece;
    }
    file.rewrite_start("start");
    file.finish();
  }
  EXPECT_EQ(test::read_file(file_), "start" + expected.substr(5));
}

// Each writer has its own temporary file. The last one to finish replaces the target as a whole.
TEST_F(OutputFileTest, TwoWritersDoNotMix) {
  OutputFile a(file_), b(file_);
  a.write("aaaaaaaa");
  b.write("bb");
  b.finish();
  EXPECT_EQ(test::read_file(file_), "bb");
  a.finish();
  EXPECT_EQ(test::read_file(file_), "aaaaaaaa");
  EXPECT_THAT(names(), ElementsAre("v.npy"));
}

TEST_F(OutputFileTest, ForeignFilesOfSimilarNamesStay) {
  for (const char* name : {"v.npy.partial", ".v.npy.next", ".v.npy.partial-mine"})
    test::write_file(folder_ / name, "precious");
  test::write_file(folder_ / ".v.npy.partial-999999999-00000000", "left by a killed process");
  write_whole_file(file_, "x");
  EXPECT_THAT(names(), ElementsAre(".v.npy.next", ".v.npy.partial-mine", "v.npy", "v.npy.partial"));
}

TEST_F(OutputFileTest, LinksAreFollowed) {
  test::write_file(folder_ / "real", "old");
  fs::create_symlink("real", file_);
  fs::create_symlink("v.npy", folder_ / "second");
  write_whole_file(folder_ / "second", "new");
  EXPECT_TRUE(fs::is_symlink(file_) && fs::is_symlink(folder_ / "second"));
  EXPECT_EQ(test::read_file(folder_ / "real"), "new");
  fs::create_symlink("absent", folder_ / "dangling");
  write_whole_file(folder_ / "dangling", "made");
  EXPECT_EQ(test::read_file(folder_ / "absent"), "made");
  fs::create_symlink("no/such/folder/x", folder_ / "lost");
  EXPECT_THAT(error_of(folder_ / "lost"), HasSubstr("lost: can't be created: No such file or directory"));
  fs::create_symlink("circle", folder_ / "circle");
  EXPECT_THAT(error_of(folder_ / "circle"), HasSubstr("circle: links in a circle"));
}

TEST_F(OutputFileTest, AReplacedFileKeepsItsMode) {
  test::write_file(file_, "old");
  ::chmod(file_.c_str(), 0600);
  write_whole_file(file_, "new");
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms(0600));
  const mode_t old = ::umask(027);
  write_whole_file(folder_ / "b", "x");
  ::umask(old);
  EXPECT_EQ(fs::status(folder_ / "b").permissions(), fs::perms(0640));
}

TEST_F(OutputFileTest, DevicesStay) {
  write_whole_file("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  fs::create_symlink("/dev/null", file_);
  write_whole_file(file_, "x");
  EXPECT_TRUE(fs::is_symlink(file_));
  EXPECT_THAT(test::error_text([] { write_whole_file("/dev/full", "x"); }, ErrorCode::io),
              HasSubstr("/dev/full: can't be written: No space left on device"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(OutputFileTest, APipeGetsAllTheBytesAndStays) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = test::read_file(file_); });
  const std::string text(300'000, 'x');  // more than a pipe holds
  {
    OutputFile file(file_);
    file.write("???");
    file.write(text);
    file.rewrite_start("npy");
    file.finish();
  }
  reader.join();
  EXPECT_EQ(read, "npy" + text);
  EXPECT_TRUE(fs::is_fifo(file_));
  EXPECT_THAT(names(), ElementsAre("v.npy"));
}

TEST_F(OutputFileTest, OpenDescriptorsAreWrittenWhereTheyStand) {
  test::write_file(file_, "begun, ");
  const int fd = ::open(file_.c_str(), O_WRONLY | O_APPEND);
  const fs::path name = "/dev/fd/" + std::to_string(fd);
  {
    OutputFile file(name);
    EXPECT_FALSE(file.is_standard_output());
    file.write("continued");
    file.finish();
  }
  EXPECT_EQ(test::read_file(file_), "begun, continued");
  ::close(fd);
  EXPECT_THAT(error_of(name), HasSubstr("Bad file descriptor"));
  EXPECT_TRUE(OutputFile("/dev/stdout").is_standard_output());
  EXPECT_FALSE(OutputFile("/dev/stderr").is_standard_output());
  const int reading = ::open(file_.c_str(), O_RDONLY);
  EXPECT_THAT(error_of("/dev/fd/" + std::to_string(reading)), HasSubstr("can't be written"));
  ::close(reading);
}

TEST_F(OutputFileTest, SaysBeforeTheWorkWhatCannotBeWritten) {
  EXPECT_THAT(error_of(folder_.path()), HasSubstr("is a folder; name a file"));
  EXPECT_THAT(error_of(folder_.path() / ""), HasSubstr("is a folder; name a file"));
  EXPECT_THAT(error_of(folder_ / "no/such/folder/x"),
              HasSubstr("can't be created: No such file or directory"));
  EXPECT_THAT(error_of(folder_ / std::string(300, 'x')), HasSubstr("name too long"));
  test::write_file(file_, "x");
  EXPECT_THAT(error_of(file_ / "inside"), HasSubstr("Not a directory"));
  sockaddr_un address{.sun_family = AF_UNIX};
  (folder_ / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(error_of(folder_ / "socket", ErrorCode::usage), HasSubstr("neither a file, a pipe nor"));
  ::close(socket);
  EXPECT_THAT(test::error_text([&] { OutputFile(file_, uint64_t{1} << 62); }, ErrorCode::io),
              HasSubstr("4611686018427387904 bytes needed"));
  if (::geteuid() == 0) return;  // root ignores file modes
  ::chmod(file_.c_str(), 0400);
  EXPECT_THAT(error_of(file_), HasSubstr("can't be written: Permission denied"));
  ::chmod(folder_.path().c_str(), 0500);
  EXPECT_THAT(error_of(folder_ / "new"), HasSubstr("can't be created: Permission denied"));
  ::chmod(folder_.path().c_str(), 0700);
}

TEST_F(OutputFileTest, ALongNameIsNoProblem) {
  std::string name(240, 'x');
  name.replace(198, 4, "\xC3\xA9\xC3\xA9");  // the name must be cut between characters
  write_whole_file(folder_ / name, "x");
  EXPECT_THAT(names(), ElementsAre(name));
}

// A limit on the file size simulates a full disk.
TEST_F(OutputFileTest, AFailedWriteLeavesTheOldFile) {
  test::write_file(file_, "old");
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{8192, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string error =
      test::error_text([&] { write_whole_file(file_, std::string(10'000, 'x')); }, ErrorCode::io);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, ignored);
  EXPECT_THAT(error, HasSubstr("v.npy: can't be written: File too large"));
  EXPECT_EQ(test::read_file(file_), "old");
  EXPECT_THAT(names(), ElementsAre("v.npy"));
}

TEST_F(OutputFileTest, AFreshFileIsWrittenWhereItStandsAndGoesWhenAbandoned) {
  { OutputFile(file_, std::nullopt, Placement::fresh).write("half"); }
  EXPECT_THAT(names(), IsEmpty());
  write_whole_file(file_, "x", Placement::fresh);
  EXPECT_EQ(test::read_file(file_), "x");
}

// A carried file that shrinks while it is copied: write() then finds no bytes, and the output is not to blame.
TEST_F(OutputFileTest, BytesThatAreGoneAreTheSourcesFault) {
  const fs::path source = folder_ / "source";
  test::write_file(source, std::string(size_t{4} << 20, 'x'));
  const MappedFile mapped(source);
  OutputFile out(folder_ / "out");
  fs::resize_file(source, 0);
  EXPECT_THAT(test::error_text([&] { out.write(mapped.bytes()); }, ErrorCode::io),
              HasSubstr("out: can't be written: the file that its bytes are read from became shorter"));
}

TEST_F(OutputFileTest, AnnouncedSizesAreKept) {
  EXPECT_THAT(test::error_text(
                  [&] {
                    OutputFile file(file_, 5);
                    file.write("four");
                    file.finish();
                  },
                  ErrorCode::internal),
              HasSubstr("4 bytes written, 5 announced"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(OutputFileTest, APlaceIsTriedWithoutATrace) {
  require_writable(file_);
  require_writable("/dev/null");
  EXPECT_THAT(names(), IsEmpty());
  test::error_text([&] { require_writable(folder_ / "no/x"); }, ErrorCode::io);
  EXPECT_EQ(regular_output("/dev/null"), std::nullopt);
  EXPECT_EQ(regular_output(file_), fs::canonical(folder_.path()) / "v.npy");
}

// As on a signal: temporary files are removed, finished files stay. Runs in its own process, because
// nothing can be written there afterwards.
TEST_F(OutputFileTest, LeftoversAreRemovedForAProcessThatEnds) {
  EXPECT_EXIT(
      {
        write_whole_file(folder_ / "done", "x");
        OutputFile half(file_);
        half.write("half");
        leftovers::remove_all();
        ::_exit(0);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_THAT(names(), ElementsAre("done"));
}

}  // namespace
}  // namespace mlxe::output_file_test
