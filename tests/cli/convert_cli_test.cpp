// The convert, dequantize and inspect commands as a user runs them: exit statuses, JSON, and the files that
// remain after a killed conversion or on a full disk.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <sstream>
#include <thread>

#include "mlx_encoder/convert.h"
#include "model_folders.h"

namespace mlxe::convert_cli_test {
namespace {

namespace fs = std::filesystem;
using test::names_in;
using test::TemporaryFolder;
using test::tiny;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Outcome {
  int status = -1;  // exit status; minus the signal if one ended it
  std::string out, err;
};

// Starts the program with its output in files of `scratch`; `prepare` runs in the child.
pid_t start(const fs::path& scratch, const std::vector<std::string>& arguments,
            const std::function<void()>& prepare = {}) {
  const std::string out = scratch / "out.txt", err = scratch / "err.txt";
  std::vector<char*> argv{const_cast<char*>(MLXE_PROGRAM)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::dup2(::open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDERR_FILENO);
  if (prepare) prepare();
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

Outcome finish(pid_t pid, const fs::path& scratch) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), test::read_file(scratch / "out.txt"),
          test::read_file(scratch / "err.txt")};
}

Outcome run(const std::vector<std::string>& arguments, const std::function<void()>& prepare = {}) {
  const TemporaryFolder scratch;
  return finish(start(scratch.path(), arguments, prepare), scratch.path());
}

// Creates a BERT of `mib` MiB, large enough to be interrupted while it is converted.
void make_large_model(const fs::path& folder, int64_t mib) {
  const int64_t rows = mib * (1 << 20) / (4 * 256);
  fs::copy(tiny("bert"), folder, fs::copy_options::recursive);
  test::change_config(folder, [&](nlohmann::json& c) {
    c["hidden_size"] = 256;
    c["intermediate_size"] = 256;
    c["num_hidden_layers"] = 1;
    c["vocab_size"] = rows;
  });
  test::RawTensors tensors;
  const auto add = [&](const std::string& name, const Shape& shape) {
    tensors[name] =
        test::float_tensor(shape, test::random_weights(static_cast<size_t>(element_count(shape)), 1));
  };
  const auto add_both = [&](const std::string& module, const Shape& shape) {
    add(module + ".weight", shape);
    add(module + ".bias", {shape[0]});
  };
  add("embeddings.word_embeddings.weight", {rows, 256});
  add("embeddings.position_embeddings.weight", {40, 256});
  add("embeddings.token_type_embeddings.weight", {2, 256});
  add_both("embeddings.LayerNorm", {256});
  const std::string layer = "encoder.layer.0.";
  for (const char* module : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense", "intermediate.dense", "output.dense"})
    add_both(layer + module, {256, 256});
  for (const char* module : {"attention.output.LayerNorm", "output.LayerNorm"})
    add_both(layer + module, {256});
  test::write_tensors(folder / "model.safetensors", tensors);
}

TEST(ConvertCommand, PrintsOneJsonObjectWithTheDocumentedKeys) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const Outcome done =
      run({"convert", "-q", "--q-group-size", "32", tiny("bert_prefix"), "--mlx-path", out, "--json"});
  ASSERT_EQ(done.status, 0) << done.err;
  const nlohmann::json json = nlohmann::json::parse(done.out);
  EXPECT_EQ(json["bytes"], json["predicted_bytes"]);
  EXPECT_EQ(json["bytes"], fs::file_size(folder / "out" / "model.safetensors"));
  EXPECT_EQ(json["folder_bytes"], test::bytes_in(out));
  EXPECT_GT(json["bits_per_weight"], 8);
  for (const nlohmann::json& tensor : json["tensors"]) {
    for (const char* key :
         {"name", "source", "shape", "role", "scheme", "mode", "bits", "group_size", "bytes", "reason"})
      EXPECT_TRUE(tensor.contains(key)) << key;
    if (tensor["name"] == "classifier.weight") {
      EXPECT_EQ(tensor["reason"], "final classifier");
    }
    if (tensor["name"] == "bert.pooler.dense.weight") {
      EXPECT_EQ(tensor["bits"], 8);
      EXPECT_EQ(tensor["group_size"], 32);
      EXPECT_EQ(tensor["reason"], "");
    }
  }
}

TEST(ConvertCommand, DryRunGivesTheExactSizeAndWritesNothing) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const std::vector<std::string> arguments{"convert", "-q", tiny("bert"), "--mlx-path", out, "--json"};
  auto dry = arguments;
  dry.push_back("--dry-run");
  const nlohmann::json plan = nlohmann::json::parse(run(dry).out);
  EXPECT_TRUE(plan["bytes"].is_null());
  EXPECT_TRUE(plan["dry_run"]);
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
  const nlohmann::json done = nlohmann::json::parse(run(arguments).out);
  EXPECT_EQ(done["bytes"], plan["predicted_bytes"]);
  EXPECT_EQ(done["tensors"], plan["tensors"]);
  dry.erase(std::find(dry.begin(), dry.end(), "--json"));
  EXPECT_THAT(run(dry).out, HasSubstr(fmt::format("{} bytes of weights", done["bytes"].get<uint64_t>())));
}

TEST(ConvertCommand, CalibratesOnAFileOfTexts) {
  const TemporaryFolder folder;
  std::string rows = "text\ttext_pair\n";
  for (int i = 0; i < 200; ++i)
    rows += fmt::format("{} {} abc\tfg {} {}\n", i, i * 7919 % 1000, static_cast<char>('a' + i % 26), i * i);
  const std::string texts = folder / "texts.tsv", broken = folder / "broken.tsv", out = folder / "out";
  test::write_file(texts, rows);
  test::write_file(broken, rows + "one cell\n");
  const std::vector<std::string> arguments{"convert", "-q",          "--q-bits", "4",          tiny("bert"),
                                           "--json",  "--calibrate", texts,      "--mlx-path", out};
  const Outcome done = run(arguments);
  ASSERT_EQ(done.status, 0) << done.err;
  const nlohmann::json json = nlohmann::json::parse(done.out);
  size_t quantized = 0;
  for (const nlohmann::json& tensor : json["tensors"]) quantized += tensor["mode"] == "affine";
  EXPECT_EQ(json["calibration"].size(), quantized);
  for (const nlohmann::json& entry : json["calibration"]) {
    EXPECT_LE(entry["error"], entry["rtn_error"]);
    EXPECT_TRUE(entry["method"] == "gptq" || entry["method"] == "mse") << entry["method"];
  }
  const Outcome again = run(arguments);
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(nlohmann::json::parse(again.out)["skipped"]);

  const auto refused = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"convert", tiny("bert"), "--mlx-path", folder / "other"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(all);
    EXPECT_NE(outcome.status, 0);
    EXPECT_FALSE(fs::exists(folder / "other"));
    return outcome.err;
  };
  EXPECT_THAT(refused({"-q", "--calibrate", broken}), HasSubstr("line 202"));
  EXPECT_THAT(refused({"-q", "--calibrate", folder / "none.tsv"}), HasSubstr("no such file"));
  EXPECT_THAT(refused({"--calibrate", texts}), HasSubstr("--calibrate needs -q"));
  EXPECT_THAT(refused({"-q", "--method", "gptq"}), HasSubstr("--method needs calibration; add --calibrate"));
  EXPECT_THAT(refused({"-q", "--calibrate", texts, "--method", "awq"}), HasSubstr("auto, rtn, mse or gptq"));
  EXPECT_THAT(refused({"-q", "--q-mode", "mxfp4", "--calibrate", texts}), HasSubstr("expected affine"));
}

TEST(ConvertCommand, CalibratesOnItsOwnTexts) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const std::vector<std::string> arguments{"convert",     "-q",      tiny("bert"), "--json",
                                           "--calibrate", "default", "--mlx-path", out};
  const Outcome done = run(arguments);
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_FALSE(nlohmann::json::parse(done.out)["calibration"].empty());
  // Gives the same as these texts from a file.
  std::string rows;
  for (const TextInput& text : default_calibration_texts()) {
    nlohmann::json row{{"text", text.text}};
    if (text.pair) row["text_pair"] = *text.pair;
    rows += row.dump() + "\n";
  }
  const std::string file = folder / "own.jsonl";
  test::write_file(file, rows);
  std::vector<std::string> again = arguments;
  again[5] = file;
  again.push_back("--calibrate-only");
  EXPECT_TRUE(nlohmann::json::parse(run(again).out)["skipped"]);
}

// The output and the files of a conversion into its own folder.
struct Converted {
  Outcome outcome;
  nlohmann::json json;
  std::string weights;
};

Converted converted(const std::string& model, std::vector<std::string> more) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  std::vector<std::string> all{"convert", model, "--mlx-path", out, "--json", "--q-group-size", "32"};
  all.insert(all.end(), more.begin(), more.end());
  Converted result{.outcome = run(all), .json = {}, .weights = {}};
  if (!result.outcome.out.empty()) result.json = nlohmann::json::parse(result.outcome.out);
  if (fs::exists(folder / "out" / "model.safetensors"))
    result.weights = test::read_file(folder / "out" / "model.safetensors");
  return result;
}

TEST(ConvertCommand, CalibratesByItselfBelowEightBits) {
  const Converted four = converted(tiny("bert"), {"-q", "--q-bits", "4"});
  ASSERT_EQ(four.outcome.status, 0) << four.outcome.err;
  EXPECT_FALSE(four.json["calibration"].empty());
  EXPECT_THAT(four.outcome.err,
              HasSubstr("note: calibrating on the built-in text, the default below 8 bits"));
  EXPECT_THAT(four.outcome.err, HasSubstr("note: calibrating took "));
  const Converted asked = converted(tiny("bert"), {"-q", "--q-bits", "4", "--calibrate", "default"});
  EXPECT_EQ(four.weights, asked.weights);
  EXPECT_THAT(asked.outcome.err, Not(HasSubstr("calibrating")));

  // Both options give MLX's bytes.
  const TemporaryFolder folder;
  mlxe::convert({.model = tiny("bert"),
                 .output = folder.path() / "plain",
                 .scheme = {.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16}});
  const std::string plain = test::read_file(folder.path() / "plain" / "model.safetensors");
  EXPECT_NE(four.weights, plain);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--calibrate", "none"},
                                              {"--method", "rtn"},
                                              {"--calibrate", "none", "--method", "rtn"}}) {
    std::vector<std::string> all{"-q", "--q-bits", "4"};
    all.insert(all.end(), how.begin(), how.end());
    const Converted done = converted(tiny("bert"), all);
    EXPECT_EQ(done.weights, plain) << how[0];
    EXPECT_FALSE(done.json.contains("calibration"));
    EXPECT_THAT(done.outcome.err, Not(HasSubstr("calibrating")));
  }
}

TEST(ConvertCommand, CalibratesByItselfWhereAnyMatrixIsBelowEightBits) {
  for (const std::vector<std::string>& narrow :
       {std::vector<std::string>{"-q", "--set", "encoder.layer.1.output.dense=4:32"},
        {"--quant-predicate", "mixed_4_8"},
        {"-q", "--q-bits", "6"}}) {
    const Converted done = converted(tiny("bert"), narrow);
    ASSERT_EQ(done.outcome.status, 0) << done.outcome.err;
    EXPECT_TRUE(done.json.contains("calibration")) << narrow[1];
  }
  for (const std::vector<std::string>& wide :
       {std::vector<std::string>{"-q"}, {"-q", "--set", "encoder.layer.1.output.dense=16"}, {}}) {
    std::vector<std::string> all = wide;
    const TemporaryFolder folder;
    all.insert(all.end(), {"--mlx-path", folder / "out", "--json"});
    all.insert(all.begin(), {"convert", tiny("bert")});
    const Outcome done = run(all);
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.err, Not(HasSubstr("calibrating")));
    EXPECT_FALSE(nlohmann::json::parse(done.out).contains("calibration"));
  }
  for (const char* mode : {"mxfp4", "int8", "fake"}) {
    const TemporaryFolder folder;
    const Outcome done = run({"convert", "-q", "--q-mode", mode, tiny("bert"), "--mlx-path", folder / "out"});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.err, Not(HasSubstr("calibrat"))) << mode;
  }
}

TEST(ConvertCommand, SaysThatItWouldCalibrate) {
  const Converted dry = converted(tiny("bert"), {"-q", "--q-bits", "4", "--dry-run"});
  EXPECT_EQ(dry.outcome.status, 0);
  EXPECT_THAT(dry.outcome.err, HasSubstr("the default below 8 bits"));
  EXPECT_THAT(dry.outcome.err, Not(HasSubstr("took")));
}

TEST(ConvertCommand, RoundsAModelWithoutTokenizerToNearestAndSaysSo) {
  const TemporaryFolder folder;
  const std::string model = folder / "model";
  fs::copy(tiny("bert"), model, fs::copy_options::recursive);
  for (const char* file : {"tokenizer.json", "vocab.txt"}) fs::remove(fs::path(model) / file);
  const Converted done = converted(model, {"-q", "--q-bits", "4"});
  ASSERT_EQ(done.outcome.status, 0) << done.outcome.err;
  EXPECT_THAT(done.outcome.err, HasSubstr("matrices are rounded to nearest"));
  EXPECT_EQ(done.weights, converted(model, {"-q", "--q-bits", "4", "--calibrate", "none"}).weights);
  const Converted strict = converted(model, {"-q", "--q-bits", "4", "--strict"});
  EXPECT_EQ(strict.outcome.status, 9);
  EXPECT_EQ(strict.weights, "");
  // A requested calibration that is impossible is an error.
  EXPECT_EQ(converted(model, {"-q", "--q-bits", "4", "--calibrate", "default"}).outcome.status, 4);
}

TEST(ConvertCommand, SaysWhichCalibrationOptionsDoNotGoTogether) {
  const TemporaryFolder folder;
  const std::string texts = folder / "texts.txt";
  test::write_file(texts, "A river.\n");
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--calibrate", "none", "--method", "gptq"},
        {"--calibrate", "none", "--calibrate-limit", "5"},
        {"--calibrate", "none", "--calibrate-only"},
        {"--calibrate", "default", "--calibrate-only"},
        {"--calibrate-only"},
        {"--q-bits", "8", "--calibrate-limit", "5"}}) {
    std::vector<std::string> all{"-q", "--q-bits", "4"};
    if (wrong[0] == "--q-bits") all = {"-q"};
    all.insert(all.end(), wrong.begin(), wrong.end());
    const Converted refused = converted(tiny("bert"), all);
    EXPECT_EQ(refused.outcome.status, 2) << wrong[0] << refused.outcome.err;
    EXPECT_THAT(refused.outcome.err, HasSubstr("--calibrate")) << wrong[0];
  }
}

TEST(ConvertCommand, SaysWhatIsWrongWithCalibrationTexts) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const auto calibrate = [&](const std::string& name, const std::string& content,
                             std::vector<std::string> more = {}) {
    const std::string file = folder / name;
    test::write_file(file, content);
    std::vector<std::string> all{"convert",          "-q",          tiny("bert"), "--q-group-size", "32",
                                 "--calibrate-only", "--calibrate", file,         "--mlx-path",     out};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(all);
    EXPECT_EQ(fs::exists(out), outcome.status == 0);
    fs::remove_all(out);
    EXPECT_THAT(names_in(folder.path()), testing::Contains(name));
    EXPECT_EQ(names_in(folder.path()).size(), 1u) << "something half written";
    fs::remove(file);
    return outcome;
  };
  const auto fails = [&](int status, const std::string& name, const std::string& content, const char* says,
                         std::vector<std::string> more = {}) {
    const Outcome outcome = calibrate(name, content, std::move(more));
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  };
  fails(2, "a.txt", "", "a.txt: holds no texts");
  fails(2, "a.txt", "\n\n", "hold no tokens");
  fails(2, "a.csv", "a,b\n", "the format \"csv\" is unknown");
  fails(6, "a.txt", "The cat\nThe c\xFFt\n", "a.txt: line 2: byte 6 is not UTF-8");
  fails(6, "a.tsv", "text\ttext\na\tb\n", "a.tsv: line 1: the header names a column twice");
  fails(6, "a.tsv", "text\tlabel\nThe cat\n", "a.tsv: line 2: 1 tab-separated cell, the header has 2");
  fails(6, "a.jsonl", "\"The cat\"\n{\"text\": 7}\n", "a.jsonl: line 2: \"text\" is not a string");
  fails(6, "a.jsonl", "\"The cat\"\n{\"label\": \"sea\"}\n",
        "a.jsonl: line 2: not a JSON string or an object");
  fails(6, "a.jsonl", "\"The cat\"\n{\"text\": \n", "a.jsonl: line 2: not valid JSON at column");

  // Warnings are errors under --strict. A file without problems gives neither.
  std::string good;
  for (const char* a : {"cat", "river", "rain", "bridge", "letter", "car", "coast", "second"})
    for (const char* b : {"small", "again", "left", "from", "committee", "question", "every", "warm"})
      good += fmt::format("The {} was {} and the {} was {}\n", a, b, b, a);
  const Outcome well = calibrate("good.txt", good, {"--strict"});
  EXPECT_EQ(well.status, 0) << well.err;
  const std::string few = "The cat was small\nThe river was warm\n";
  const Outcome warned = calibrate("few.txt", few);
  EXPECT_EQ(warned.status, 0);
  EXPECT_THAT(warned.err,
              HasSubstr("warning: calibration: found 8 tokens in 2 texts, expected at least 256"));
  EXPECT_THAT(nlohmann::json::parse(calibrate("few.txt", few, {"--json"}).out)["warnings"].dump(),
              HasSubstr("found 8 tokens in 2 texts"));
  fails(9, "few.txt", few, "found 8 tokens in 2 texts", {"--strict"});

  // A file without a known column name, with labels in its first column.
  size_t row = 0;
  std::string table = "stars\treview\n", named = "stars\ttext\n";
  std::istringstream lines(good);
  for (std::string line; std::getline(lines, line); ++row) {
    table += fmt::format("{}\t{}\n", row % 5, line);
    named += fmt::format("{}\t{}\n", row % 5, line);
  }
  const Outcome labels = calibrate("table.tsv", table);
  EXPECT_THAT(labels.err,
              HasSubstr("table.tsv: none of the columns that its first line names is called text, "
                        "sentence, query, premise, sentence1, text1; the first one, \"stars\", is taken"));
  EXPECT_THAT(labels.err, HasSubstr("64 of the 64 texts are numbers"));
  EXPECT_THAT(labels.err, HasSubstr("found only 5 different texts among 64"));
  fails(9, "table.tsv", table, "none of the columns", {"--strict"});
  EXPECT_EQ(calibrate("named.tsv", named, {"--strict"}).status, 0);
}

TEST(ConvertCommand, TakesMlxLmsNames) {
  const TemporaryFolder folder;
  const std::string eight = folder / "eight", cast = folder / "cast", back = folder / "back",
                    again = folder / "again";
  EXPECT_EQ(run({"convert", "--hf-path", tiny("bert"), "--mlx-path", eight, "-q"}).status, 0);
  EXPECT_EQ(read_json(folder / "eight" / "config.json")["quantization"]["bits"], 8);
  const Outcome only_cast =
      run({"convert", "--model", tiny("bert"), "--mlx-path", cast, "--dtype", "bfloat16"});
  EXPECT_EQ(only_cast.status, 0);
  EXPECT_THAT(only_cast.err, HasSubstr("only casting to bfloat16"));
  EXPECT_THAT(only_cast.err, HasSubstr("add -q"));
  EXPECT_EQ(run({"convert", eight, "--mlx-path", back, "-d"}).status, 0);
  EXPECT_EQ(run({"dequantize", eight, "--mlx-path", again}).status, 0);
  EXPECT_EQ(test::read_file(folder / "back" / "model.safetensors"),
            test::read_file(folder / "again" / "model.safetensors"));
  EXPECT_THAT(run({"convert", "--help"}).out, HasSubstr("mlx-lm's default is 4"));
}

TEST(ConvertCommand, EveryModeConverts) {
  const TemporaryFolder folder;
  for (const char* mode : {"affine", "mxfp4", "mxfp8", "nvfp4", "int8", "fake"}) {
    const Outcome done =
        run({"convert", "-q", "--q-mode", mode, tiny("bert_f16"), "--mlx-path", folder / mode});
    EXPECT_EQ(done.status, 0) << mode << done.err;
    EXPECT_THAT(done.err, ::testing::Not(HasSubstr("warning"))) << mode;
  }
}

TEST(ConvertCommand, MistakesGetTheirExitStatusAndOneSentence) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  struct Mistake {
    std::vector<std::string> arguments;
    int status;
    const char* says;
  };
  const std::string bert = tiny("bert");
  for (const Mistake& m : std::vector<Mistake>{
           {{"convert", "-q"}, 2, "give the folder"},
           {{"convert", "-q", bert, "--model", bert}, 2, "twice"},
           {{"convert", bert, "--q-bits", "4"}, 2, "--q-bits needs -q"},
           {{"convert", "-q", bert, "--q-bits", "7"}, 2, "bits 7"},
           {{"convert", "-q", bert, "--q-group-size", "16"}, 2, "group size 16"},
           {{"convert", "-q", bert, "--q-mode", "gguf"}, 2, "gguf"},
           {{"convert", "-q", bert, "--q-mode", "mxfp4", "--q-bits", "8"}, 2, "bits 8"},
           {{"convert", "-q", bert, "--dtype", "int8"}, 2, "can't be written"},
           {{"convert", "-q", bert, "--layout", "swift"}, 2, "swift"},
           {{"convert", "-q", bert, "--set", "x"}, 2, "PATTERN=bits"},
           {{"convert", "-q", bert, "--keep", "nothing"}, 2, "no tensor of the model matches"},
           {{"convert", "-q", bert, "--max-shard-size", "big"}, 2, "5GB"},
           {{"convert", "-q", "-d", bert}, 2, "-d"},
           {{"convert", "-q", folder / "absent"}, 4, "no such folder"},
           {{"convert", "-q", bert, "--strict"}, 9, "group size 64 does not divide 32 columns"},
           {{"inspect", folder / "absent"}, 4, "no such folder"},
       }) {
    std::vector<std::string> arguments = m.arguments;
    if (arguments[0] == "convert") arguments.insert(arguments.end(), {"--mlx-path", out});
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, m.status) << ::testing::PrintToString(arguments) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(m.says));
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(names_in(folder.path()), IsEmpty());
  }
  const Outcome json = run({"convert", "-q", tiny("bert"), "--mlx-path", out, "--strict", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["error"]["code"], "strict");
}

TEST(ConvertCommand, KilledHalfWayLeavesNothingVisibleAndTheNextRunCleansUp) {
  const TemporaryFolder folder, scratch;
  make_large_model(folder / "model", 64);
  const std::string out = folder / "out";
  const auto visible = [&] {
    std::vector<std::string> names;
    for (const std::string& name : names_in(folder.path()))
      if (!name.starts_with('.')) names.push_back(name);
    return names;
  };
  const auto partial = [&] { return names_in(folder.path()).size() > visible().size(); };
  const pid_t pid =
      start(scratch.path(), {"convert", "-q", folder / "model", "--mlx-path", out, "--threads", "1"});
  while (!partial() && ::waitpid(pid, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(pid, SIGKILL);
  const Outcome killed = finish(pid, scratch.path());
  ASSERT_EQ(killed.status, -SIGKILL) << "the conversion was over before it could be killed";
  EXPECT_THAT(visible(), ElementsAre("model"));
  EXPECT_TRUE(partial());
  EXPECT_EQ(run({"convert", "-q", folder / "model", "--mlx-path", out}).status, 0);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("model", "out"));
}

TEST(ConvertCommand, AFileThatCannotGrowIsAClearErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const Outcome outcome = run({"convert", "-q", tiny("bert"), "--mlx-path", out}, [] {
    ::signal(SIGXFSZ, SIG_IGN);  // so that write() fails as it does on a full disk
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("can't be written"));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

// Mounts a small volume in a user namespace, if the system allows that; root is not needed.
TEST(ConvertCommand, AFullDiskSaysWhatIsNeededAndLeavesNothing) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "disk");
  const auto in_small_disk = [&](const std::string& command) {
    return fmt::format(
        "mount -t tmpfs -o size=16k none {0}/disk && cd {0}/disk && {1}; status=$?; ls -A {0}/disk; exit "
        "$status",
        folder.path().string(), command);
  };
  const auto unshare = [](const std::string& script) {
    return std::system(
        fmt::format("unshare --user --map-root-user --mount sh -c '{}' > /dev/null 2>&1", script).c_str());
  };
  if (unshare(in_small_disk("true")) != 0) GTEST_SKIP() << "this machine lets a test mount nothing";
  const std::string script =
      in_small_disk(fmt::format("{} convert -q {} --mlx-path out", MLXE_PROGRAM, tiny("bert").string()));
  const std::string log = folder / "log.txt";
  const int status = std::system(
      fmt::format("unshare --user --map-root-user --mount sh -c '{}' > {} 2>&1", script, log).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 5);
  const std::string text = test::read_file(log);
  EXPECT_THAT(text, HasSubstr("bytes needed"));
  EXPECT_THAT(text, HasSubstr("free"));
  EXPECT_EQ(text.find("out\n"), std::string::npos) << text;
}

TEST(InspectCommand, PrintsTheDiagnosisAndOneJsonObject) {
  const TemporaryFolder folder;
  const std::string fake = folder / "fake";
  ASSERT_EQ(run({"convert", "-q", "--q-mode", "fake", tiny("bert"), "--mlx-path", fake}).status, 0);
  const Outcome text = run({"inspect", fake, "--tensors"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, HasSubstr("fake quantization"));
  EXPECT_THAT(text.out, HasSubstr("at a real 8 bits it would be"));
  EXPECT_THAT(text.out, HasSubstr("fake 8-bit in F32"));
  const nlohmann::json json = nlohmann::json::parse(run({"inspect", fake, "--json"}).out);
  EXPECT_EQ(json["diagnosis"], "fake");
  for (const char* key :
       {"folder", "model_type", "evidence", "bytes", "parameters", "bits_per_weight", "bytes_at_8_bits",
        "components", "readers", "unknown_keys", "changes", "warnings", "tensors"})
    EXPECT_TRUE(json.contains(key)) << key;
  std::vector<std::string> readers;
  for (const nlohmann::json& reader : json["readers"])
    readers.push_back(reader["reader"].get<std::string>() + " " + reader["version"].get<std::string>());
  EXPECT_THAT(readers, ElementsAre("mlx-encoder ", "mlx-embeddings 0.1.0", "mlx-embeddings main of May 2026",
                                   "MLXEmbedders (Swift) of August 2026", "mlx-lm 0.32.2", "mlx-lm layout "));
  EXPECT_EQ(json["mode_at_8_bits"], "affine");
}

TEST(InspectCommand, PrintsThePlanWithTheBitsOfEachMatrix) {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  ASSERT_EQ(run({"convert", "-q", "--q-group-size", "32", tiny("bert"), "--mlx-path", out}).status, 0);
  const Outcome text = run({"inspect", out, "--plan"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, testing::StartsWith("embeddings\n"));
  EXPECT_THAT(text.out, HasSubstr("attention.self.query"));
  EXPECT_THAT(text.out, HasSubstr("affine 8-bit"));
  const nlohmann::json json = nlohmann::json::parse(run({"inspect", out, "--plan", "--json"}).out);
  EXPECT_EQ(json["ops"][0]["op"], "lookup");
  const nlohmann::json& last = json["layers"].back();
  const auto made_by = [&](const nlohmann::json& value) {
    for (const nlohmann::json& op : json["ops"])
      if (op["outputs"] == nlohmann::json::array({value})) return op;
    return nlohmann::json();
  };
  EXPECT_THAT(made_by(last["output"])["modules"][0]["name"].get<std::string>(),
              testing::EndsWith("output.LayerNorm"));
  EXPECT_EQ(json["outputs"]["hidden"], last["output"]);
  // Heads come after the layers.
  EXPECT_THAT(text.out, HasSubstr("\npooler\n"));
  EXPECT_THAT(text.out, HasSubstr("pooler.dense [32, 32]"));
  EXPECT_EQ(made_by(json["outputs"]["pooler"])["op"], "activation");
  EXPECT_EQ(made_by(json["outputs"]["sentence"])["op"], "pool");
  EXPECT_THAT(run({"inspect", tiny("st_dense"), "--plan"}).out, HasSubstr("2_Dense/linear ["));
}

// The proposed conversion works and has the predicted size.
TEST(InspectCommand, ProposesInt8WhereNoGroupDividesTheRows) {
  const TemporaryFolder folder;
  const std::string model = tiny("bert_f64"), out = folder / "out";
  const nlohmann::json json = nlohmann::json::parse(run({"inspect", model, "--json"}).out);
  EXPECT_EQ(json["mode_at_8_bits"], "int8");
  EXPECT_THAT(run({"inspect", model}).out, HasSubstr("mlx-encoder convert -q --q-mode int8 " + model));

  const Outcome refused = run({"convert", "-q", model, "--mlx-path", out});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--q-mode int8"));
  EXPECT_EQ(run({"convert", "-q", model, "--mlx-path", out, "--dry-run"}).status, 2);
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
  EXPECT_EQ(run({"convert", "-q", "--q-mode", "int8", model, "--mlx-path", out}).status, 0);
  EXPECT_EQ(fs::file_size(out + "/model.safetensors"), json["bytes_at_8_bits"]);
}

}  // namespace
}  // namespace mlxe::convert_cli_test
