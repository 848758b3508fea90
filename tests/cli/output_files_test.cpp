// Outputs: devices, pipes and links, several processes at once, signals, full disks and names that are not
// UTF-8.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/utf8.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::output_files_test {
namespace {

namespace fs = std::filesystem;
using test::finish_program;
using test::names_in;
using test::Outcome;
using test::run_program;
using test::start_program;
using test::TemporaryFolder;
using test::tiny;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::chrono::milliseconds kMoment{5};

class OutputFiles : public ::testing::Test {
 protected:
  TemporaryFolder folder_, scratch_;
  const std::string model_ = tiny("st_mean_norm");

  Outcome embed_to(const std::string& output) {
    return run_program({"embed", model_, "the cat", "-o", output});
  }
  std::vector<std::string> convert_to(const std::string& output, const char* bits = "8") const {
    return {"convert", model_, "-q", "--q-group-size", "32", "--q-bits", bits, "--mlx-path", output};
  }
  std::string texts(const char* name, const std::string& text, int count) const {
    std::string all;
    for (int i = 0; i < count; ++i) all += text + "\n";
    test::write_file(folder_ / name, all);
    return folder_ / name;
  }
  // Waits for a temporary name; false if the process ends first.
  bool has_begun(pid_t pid, const char* beginning) const {
    for (;; std::this_thread::sleep_for(kMoment)) {
      for (const std::string& name : names_in(folder_.path()))
        if (name.starts_with(beginning)) return true;
      siginfo_t ended{};
      ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT);
      if (ended.si_pid != 0) return false;
    }
  }
  // Runs the commands at the same time, each with its own folder for its output.
  std::vector<Outcome> at_once(const std::vector<std::vector<std::string>>& commands) const {
    std::vector<pid_t> running;
    std::vector<fs::path> folders;
    for (const auto& command : commands) {
      folders.push_back(scratch_ / std::to_string(folders.size()));
      fs::create_directories(folders.back());
      running.push_back(start_program(command, folders.back()));
    }
    std::vector<Outcome> done;
    for (size_t i = 0; i < running.size(); ++i) done.push_back(finish_program(running[i], folders[i]));
    return done;
  }
};

TEST_F(OutputFiles, DevicesPipesAndLinksStay) {
  const std::string npy = folder_ / "v.npy", link = folder_ / "link.npy", pipe = folder_ / "pipe";
  ASSERT_EQ(embed_to(npy).status, 0);
  const std::string right = test::read_file(npy);
  EXPECT_THAT(right, StartsWith("\x93NUMPY"));
  EXPECT_EQ(embed_to("/dev/null").status, 0);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));

  test::write_file(npy, "old");
  fs::create_symlink("v.npy", link);
  test::write_file(folder_ / "v.npy.partial", "precious");
  EXPECT_EQ(embed_to(link).status, 0);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(test::read_file(npy), right);
  EXPECT_EQ(test::read_file(folder_ / "v.npy.partial"), "precious");

  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = test::read_file(pipe); });
  EXPECT_EQ(embed_to(pipe).status, 0);
  reader.join();
  EXPECT_EQ(read, right);
  EXPECT_TRUE(fs::is_fifo(pipe));

  const Outcome out = embed_to("/dev/stdout");
  EXPECT_EQ(out.out, right) << "the sentence about it goes elsewhere";
  EXPECT_THAT(out.err, HasSubstr("1 vectors of"));
  const Outcome full = embed_to("/dev/full");
  EXPECT_EQ(full.status, 5);
  EXPECT_THAT(full.err, HasSubstr("/dev/full: can't be written: No space left on device"));
}

TEST_F(OutputFiles, OfTwoProcessesTheLastOneWinsWhole) {
  const std::string npy = folder_ / "v.npy";
  std::map<std::string, std::string> right;  // by the message of the successful command
  std::vector<std::vector<std::string>> commands;
  for (const auto& [name, text, count] :
       {std::tuple{"a.txt", "the cat sat", 9000}, std::tuple{"b.txt", "a dog", 5000}}) {
    commands.push_back({"embed", model_, "--input", texts(name, text, count), "-o", npy, "--threads", "1"});
    const Outcome alone = run_program(commands.back());
    right[alone.out] = test::read_file(npy);
  }
  ASSERT_EQ(right.size(), 2u);
  for (const Outcome& one : at_once(commands)) {
    EXPECT_EQ(one.status, 0) << one.err;
    EXPECT_TRUE(right.contains(one.out)) << one.out;
  }
  EXPECT_THAT(right, ::testing::Contains(::testing::Pair(::testing::_, test::read_file(npy))));
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("a.txt", "b.txt", "v.npy"));
}

TEST_F(OutputFiles, OneOfManyConversionsIntoOneFolderSucceeds) {
  const std::string out = folder_ / "out";
  for (int round = 0; round < 2; ++round) {
    int succeeded = 0;
    std::string winner;
    const char* bits[] = {"8", "4", "3", "2"};
    const std::vector<Outcome> all = at_once({convert_to(out, bits[0]), convert_to(out, bits[1]),
                                              convert_to(out, bits[2]), convert_to(out, bits[3])});
    for (size_t i = 0; i < all.size(); ++i) {
      succeeded += all[i].status == 0;
      if (all[i].status == 0) {
        winner = bits[i];
        continue;
      }
      EXPECT_EQ(all[i].status, 2) << all[i].err;
      EXPECT_THAT(all[i].err,
                  ::testing::AnyOf(HasSubstr(" is writing this folder; wait until it is done"),
                                   HasSubstr("exists already"), HasSubstr("holds another conversion")));
    }
    EXPECT_EQ(succeeded, 1);
    EXPECT_EQ(read_json(folder_ / "out/config.json")["quantization"]["bits"].dump(), winner);
    EXPECT_THAT(names_in(folder_.path()), ElementsAre("out"));
    fs::remove_all(out);
  }
}

TEST_F(OutputFiles, CalibrationsToOneFolderDoNotDisturbOneAnother) {
  std::vector<std::string> command = convert_to(folder_ / "out", "4");
  command.insert(command.end(), {"--calibrate", texts("t.txt", "the cat sat on a mat", 300)});
  int succeeded = 0;
  for (const Outcome& one : at_once({command, command, command})) {
    succeeded += one.status == 0;
    EXPECT_TRUE(one.status == 0 || one.err.find(" is writing this folder") != std::string::npos) << one.err;
  }
  EXPECT_GE(succeeded, 1);  // more than one if a process begins after another is done
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out", "t.txt"));
}

TEST_F(OutputFiles, ASignalLeavesNothing) {
  const std::string input = texts("t.txt", "the cat", 100'000);
  std::vector<std::string> calibrated = convert_to(folder_ / "out", "4");
  calibrated.insert(calibrated.end(), {"--calibrate", "default"});
  const std::vector<std::string> embedding{"embed", model_, "--input", input, "-o", folder_ / "v.npy"};
  for (const auto& [command, begun] :
       {std::pair(embedding, ".v.npy.partial-"), {calibrated, ".out.partial-"}})
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1}) {
      const pid_t pid = start_program(command, scratch_.path());
      ASSERT_TRUE(has_begun(pid, begun));
      ::kill(pid, signal);
      EXPECT_EQ(finish_program(pid, scratch_.path()).status, 128 + signal) << command[0];
      std::vector<std::string> left = names_in(folder_.path());
      std::erase(left, ".out.calibration");  // finished steps stay: docs/exit-status.md
      EXPECT_THAT(left, ElementsAre("t.txt"));
      fs::remove_all(folder_ / ".out.calibration");
    }
}

// In each command that writes: nothing is left, and what was there is whole.
TEST_F(OutputFiles, ASignalLeavesWhatWasThere) {
  constexpr size_t kBytes = size_t{64} << 20;
  const std::string large = test::with_large_table(model_, folder_ / "large", kBytes);
  const std::string input = texts("t.txt", "the cat sat on a mat", 60'000);
  ASSERT_EQ(run_program(convert_to(folder_ / "old")).status, 0);
  ASSERT_EQ(
      run_program({"convert", large, "-q", "--q-group-size", "32", "--mlx-path", folder_ / "large8"}).status,
      0);
  test::write_file(folder_ / "old.html", "an old report");
  const std::string old_weights = test::read_file(folder_ / "old/model.safetensors");
  const std::vector<std::string> before = names_in(folder_.path()), in_old = names_in(folder_ / "old");
  const std::vector<std::string> converting{"convert", large, "-q", "--q-group-size", "32", "--mlx-path"};
  const auto with = [](std::vector<std::string> command, const std::vector<std::string>& more) {
    command.insert(command.end(), more.begin(), more.end());
    return command;
  };
  for (const auto& [command, begun] : {
           std::pair(with(converting, {folder_ / "new"}), ".new.partial-"),
           {with(converting, {folder_ / "old", "--force"}), ".old.partial-"},
           {{"dequantize", folder_ / "large8", "--mlx-path", folder_ / "new"}, ".new.partial-"},
           {{"compare", model_, folder_ / "old", "--texts", input, "--no-speed", "--report",
             folder_ / "old.html"},
            ".old.html.partial-"},
           {{"sensitivity", model_, "--q-group-size", "32", "--texts", input, "--tokens", "1000000", "--plot",
             folder_ / "new.svg"},
            ".new.svg.partial-"},
           {{"convert", model_, "--target-bits", "8", "--texts", input, "--mlx-path", folder_ / "new"},
            ".new.partial-"},
       })
    for (const int signal : {SIGTERM, SIGUSR2}) {
      const pid_t pid = start_program(command, scratch_.path());
      ASSERT_TRUE(has_begun(pid, begun)) << command[0] << test::read_file(scratch_ / "err");
      ::kill(pid, signal);
      EXPECT_EQ(finish_program(pid, scratch_.path()).status, 128 + signal) << command[0];
      std::vector<std::string> left = names_in(folder_.path());
      std::erase(left, ".new.calibration");  // finished steps stay: docs/exit-status.md
      EXPECT_EQ(left, before) << command[0];
      EXPECT_EQ(names_in(folder_ / "old"), in_old);
      EXPECT_EQ(test::read_file(folder_ / "old/model.safetensors"), old_weights);
      EXPECT_EQ(test::read_file(folder_ / "old.html"), "an old report");
      fs::remove_all(folder_ / ".new.calibration");
    }
}

// As in `mlx-encoder embed ... 2>&1 | head -1`: the second warning finds no reader.
TEST_F(OutputFiles, AReaderOfTheWarningsThatGoesAwayLeavesNothing) {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "cat ";
  const std::string model = model_, input = texts("t.txt", words, 20'000);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t pid =
      start_program({"embed", model, "--input", input, "-o", folder_ / "v.npy"}, scratch_.path(), [&] {
        ::signal(SIGPIPE, SIG_IGN);  // as some parents leave it
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
      });
  ::close(ends[1]);
  char first = 0;
  EXPECT_EQ(::read(ends[0], &first, 1), 1);
  ::close(ends[0]);
  EXPECT_EQ(finish_program(pid, scratch_.path()).status, 128 + SIGPIPE);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("t.txt"));
}

// As Ctrl-C does in a pipeline whose reader ends at the same time: both signals are there at once.
TEST_F(OutputFiles, ASignalTogetherWithABrokenPipeEndsTheProgram) {
  const std::string input = texts("t.txt", "the cat", 100'000);
  for (int run = 0; run < 20; ++run) {
    const pid_t pid =
        start_program({"embed", model_, "--input", input, "-o", folder_ / "v.npy"}, scratch_.path());
    ASSERT_TRUE(has_begun(pid, ".v.npy.partial-"));
    ::kill(pid, SIGSTOP);
    ASSERT_EQ(::waitpid(pid, nullptr, WUNTRACED), pid);
    for (const int signal : {SIGPIPE, SIGINT, SIGCONT}) ::kill(pid, signal);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    pid_t ended = 0;
    int status = 0;
    while ((ended = ::waitpid(pid, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(kMoment);
    if (ended == 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    ASSERT_EQ(ended, pid) << "hangs in run " << run;
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_THAT(WTERMSIG(status), ::testing::AnyOf(SIGINT, SIGPIPE));
    EXPECT_THAT(names_in(folder_.path()), ElementsAre("t.txt"));
  }
}

// The next file that is opened would get the number of the closed stream, and what is printed.
TEST_F(OutputFiles, NothingIsPrintedIntoAFileWhereAStandardStreamIsClosed) {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "cat ";
  const std::string npy = folder_ / "v.npy", input = texts("t.txt", words, 3);
  const std::vector<std::string> command{"embed", model_, "--input", input, "-o", npy};
  ASSERT_EQ(run_program(command).status, 0);
  const std::string right = test::read_file(npy);
  for (const std::vector<int>& closed :
       {std::vector<int>{0}, std::vector<int>{1}, std::vector<int>{2}, std::vector<int>{0, 1, 2}}) {
    test::write_file(npy, "old");
    const pid_t pid = start_program(command, scratch_.path(), [&] {
      for (const int stream : closed) ::close(stream);
    });
    const int status = finish_program(pid, scratch_.path()).status;
    const bool can_say_it = std::ranges::find(closed, STDOUT_FILENO) == closed.end();
    EXPECT_EQ(status, can_say_it ? 0 : 5) << "output that goes nowhere is an error";
    EXPECT_EQ(test::read_file(npy), right) << ::testing::PrintToString(closed);
  }
  const pid_t pid = start_program({"embed", model_, "--input", input, "-o", "/dev/stdout"}, scratch_.path(),
                                  [] { ::close(STDERR_FILENO); });
  EXPECT_EQ(finish_program(pid, scratch_.path()).out, right);
}

// As with nohup, or with `&` in a script.
TEST_F(OutputFiles, AnIgnoredSignalStaysIgnored) {
  const std::string input = texts("t.txt", "the cat", 20'000);
  const pid_t pid =
      start_program({"embed", model_, "--input", input, "-o", folder_ / "v.npy"}, scratch_.path(), [] {
        ::signal(SIGINT, SIG_IGN);
        ::signal(SIGHUP, SIG_IGN);
      });
  ASSERT_TRUE(has_begun(pid, ".v.npy.partial-"));
  ::kill(pid, SIGINT);
  ::kill(pid, SIGHUP);
  EXPECT_EQ(finish_program(pid, scratch_.path()).status, 0);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("t.txt", "v.npy"));
}

#ifdef __linux__
TEST_F(OutputFiles, AMeasuringProcessEndsWithItsParent) {
  if (!fs::exists("/proc/thread-self/children")) GTEST_SKIP() << "this kernel does not list children";
  ASSERT_EQ(run_program(convert_to(folder_ / "quantized")).status, 0);
  const std::vector<std::string> bench{"bench", model_, "--shapes", "1x4", "--seconds", "60"};
  // Long texts: a fast machine measures short ones in a moment.
  std::string text;
  for (int i = 0; i < 20; ++i) text += "the cat sat on the warm piano ";
  const std::vector<std::string> compare{
      "compare", model_,     folder_ / "quantized", "--texts", texts("t.txt", text, 8000), "--seconds",
      "60",      "--report", folder_ / "r.html"};
  const std::vector<std::string> before = names_in(folder_.path());
  for (const auto& [command, signal] : {std::pair(bench, SIGKILL), {bench, SIGTERM}, {compare, SIGTERM}}) {
    const pid_t pid = start_program(command, scratch_.path());
    const fs::path children = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
    pid_t child = 0;
    // One that starts a model ends soon; one that measures is seen for longer.
    int seen = 0;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
         seen < 10 && std::chrono::steady_clock::now() < end;
         std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
      pid_t now = 0;
      std::ifstream(children) >> now;
      seen = now != 0 && now == child ? seen + 1 : 0;
      child = now;
    }
    ASSERT_NE(child, 0);
    ::kill(pid, signal);
    EXPECT_EQ(finish_program(pid, scratch_.path()).status, 128 + signal);
    bool gone = false;
    for (int i = 0; i < 400 && !gone; ++i, std::this_thread::sleep_for(kMoment)) {
      std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
      std::string number, name, state;
      gone = !(stat >> number >> name >> state) || state == "Z";
    }
    EXPECT_TRUE(gone) << command[0] << signal;
    EXPECT_EQ(names_in(folder_.path()), before);
  }
}
#endif

TEST_F(OutputFiles, AReportThatCannotBeWrittenLeavesTheOldOne) {
  const std::string report = folder_ / "r.html", quantized = folder_ / "q",
                    input = texts("t.txt", "the cat", 3);
  ASSERT_EQ(run_program(convert_to(quantized)).status, 0);
  test::write_file(report, "OLD");
  const std::vector<std::string> command{"compare", model_,     quantized, "--texts",
                                         input,     "--report", report,    "--no-speed"};
  const pid_t pid = start_program(command, scratch_.path(), [] {
    const rlimit limit{8192, 8192};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  const Outcome done = finish_program(pid, scratch_.path());
  EXPECT_EQ(done.status, 5) << done.err;
  EXPECT_THAT(done.err, HasSubstr("r.html: can't be written: File too large"));
  EXPECT_EQ(test::read_file(report), "OLD");
  EXPECT_EQ(run_program(command).status, 0);
  EXPECT_THAT(test::read_file(report), HasSubstr("<html"));
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("q", "r.html", "t.txt"));
}

#ifdef __linux__
// On a volume that can't exchange two folders in one step.
TEST_F(OutputFiles, AModelFolderIsReplacedInTwoSteps) {
  const fs::path faults = fs::path(MLXE_BUILD_DIR) / "tests/libmlxe_faults.so";
  if (!fs::exists(faults)) GTEST_SKIP() << faults << " is not built";
  const std::string out = folder_ / "out";
  ASSERT_EQ(run_program(convert_to(out)).status, 0);
  std::vector<std::string> again = convert_to(out, "4");
  again.insert(again.end(), {"--force", "--calibrate", "none"});
  const auto with = [&](const char* fault) {
    return finish_program(start_program(again, scratch_.path(),
                                        [&] {
                                          ::setenv("LD_PRELOAD", faults.c_str(), 1);
                                          ::setenv("MLXE_NO_EXCHANGE", "1", 1);
                                          ::setenv("MLXE_FAULT", fault, 1);
                                        }),
                          scratch_.path());
  };
  const auto bits = [&](const fs::path& folder) {
    return read_json(folder / "config.json")["quantization"]["bits"];
  };
  for (const char* fault : {"rename:1", "rename:2"}) {  // the old one to its new name; the new one into place
    const Outcome o = with(fault);
    EXPECT_EQ(o.status, 5) << o.err;
    EXPECT_THAT(o.err, HasSubstr(": can't be put into place: Input/output error"));
    EXPECT_EQ(bits(out), 8);
    EXPECT_THAT(names_in(folder_.path()), ElementsAre("out"));
  }
  const Outcome lost = with("rename:2+");  // the way back fails, too
  EXPECT_EQ(lost.status, 5);
  ASSERT_EQ(names_in(folder_.path()).size(), 1u);
  const fs::path left = folder_ / names_in(folder_.path())[0];
  EXPECT_THAT(left.filename().string(), StartsWith(".out.replaced-"));
  EXPECT_THAT(lost.err,
              HasSubstr("the folder that was there is now called " + left.string() + ", rename it back"));
  EXPECT_EQ(bits(left), 8);
  fs::rename(left, out);
  EXPECT_EQ(with("").status, 0);
  EXPECT_EQ(bits(out), 4);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out"));
}
#endif

// The models do not exist, either; that error would come only when the work begins.
TEST_F(OutputFiles, APlaceThatCannotBeWrittenIsSaidBeforeTheWork) {
  const std::string input = texts("t.txt", "the cat", 3), lost = folder_ / "no/such/folder/x";
  fs::create_symlink("no/such/folder/y.html", folder_ / "dangling.html");
  const std::string dangling = folder_ / "dangling.html";
  for (const auto& [command, where] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"compare", "absent", "absent", "--texts", input, "--report", lost + ".html"}, lost + ".html"},
           {{"compare", "absent", "absent", "--texts", input, "--report", dangling}, dangling},
           {{"compare", "absent", "absent", "--texts", input, "--save-baseline", lost}, lost},
           {{"evaluate", "absent", "--task", "similarity", "--data", input, "--save-baseline", lost}, lost},
           {{"embed", "absent", "hi", "-o", lost}, lost},
           {{"sensitivity", "absent", "--texts", input, "--plot", lost + ".svg"}, lost + ".svg"}}) {
    const Outcome outcome = run_program(command);
    EXPECT_EQ(outcome.status, 5) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(where + ": can't be created: No such file or directory"));
  }
}

TEST_F(OutputFiles, ABaselineOfSeveralProcessesKeepsAllRuns) {
  const std::string input = texts("t.txt", "the cat", 3), baseline = folder_ / "b.json",
                    data = folder_ / "d.tsv";
  test::write_file(data, "text\ttext_pair\tscore\nthe cat\ta dog\t1\na dog\tthe cat\t2\n");
  std::vector<std::vector<std::string>> commands{
      {"evaluate", model_, "--task", "similarity", "--data", data, "--save-baseline", baseline}};
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_EQ(run_program(convert_to(folder_ / name)).status, 0);
    commands.push_back(
        {"compare", model_, folder_ / name, "--texts", input, "--no-speed", "--save-baseline", baseline});
  }
  for (const Outcome& one : at_once(commands)) EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(read_json(baseline)["runs"].size(), 4u);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("a", "b", "b.json", "c", "d.tsv", "t.txt"));
}

TEST_F(OutputFiles, ForceReplacesNothingButAModel) {
  const std::string quantized = folder_ / "q", other = folder_ / "home";
  ASSERT_EQ(run_program(convert_to(quantized)).status, 0);
  const auto refused = [&](const char* named) {
    std::vector<std::string> convert = convert_to(other);
    convert.emplace_back("--force");
    for (const auto& command :
         {convert, std::vector<std::string>{"dequantize", quantized, "--mlx-path", other, "--force"}}) {
      const Outcome o = run_program(command);
      EXPECT_EQ(o.status, 2) << o.err;
      EXPECT_THAT(o.err, HasSubstr(named));
      EXPECT_EQ(test::read_file(folder_ / "home/thesis.txt"), "precious");
      EXPECT_EQ(test::read_file(folder_ / "home/src/main.c"), "precious");
    }
  };
  test::write_file(folder_ / "home/thesis.txt", "precious");
  test::write_file(folder_ / "home/src/main.c", "precious");
  test::write_file(folder_ / "home/config.json", "{}");
  refused("is not a model folder");
  fs::copy(quantized, other, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  refused("src/main.c, thesis.txt");
}

// A model inside the folder of another, and a folder of notes whose name a model's files have, too.
TEST_F(OutputFiles, ForceLeavesWhatIsInsideAModelsFolder) {
  const std::string out = folder_ / "models", inner = folder_ / "models/b";
  ASSERT_EQ(run_program(convert_to(out)).status, 0);
  std::vector<std::string> again = convert_to(out, "4");
  again.insert(again.end(), {"--force", "--calibrate", "none"});
  ASSERT_EQ(run_program(convert_to(inner)).status, 0);
  const Outcome o = run_program(again);
  EXPECT_EQ(o.status, 2) << o.err;
  EXPECT_THAT(o.err, HasSubstr("b/config.json"));
  EXPECT_TRUE(fs::exists(folder_ / "models/b/model.safetensors"));
  fs::remove_all(inner);
  test::write_file(folder_ / "models/notes/README.md", "precious");
  EXPECT_EQ(run_program(again).status, 2);
  EXPECT_EQ(test::read_file(folder_ / "models/notes/README.md"), "precious");
  fs::remove_all(folder_ / "models/notes");
  EXPECT_EQ(run_program(again).status, 0);
}

// As for `embed -o`: links are followed, pipes and devices written through.
TEST_F(OutputFiles, ReportsPlotsAndBaselinesGoWhereLinksPoint) {
  const std::string input = texts("t.txt", "the cat sat on the mat and looked at the dog", 40);
  const auto compare = [&](const char* option, const std::string& output) {
    return std::vector<std::string>{"compare",  model_, model_,       "--texts", input,
                                    "--engine", "cpu",  "--no-speed", option,    output};
  };
  const auto sensitivity = [&](const std::string& output) {
    return std::vector<std::string>{"sensitivity", model_,   "--texts", input,    "--q-group-size",
                                    "32",          "--bits", "4",       "--plot", output};
  };
  for (const auto& [command, name, holds] :
       std::vector<std::tuple<std::vector<std::string>, std::string, std::string>>{
           {compare("--report", folder_ / "r.html"), "r.html", "<html"},
           {compare("--report", folder_ / "r.md"), "r.md", "# What the conversion cost"},
           {compare("--save-baseline", folder_ / "b.json"), "b.json", "\"runs\""},
           {sensitivity(folder_ / "p.svg"), "p.svg", "<svg"}}) {
    const fs::path link = folder_ / name, target = folder_ / "target";
    fs::create_symlink("target", link);
    ASSERT_EQ(run_program(command).status, 0) << name;
    EXPECT_TRUE(fs::is_symlink(link)) << name;
    EXPECT_THAT(test::read_file(target), HasSubstr(holds));
    fs::remove(link);
    fs::remove(target);

    ASSERT_EQ(::mkfifo(link.c_str(), 0600), 0);
    std::string read;
    std::thread reader([&] { read = test::read_file(link); });
    const Outcome piped = run_program(command);
    EXPECT_EQ(piped.status, 0) << name << piped.err;
    if (piped.status != 0) std::ofstream(link) << "";  // or the reader would wait
    reader.join();
    EXPECT_TRUE(fs::is_fifo(link)) << name;
    EXPECT_THAT(read, HasSubstr(holds)) << name;
    fs::remove(link);

    fs::create_symlink("/dev/null", link);
    EXPECT_EQ(run_program(command).status, 0) << name;
    EXPECT_TRUE(fs::is_symlink(link)) << name;
    fs::remove(link);
  }
  ASSERT_EQ(run_program(convert_to(folder_ / "m")).status, 0);
  fs::rename(folder_ / "m/README.md", folder_ / "card.md");
  fs::create_symlink("../card.md", folder_ / "m/README.md");
  ASSERT_EQ(
      run_program({"compare", model_, folder_ / "m", "--texts", input, "--no-speed", "--update-card"}).status,
      0);
  EXPECT_TRUE(fs::is_symlink(folder_ / "m/README.md"));
  EXPECT_THAT(test::read_file(folder_ / "card.md"), HasSubstr("cosine"));
}

TEST_F(OutputFiles, TheFileSystemsErrorsArePathAndReason) {
  fs::copy(model_, folder_ / "m", fs::copy_options::recursive);
  fs::remove(folder_ / "m/tokenizer.json");
  fs::create_symlink("tokenizer.json", folder_ / "m/tokenizer.json");
  const std::string model = folder_ / "m", name(300, 'A');
  for (const auto& [command, says] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"embed", model, "hi"}, "m/tokenizer.json: Too many levels of symbolic links"},
           {{"convert", model, "-q", "--mlx-path", folder_ / "out"}, "Too many levels of symbolic links"},
           {{"tokenize", model, "hi"}, "Too many levels of symbolic links"},
           {{"embed", model_, "hi", "-o", model}, "m: is a folder; name a file"},
           {{"embed", model_, "--input", name}, name + ": File name too long"},
           {{"embed", name, "hi"}, name + ": File name too long"},
           {{"convert", model_, "-q", "--mlx-path", folder_ / name}, "File name too long"},
           {{"evaluate", model_, "--task", "similarity", "--data", name}, "File name too long"},
           {{"compare", model_, model_, "--texts", name}, "File name too long"}}) {
    const Outcome outcome = run_program(command);
    EXPECT_EQ(outcome.status, 5) << ::testing::PrintToString(command) << outcome.err;
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr(says), Not(HasSubstr("internal")), Not(HasSubstr("filesystem error"))));
  }
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(OutputFiles, NamesNeedNotBeText) {
  const std::string model = folder_ / "b\xff", npy = folder_ / "v\xff.npy", out = folder_ / "o\xfe";
  fs::copy(model_, model, fs::copy_options::recursive);
  test::write_file(fs::path(model) /
                       "LICENSE-fran\xe7"
                       "ais.txt",
                   "x");
  const auto run = [&](std::vector<std::string> command) {
    const Outcome outcome = run_program(command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(first_invalid_utf8(outcome.out), kValidUtf8) << ::testing::PrintToString(command);
    EXPECT_EQ(first_invalid_utf8(outcome.err), kValidUtf8) << ::testing::PrintToString(command);
    return outcome.out;
  };
  const auto json = [&](std::vector<std::string> command) {
    command.push_back("--json");
    return nlohmann::json::parse(run(std::move(command)));
  };
  const std::string input = texts("t.txt", "the cat", 3);
  EXPECT_THAT(json({"embed", model, "hi", "-o", npy})["output"], HasSubstr("v\xEF\xBF\xBD.npy"));
  run({"embed", model, "hi", "-o", npy});
  EXPECT_TRUE(fs::exists(npy));
  const std::vector<std::string> convert{"convert", model, "-q", "--q-group-size", "32", "--mlx-path", out};
  EXPECT_FALSE(json(convert)["skipped"]);
  EXPECT_TRUE(json(convert)["skipped"]);
  std::vector<std::string> again = convert;
  again.push_back("--force");
  run(again);
  for (const std::string& folder : {model, out}) {
    json({"inspect", folder});
    run({"inspect", folder});
  }
  json({"bench", model, "--shapes", "1x4", "--seconds", "0"});
  json({"compare", model, out, "--texts", input, "--seconds", "0.1"});
  run({"compare", model, out, "--texts", input, "--no-speed", "--report", folder_ / "r\xff.html",
       "--save-baseline", folder_ / "b\xff.json", "--update-card"});
  EXPECT_EQ(first_invalid_utf8(test::read_file(folder_ / "r\xff.html")), kValidUtf8);
  EXPECT_NO_THROW(read_json(folder_ / "b\xff.json"));
  EXPECT_EQ(run_program({"embed", folder_ / "absent\xff", "hi", "--json"}).status, 4);
}

}  // namespace
}  // namespace mlxe::output_files_test
