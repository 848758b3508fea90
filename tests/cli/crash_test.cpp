// Cases that once crashed the program or made it hang: they give an error message and an exit status.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "model_folders.h"
#include "run_program.h"
#include "sanitizers.h"

namespace mlxe::test::crash_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::string kModel = tiny("st_mean_norm").string();

void expect_one_sentence(const Outcome& o, int status, const std::string& said) {
  EXPECT_EQ(o.status, status) << o.err;
  EXPECT_THAT(o.err, AllOf(StartsWith("mlx-encoder: "), HasSubstr(said), EndsWith("\n")));
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
}

// Runs the program with an address space of `kib` KiB.
Outcome run_limited(int64_t kib, const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  std::string command = "(ulimit -v " + std::to_string(kib) + "; '" MLXE_PROGRAM "'";
  for (const std::string& a : arguments) command += " '" + a + "'";
  command += ") >'" + (folder / "out").string() + "' 2>'" + (folder / "err").string() + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / "out"),
          read_file(folder / "err")};
}

// Converts a model while the n-th call of a kind fails (tests/faults/faults.c), under more settings of that library.
Outcome convert_with_fault(const fs::path& folder, const std::string& kind_and_n, const std::string& more) {
  const std::string command =
      "(cd '" + folder.string() + "' && timeout 20 env TMPDIR=. " + more + " MLXE_FAULT=" + kind_and_n +
      " LD_PRELOAD='" MLXE_BUILD_DIR "/tests/libmlxe_faults.so' '" MLXE_PROGRAM "' convert '" + kModel +
      "' -q --q-group-size 32 --mlx-path model) >'" + (folder / "out").string() + "' 2>'" +
      (folder / "err").string() + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / "out"),
          read_file(folder / "err")};
}

// libstdc++ damages the heap in some of its catch blocks. The C library ends the program when it meets the damage.
TEST(Crash, AHeapDamagedByAFailedAllocationIsASentence) {
  if (!fs::exists(MLXE_BUILD_DIR "/tests/libmlxe_faults.so"))
    GTEST_SKIP() << "libmlxe_faults.so is not built";
  const TemporaryFolder folder;
  ASSERT_EQ(convert_with_fault(folder.path(), "none", "MLXE_FAULT_COUNTS=counts").status, 0);
  std::istringstream counts(read_file(folder / "counts"));
  std::string kind;
  int64_t allocations = 0;
  while (counts >> kind >> allocations && kind != "memory") continue;
  fs::remove(folder / "counts");
  int seen = 0;
  for (const int quarter : {1, 2, 3})
    for (int64_t n = allocations * quarter / 4, last = n + 20; n < last; ++n) {
      fs::remove_all(folder / "model");
      const std::string fault = "memory:" + std::to_string(n);
      // Others fail inside the C library, which says so otherwise.
      if (convert_with_fault(folder.path(), fault, "").err != "mlx-encoder: out of memory\n") continue;
      expect_one_sentence(convert_with_fault(folder.path(), fault, "MLXE_FAULT_ABORTS=1"), 5,
                          "out of memory");
      EXPECT_THAT(names_in(folder.path()), testing::UnorderedElementsAre("out", "err")) << fault;
      ++seen;
      break;
    }
  EXPECT_GT(seen, 0);
  // Twin: without a failed allocation, abort() is a crash. timeout passes the signal on.
  fs::remove_all(folder / "model");
  EXPECT_EQ(convert_with_fault(folder.path(), "open:10", "MLXE_FAULT_ABORTS=1").status, 128 + SIGABRT);
}

TEST(Crash, DeeplyNestedRowsAreRefused) {
  const TemporaryFolder folder;
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const std::string file = (folder / "d.jsonl").string(), objects = (folder / "o.jsonl").string();
  write_file(file, R"({"text": "a", "label": 0})"
                   "\n"
                   R"({"x": )" +
                       deep +
                       R"(, "text": "a"})"
                       "\n");
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += R"({"text":)";
  write_file(objects, nested + "1" + std::string(100'000, '}') + "\n");
  const std::string said = "line 2: nested deeper than 64 levels";
  expect_one_sentence(run_program({"embed", kModel, "--input", file}), 6, said);
  expect_one_sentence(run_program({"embed", kModel, "--input", objects}), 6,
                      "line 1: nested deeper than 64 levels");
  expect_one_sentence(
      run_program({"evaluate", tiny("distilbert_cls").string(), "--task", "classification", "--data", file}),
      6, said);
  expect_one_sentence(run_program({"compare", kModel, kModel, "--texts", file}), 6, said);
  const fs::path output = folder / "out";
  const Outcome o = run_program(
      {"convert", kModel, "-q", "--q-group-size", "32", "--calibrate", file, "--mlx-path", output.string()});
  EXPECT_EQ(o.status, 6) << o.err;
  EXPECT_THAT(o.err, HasSubstr(said));
  EXPECT_FALSE(fs::exists(output));
}

TEST(Crash, MoreThreadsThanAnyMachineRunsAreRefused) {
  expect_one_sentence(run_program({"embed", kModel, "hi", "--threads", "100000"}), 2,
                      "threads: found 100000");
}

TEST(Crash, FewerThreadsThanAskedForDoTheWorkAndAreTold) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need the address space";
  const Outcome o = run_limited(400'000, {"embed", kModel, "hi", "--threads", "200", "--engine", "cpu"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("of 200 could be started ("));
  EXPECT_THAT(o.out, Not(IsEmpty()));
  const Outcome strict =
      run_limited(400'000, {"embed", kModel, "hi", "--threads", "200", "--engine", "cpu", "--strict"});
  expect_one_sentence(strict, 9, "of 200 could be started (");
}

// Raises the limit until the program succeeds. Each limit ends the program at another place, but none with
// a signal.
TEST(Crash, OutOfMemoryIsASentence) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need the address space";
  constexpr int kNoRoomForLibraries = 127,
                kNoRoomForTheProgram = 128 + SIGSEGV;  // from the system, before main()
  int refused = 0;
  bool loaded = false;
  for (int64_t kib = 16'000;; kib += refused < 20 ? 50 : 250) {  // fine steps while constructors run out
    ASSERT_LT(kib, 400'000);
    const Outcome o = run_limited(kib, {"embed", kModel, "hi", "--engine", "cpu", "--threads", "1"});
    if (o.status == 0) break;
    if (o.status == kNoRoomForLibraries || (o.status == kNoRoomForTheProgram && !loaded)) continue;
    loaded = true;
    ++refused;
    EXPECT_EQ(o.status, 5) << kib << ": " << o.err;
    EXPECT_THAT(o.err, StartsWith("mlx-encoder: ")) << kib;
  }
  EXPECT_GT(refused, 0);
}

// The tokenizer (Rust) needs memory of a hundred times a word's size. A word of ASCII letters is shortened.
TEST(Crash, OutOfMemoryInTheTokenizerIsASentence) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need the address space";
  const TemporaryFolder folder;
  std::string word;
  while (word.size() < 10'000'000) word += "\u00e9";
  write_file(folder / "word.txt", word + "\n");
  const std::vector<std::string> arguments{"embed",     kModel, "--engine", "cpu",
                                           "--threads", "1",    "--input",  (folder / "word.txt").string()};
  expect_one_sentence(run_limited(500'000, arguments), 5, "out of memory");
  std::vector<std::string> json = arguments;
  json.push_back("--json");
  const Outcome o = run_limited(500'000, json);
  EXPECT_EQ(o.status, 5);
  EXPECT_EQ(nlohmann::json::parse(o.out),
            nlohmann::json::parse(R"({"error": {"code": "io", "message": "out of memory"}})"));
}

TEST(Crash, AGiantWordNeedsLittleMemory) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need the address space";
  const TemporaryFolder folder;
  write_file(folder / "word.txt", std::string(10'000'000, 'a') + "\n");
  const Outcome o = run_limited(400'000, {"embed", kModel, "--engine", "cpu", "--threads", "1", "--input",
                                          (folder / "word.txt").string(), "--json"});
  EXPECT_EQ(o.status, 0) << o.err;
}

TEST(Crash, AVeryLongLineNeedsLittleMemory) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need the address space";
  const TemporaryFolder folder;
  std::string line;
  while (line.size() < 11'000'000) line += "hello world ";
  write_file(folder / "line.txt", line + "\n");
  const Outcome o = run_limited(400'000, {"embed", kModel, "--engine", "cpu", "--threads", "1", "--input",
                                          (folder / "line.txt").string(), "--json"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("tokens, more than "));
}

TEST(Crash, ACharsmapThatClaimsGigabytesIsRefused) {
  const TemporaryFolder folder;
  fs::copy(kModel, folder / "m", fs::copy_options::recursive);
  nlohmann::json tokenizer = read_json(folder / "m" / "tokenizer.json");
  tokenizer["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}};
  write_file(folder / "m" / "tokenizer.json", tokenizer.dump());
  const std::vector<std::string> arguments{"embed", (folder / "m").string(), "hi"};
  expect_one_sentence(kSanitized ? run_program(arguments) : run_limited(6'000'000, arguments), 6,
                      "precompiled_charsmap claims a table of 4294967295 bytes and holds 0");
}

TEST(Crash, AFifoInAModelFolderIsNotWaitedFor) {
  for (const char* file :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "modules.json"}) {
    SCOPED_TRACE(file);
    const TemporaryFolder folder;
    const fs::path model = folder / "m";
    fs::copy(kModel, model, fs::copy_options::recursive);
    fs::remove(model / file);
    ASSERT_EQ(::mkfifo((model / file).c_str(), 0600), 0);
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"embed", model.string(), "hi"},
                                                      {"inspect", model.string()},
                                                      {"convert", model.string(), "-q", "--q-group-size",
                                                       "32", "--mlx-path", (folder / "out").string()}}) {
      std::string command = "timeout 20 '" MLXE_PROGRAM "'";
      for (const std::string& a : arguments) command += " '" + a + "'";
      const int status = std::system((command + " >/dev/null 2>&1").c_str());
      ASSERT_TRUE(WIFEXITED(status));
      EXPECT_NE(WEXITSTATUS(status), 124) << arguments[0] << " waits";
      EXPECT_NE(WEXITSTATUS(status), 1) << arguments[0];
    }
    const Outcome o = run_program({"embed", model.string(), "hi"});
    EXPECT_EQ(o.status, 5) << o.err;
    EXPECT_THAT(o.err, HasSubstr(std::string(file) + ": not a regular file"));
  }
}

// Every file that a model's folder may have, where it is read and where it is replaced.
TEST(Crash, AFifoUnderAnyNameIsNotWaitedFor) {
  for (const char* file :
       {"vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json",
        "model.safetensors.index.json", "1_Pooling/config.json", "2_Dense/config.json",
        "2_Dense/model.safetensors", "sentence_bert_config.json", "config_sentence_transformers.json",
        "mlx_encoder.json", "mlx_encoder_golden.json", "README.md", "mlx_encoder_recipe.json"}) {
    const TemporaryFolder folder;
    const fs::path model = folder / "m";
    fs::copy(tiny("st_dense"), model, fs::copy_options::recursive);
    fs::remove(model / file);
    ASSERT_EQ(::mkfifo((model / file).c_str(), 0600), 0);
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"embed", model, "hi"},
             {"inspect", model},
             {"verify", model},
             {"convert", model, "-q", "--q-group-size", "32", "--mlx-path", folder / "out"},
             {"convert", kModel, "-q", "--q-group-size", "32", "--mlx-path", model, "--force"}}) {
      std::string command = "timeout 20 '" MLXE_PROGRAM "'";
      for (const std::string& a : arguments) command += " '" + a + "'";
      const int status = std::system((command + " >/dev/null 2>&1").c_str());
      ASSERT_TRUE(WIFEXITED(status));
      EXPECT_NE(WEXITSTATUS(status), 124) << arguments[0] << " waits for " << file;
      EXPECT_NE(WEXITSTATUS(status), 1) << arguments[0] << " " << file;
    }
  }
}

#ifdef __linux__
// Whether the process has the file mapped and now waits for input.
bool waits_with(pid_t process, const std::string& mapped) {
  const std::string proc = "/proc/" + std::to_string(process);
  if (read_file(proc + "/maps").find(mapped) == std::string::npos) return false;
  const std::string stat = read_file(proc + "/stat");
  return stat[stat.rfind(')') + 2] == 'S';
}

// Truncates a model file while the program waits for texts.
Outcome run_and_truncate(const fs::path& model, const std::vector<std::string>& more) {
  const TemporaryFolder folder;
  const fs::path weights = model / "model.safetensors";
  int input[2];
  EXPECT_EQ(::pipe(input), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(input[0], STDIN_FILENO);
    ::close(input[1]);
    ::dup2(::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    ::dup2(::open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<std::string> arguments{MLXE_PROGRAM, "embed",    model.string(), "--input",
                                       "-",          "--engine", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }
  ::close(input[0]);
  for (int seen = 0, polls = 0; seen < 5 && polls < 2000; ++polls) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    seen = waits_with(child, weights.string()) ? seen + 1 : 0;
  }
  fs::resize_file(weights, 100);
  EXPECT_EQ(::write(input[1], "hello\n", 6), 6);
  ::close(input[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / "out"),
          read_file(folder / "err")};
}

TEST(Crash, AModelFileThatShrinksIsNamed) {
  if (kSanitized) GTEST_SKIP() << "sanitizers handle SIGBUS themselves";
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--json"}, {"--activations", "bf16"}}) {
    const TemporaryFolder folder;
    fs::copy(kModel, folder / "m", fs::copy_options::recursive);
    const Outcome o = run_and_truncate(folder / "m", more);
    EXPECT_EQ(o.status, 5) << o.err;
    EXPECT_THAT(o.err,
                AllOf(StartsWith("mlx-encoder: "),
                      HasSubstr("model.safetensors: became shorter or unreadable while it was in use")));
    if (!more.empty() && more[0] == "--json") {
      EXPECT_EQ(nlohmann::json::parse(o.out)["error"]["code"], "io");
    }
  }
}

// The source becomes shorter while its weights are quantized, or their bytes decoded.
TEST(Crash, AModelFileThatShrinksWhileItIsConvertedIsNamed) {
  if (kSanitized) GTEST_SKIP() << "sanitizers handle SIGBUS themselves";
  constexpr size_t kBytes = size_t{64} << 20;
  const TemporaryFolder folder, scratch;
  const fs::path model = with_large_table(tiny("st_mean_norm"), folder / "model", kBytes);
  const fs::path quantized = folder / "quantized";
  ASSERT_EQ(
      run_program({"convert", model.string(), "-q", "--q-group-size", "32", "--mlx-path", quantized.string()})
          .status,
      0);
  for (const fs::path& source : {model, quantized})
    for (const bool json : {false, true}) {
      std::vector<std::string> command{source == model ? "convert" : "dequantize", source.string(),
                                       "--mlx-path", (folder / "out").string()};
      if (source == model) command.insert(command.end(), {"-q", "--q-group-size", "32"});
      if (json) command.push_back("--json");
      const fs::path weights = source / "model.safetensors", kept = folder / "kept";
      fs::copy_file(weights, kept);
      const pid_t pid = start_program(command, scratch.path());
      const auto has_begun = [&] {
        const std::vector<std::string> names = names_in(folder.path());
        return std::any_of(names.begin(), names.end(),
                           [](const std::string& name) { return name.starts_with(".out.partial-"); });
      };
      for (int polls = 0; polls < 20'000 && !has_begun(); ++polls)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      fs::resize_file(weights, 100);
      const Outcome o = finish_program(pid, scratch.path());
      EXPECT_TRUE(o.status == 5 || o.status == 6) << o.status << o.err;
      const size_t sentence = o.err.find("mlx-encoder: ");  // after notes
      ASSERT_NE(sentence, std::string::npos) << o.err;
      EXPECT_THAT(o.err.substr(sentence), AllOf(HasSubstr("model.safetensors"), EndsWith("\n")));
      EXPECT_EQ(std::count(o.err.begin() + static_cast<ptrdiff_t>(sentence), o.err.end(), '\n'), 1) << o.err;
      if (json) {
        EXPECT_EQ(nlohmann::json::parse(o.out)["error"]["code"], o.status == 5 ? "io" : "format");
      }
      fs::rename(kept, weights);
      EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("model", "quantized"));
    }
}
#endif

}  // namespace
}  // namespace mlxe::test::crash_test
