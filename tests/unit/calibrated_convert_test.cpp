// Conversions of the tiny checkpoints with calibration texts.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <set>

#include "base/sha256.h"
#include "encoder/model_loader.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::calibrated_convert_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::names_in;
using test::TemporaryFolder;
using test::tiny;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

// Texts of random words. Every tiny vocabulary can spell them letter by letter.
Calibration texts(size_t count = 300, unsigned seed = 1) {
  std::mt19937 generator(seed);
  Calibration calibration{.built_in = BuiltInText::left_out};  // which takes longer than the tiny models do
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    for (size_t word = 0, words = 2 + generator() % 6; word < words; ++word) {
      for (size_t letter = 0, letters = 1 + generator() % 4; letter < letters; ++letter)
        text += static_cast<char>('a' + generator() % 26);
      text += ' ';
    }
    calibration.texts.push_back({.text = text, .pair = {}});
  }
  return calibration;
}

ConvertOptions options(const fs::path& model, const fs::path& output, int bits = 4) {
  return {.model = model,
          .output = output,
          .scheme = {.mode = Mode::affine, .bits = bits, .group_size = 32, .dtype = Dtype::f16},
          .calibration = texts()};
}

std::string weights_hash(const fs::path& folder) {
  return sha256_hex(folder / "model.safetensors");
}

// The token vectors for other texts of the same kind.
Matrix hidden_on_texts(const fs::path& folder) {
  LoadedModel loaded = load_model(folder, {});
  const Tokenizer tokenizer = Tokenizer::load(folder, {});
  const auto engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
  RunRequest request{.wanted = {Output::hidden}};
  for (const TextInput& text : texts(20, 2).texts) request.batch.append(tokenizer.encode(text.text).ids);
  RunResult result;
  engine->run(loaded.model, request, result);
  return result[Output::hidden];
}

double distance(const fs::path& a, const fs::path& b) {
  const Matrix x = hidden_on_texts(a), y = hidden_on_texts(b);
  double sum = 0;
  for (size_t i = 0; i < x.values.size(); ++i) {
    const double d = static_cast<double>(x.values[i]) - static_cast<double>(y.values[i]);
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(x.values.size()));
}

// The form of the files depends on the bits and on the model, hardly on both at once.
const std::set<std::string> kModelsOfAllBits{"bert", "albert_mlm", "modernbert_qa", "deberta_v2_conv"};

TEST(CalibratedConvert, IsAnOrdinaryMlxFolderOfThePlannedBytes) {
  for (const char* model : {"bert",
                            "bert_prefix",
                            "bert_old_names",
                            "bert_mlm",
                            "bert_mlm_untied",
                            "roberta_mlm",
                            "albert_mlm",
                            "electra_mlm",
                            "modernbert_mlm",
                            "bert_qa",
                            "modernbert_qa",
                            "roberta_choice",
                            "electra_choice",
                            "mobilebert_mlm",
                            "eurobert_mlm",
                            "nomic_bert_mlm",
                            "new_mlm",
                            "jina_v3_mlm",
                            "bert_sharded",
                            "bert_f16",
                            "distilbert",
                            "distilbert_cls",
                            "roberta_cls",
                            "xlm_roberta",
                            "electra",
                            "electra_cls",
                            "albert",
                            "albert_cls",
                            "mobilebert",
                            "mpnet",
                            "mpnet_cls",
                            "modernbert",
                            "modernbert_cls",
                            "modernbert_ner",
                            "qwen3",
                            "qwen3_lm",
                            "qwen3_cls",
                            "qwen3_rerank",
                            "st_qwen3",
                            "gemma3",
                            "gemma3_lm",
                            "st_gemma3",
                            "t5",
                            "t5_gated",
                            "st_t5",
                            "bart",
                            "bart_cls",
                            "bart_nli",
                            "mbart_cls",
                            "st_mean_norm",
                            "st_dense",
                            "eurobert_cls",
                            "nomic_bert",
                            "new",
                            "jina_bert",
                            "jina_bert_code",
                            "jina_v3_cls",
                            "jina_reranker",
                            "jina_bert_ner",
                            "st_jina",
                            "st_jina_v3",
                            "deberta_v2",
                            "deberta_v2_cls",
                            "deberta_v2_conv",
                            "deberta",
                            "splade",
                            "colbert",
                            "colbert_stanford"})
    for (const int bits : kModelsOfAllBits.contains(model) ? std::vector{2, 4, 8} : std::vector{4}) {
      SCOPED_TRACE(fmt::format("{}, {} bits", model, bits));
      const TemporaryFolder folder;
      ConvertOptions calibrated = options(tiny(model), folder / "calibrated", bits);
      calibrated.calibration = texts(60);
      ConvertOptions plain = calibrated;
      plain.calibration.reset();
      plain.output = folder / "plain";
      const Conversion done = convert(calibrated);
      convert(plain);
      EXPECT_EQ(done.bytes, done.plan.predicted_bytes);
      EXPECT_EQ(test::read_file(folder / "calibrated/config.json"),
                test::read_file(folder / "plain/config.json"));
      EXPECT_EQ(inspect_model(folder / "calibrated").diagnosis, Diagnosis::mlx);
      // Every tensor has the same name, dtype and shape, but other values.
      const test::RawTensors ours = test::read_tensors(folder / "calibrated/model.safetensors");
      const test::RawTensors theirs = test::read_tensors(folder / "plain/model.safetensors");
      ASSERT_EQ(ours.size(), theirs.size());
      for (const auto& [name, tensor] : ours) {
        EXPECT_EQ(tensor.dtype, theirs.at(name).dtype) << name;
        EXPECT_EQ(tensor.shape, theirs.at(name).shape) << name;
      }
      EXPECT_NE(weights_hash(folder / "calibrated"), weights_hash(folder / "plain"));
      size_t quantized = 0;
      for (const PlannedTensor& t : done.plan.tensors) quantized += t.scheme.mode == Mode::affine;
      EXPECT_EQ(done.calibration.size(), quantized);
      for (const TensorCalibration& t : done.calibration) {
        EXPECT_TRUE(ours.contains(t.name)) << t.name;
        EXPECT_LE(t.error, t.rtn_error) << t.name;
        EXPECT_TRUE(std::isfinite(t.error)) << t.name;
      }
    }
}

TEST(CalibratedConvert, ComesNearerToTheOriginalThanPlainRounding) {
  for (const char* model : {"bert", "distilbert", "roberta", "xlm_roberta", "deberta_v2", "bart", "mbart"}) {
    SCOPED_TRACE(model);
    const TemporaryFolder folder;
    double errors[3];
    size_t i = 0;
    for (const CalibrationMethod method :
         {CalibrationMethod::rtn, CalibrationMethod::mse, CalibrationMethod::automatic}) {
      ConvertOptions o = options(tiny(model), folder / name(method));
      o.calibration->method = method;
      convert(o);
      errors[i++] = distance(folder / name(method), tiny(model));
    }
    EXPECT_LT(errors[1], errors[0]);
    EXPECT_LT(errors[2], errors[1]);
  }
}

// Of four layers that share their weights, all count: the twin is calibrated on the first layer's inputs alone.
TEST(CalibratedConvert, FitsSharedWeightsToAllTheirUses) {
  const TemporaryFolder folder;
  const fs::path model = tiny("albert_ner"), all = folder / "all", first = folder / "first";
  convert(options(model, all));
  const fs::path one_layer = test::changed_copy(model, folder / "one_layer", [](test::RawTensors&) {});
  test::change_config(one_layer, [](nlohmann::json& c) { c["num_hidden_layers"] = 1; });
  convert(options(one_layer, folder / "of_first"));
  const test::RawTensors plain = test::read_tensors(all / "model.safetensors");
  test::changed_copy(folder / "of_first", first, [&](test::RawTensors& tensors) {
    for (auto& [name, tensor] : tensors)  // shared norms stay as they are
      if (name.find("albert_layers") != name.npos && name.find("orm.") != name.npos) tensor = plain.at(name);
  });
  test::change_config(first, [](nlohmann::json& c) { c["num_hidden_layers"] = 4; });
  const double share = distance(all, model) / distance(first, model);
  EXPECT_LT(share, 0.5);
  RecordProperty("share", fmt::format("{:.3f}", share));
}

// Converts in a process that is killed once `matrices` are done.
void convert_and_die(ConvertOptions o, size_t matrices) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    o.progress = [&](std::string_view, uint64_t done, uint64_t) {
      if (done == matrices) ::kill(::getpid(), SIGKILL);
    };
    convert(o);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
}

// The file of the only calibration to `output` that was killed.
fs::path first_step(const fs::path& output) {
  const fs::path all = output.parent_path() / ("." + output.filename().string() + ".calibration");
  EXPECT_EQ(names_in(all).size(), 1u);
  return all / names_in(all).at(0) / "0000.safetensors";
}

TEST(CalibratedConvert, GoesOnWhereAKilledOneStopped) {
  for (const char* model : {"bert", "distilbert_cls", "st_dense", "albert", "bart_cls"}) {
    SCOPED_TRACE(model);
    const TemporaryFolder folder;
    ConvertOptions o = options(tiny(model), folder / "whole");
    convert(o);
    o.output = folder / "again";
    convert_and_die(o, 9);
    ASSERT_TRUE(fs::exists(first_step(o.output)));
    std::vector<uint64_t> done;
    o.progress = [&](std::string_view stage, uint64_t n, uint64_t) {
      if (stage == "calibrating") done.push_back(n);
    };
    const Conversion resumed = convert(o);
    EXPECT_GE(done.at(0), 6u) << "steps of up to three matrices were finished";
    EXPECT_EQ(weights_hash(folder / "again"), weights_hash(folder / "whole"));
    EXPECT_EQ(resumed.calibration.size(), done.back());
    EXPECT_THAT(names_in(folder.path()), ::testing::UnorderedElementsAre("whole", "again"));
  }
}

// Overwrites the weights in place, with the same size.
void write_into(const fs::path& weights) {
  ::usleep(20'000);  // file times have the system's tick as unit
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x01');
}

// In the middle of the long phase: an error, nothing is written, and no step of it serves a later run.
TEST(CalibratedConvert, NoticesASourceThatChangesMeanwhile) {
  for (const char* stage : {"calibrating", "converting"}) {
    const TemporaryFolder folder;
    fs::copy(tiny("st_dense"), folder / "model", fs::copy_options::recursive);
    ConvertOptions o = options(folder / "model", folder / "out");
    bool done = false;
    o.progress = [&](std::string_view at, uint64_t n, uint64_t) {
      if (at == stage && n > 3 && !std::exchange(done, true)) write_into(folder / "model/model.safetensors");
    };
    EXPECT_THAT(error_text([&] { convert(o); }, ErrorCode::io),
                ::testing::AllOf(HasSubstr("changed while it was read"), HasSubstr("model.safetensors")));
    EXPECT_TRUE(done);
    EXPECT_THAT(names_in(folder.path()), ::testing::ElementsAre("model"));
    o.progress = {};
    convert(o);
    o.output = folder / "fresh";
    convert(o);
    EXPECT_EQ(weights_hash(folder / "out"), weights_hash(folder / "fresh"));
  }
}

// The steps of a killed calibration are those of the weights it read, wherever they are.
TEST(CalibratedConvert, GoesOnFromNoStepsOfOtherWeights) {
  for (const bool nested : {false, true}) {
    SCOPED_TRACE(nested);
    const TemporaryFolder folder;
    const fs::path model = folder / "model", inner = nested ? model / "0_Transformer" : model;
    fs::copy(tiny("st_dense"), model, fs::copy_options::recursive);
    if (nested) {
      fs::create_directory(inner);
      for (const auto& entry : fs::directory_iterator(tiny("st_dense"))) {
        const std::string name = entry.path().filename().string();
        if (entry.is_regular_file() && name != "modules.json" && name != "config_sentence_transformers.json")
          fs::rename(model / name, inner / name);
      }
      nlohmann::json modules = read_json(model / "modules.json");
      modules[0]["path"] = "0_Transformer";
      test::write_file(model / "modules.json", modules.dump());
    }
    ConvertOptions o = options(model, folder / "out");
    convert_and_die(o, 9);
    ASSERT_TRUE(fs::exists(first_step(o.output)));
    write_into(inner / "model.safetensors");
    std::optional<uint64_t> first;
    o.progress = [&](std::string_view stage, uint64_t n, uint64_t) {
      if (stage == "calibrating" && !first) first = n;
    };
    convert(o);
    EXPECT_EQ(first, 0u);
    o.output = folder / "fresh";
    convert(o);
    EXPECT_EQ(weights_hash(folder / "out"), weights_hash(folder / "fresh"));
  }
}

TEST(CalibratedConvert, GoesOnOnlyFromItsOwnStepsThatAreWhole) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert"), folder / "out");
  const auto first_done = [&](ConvertOptions next) {
    std::optional<uint64_t> done;
    next.progress = [&](std::string_view stage, uint64_t n, uint64_t) {
      if (stage == "calibrating" && !done) done = n;
    };
    convert(next);
    fs::remove_all(next.output);
    return done.value();
  };
  convert_and_die(o, 9);
  ConvertOptions other = o;
  other.calibration = texts(200);
  EXPECT_EQ(first_done(other), 0u) << "other texts";
  convert_and_die(o, 9);
  other = o;
  other.scheme.bits = 3;
  EXPECT_EQ(first_done(other), 0u) << "other bits";
  convert_and_die(o, 9);
  const fs::path first = first_step(o.output);
  std::string bytes = test::read_file(first);
  test::write_file(first, bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(first_done(o), 0u) << "a cut file";
  // The twin: a damaged step changes the result.
  convert(o);
  const std::string right = weights_hash(folder / "out");
  fs::remove_all(folder / "out");
  convert_and_die(o, 9);
  bytes = test::read_file(first);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  test::write_file(first, bytes);
  convert(o);
  EXPECT_NE(weights_hash(folder / "out"), right);
}

// Finished steps are hours of work: only the conversion they belong to removes them.
TEST(CalibratedConvert, OtherConversionsLeaveItsStepsAlone) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  convert_and_die(o, 9);
  const fs::path first = first_step(o.output);
  const std::string step = test::read_file(first);
  ConvertOptions plain = o, bits = o, fewer = o;
  plain.calibration.reset();
  bits.scheme.bits = 3;
  fewer.calibration = texts(200);
  for (const ConvertOptions& other : {plain, bits, fewer}) {
    const Conversion done = convert(other);
    EXPECT_EQ(test::read_file(first), step);
    EXPECT_THAT(done.plan.notes, ::testing::Contains(HasSubstr("finished steps of another calibration")));
    fs::remove_all(other.output);
  }
  const Conversion resumed = convert(o);
  EXPECT_THAT(resumed.plan.notes, ::testing::Not(::testing::Contains(HasSubstr("finished steps"))));
  EXPECT_THAT(names_in(folder.path()), ::testing::ElementsAre("out"));
}

TEST(CalibratedConvert, ByPlainRoundingIsThePlainConversion) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert"), folder / "rtn");
  o.calibration->method = CalibrationMethod::rtn;
  convert(o);
  o.calibration.reset();
  o.output = folder / "plain";
  convert(o);
  EXPECT_EQ(weights_hash(folder / "rtn"), weights_hash(folder / "plain"));
}

TEST(CalibratedConvert, FitsBiasesAndNormsUnlessRoundingIsAllThatIsAskedFor) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert"), folder / "plain");
  o.calibration.reset();
  convert(o);
  const auto plain = test::read_tensors(folder / "plain/model.safetensors");
  for (const auto& [method, biases, norms] : {std::tuple{CalibrationMethod::rtn, false, false},
                                              {CalibrationMethod::mse, true, false},
                                              {CalibrationMethod::gptq, true, true}}) {
    o.output = folder / name(method);
    o.calibration = texts();
    o.calibration->method = method;
    convert(o);
    const auto fitted = test::read_tensors(o.output / "model.safetensors");
    const auto differs = [&](const char* tensor) { return fitted.at(tensor).data != plain.at(tensor).data; };
    EXPECT_EQ(differs("encoder.layer.0.output.dense.bias"), biases) << name(method);
    for (const char* tensor :
         {"embeddings.LayerNorm.weight", "encoder.layer.0.attention.output.LayerNorm.bias",
          "encoder.layer.1.output.LayerNorm.weight"})
      EXPECT_EQ(differs(tensor), norms) << name(method) << ", " << tensor;
  }
}

TEST(CalibratedConvert, GivesTheSameBytesOnAnyNumberOfThreads) {
  const TemporaryFolder folder;
  std::string first;
  for (const int threads : {1, 2, 5}) {
    ConvertOptions o = options(tiny("bert"), folder / std::to_string(threads));
    o.threads = threads;
    convert(o);
    if (first.empty()) first = weights_hash(o.output);
    EXPECT_EQ(weights_hash(o.output), first) << threads;
  }
}

TEST(CalibratedConvert, IsRecognisedWithItsTextsAndMethodAlone) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  EXPECT_FALSE(convert(o).skipped);
  EXPECT_TRUE(convert(o).skipped);
  const auto is_another = [&](auto change) {
    ConvertOptions other = o;
    change(other);
    EXPECT_THAT(error_text([&] { convert(other); }, ErrorCode::usage), HasSubstr("another conversion"));
  };
  is_another([](ConvertOptions& x) { x.calibration.reset(); });
  is_another([](ConvertOptions& x) { x.calibration->texts[17].text += "a"; });
  is_another([](ConvertOptions& x) { x.calibration->method = CalibrationMethod::mse; });
  is_another([](ConvertOptions& x) { x.calibration->limit = 50; });
}

TEST(CalibratedConvert, TakesTheSameCodesIntoMlxEmbeddingsLayout) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert_prefix"), folder / "hf");
  convert(o);
  o.output = folder / "theirs";
  o.layout = Layout::mlx_embeddings;
  convert(o);
  const test::RawTensors hf = test::read_tensors(folder / "hf/model.safetensors");
  const test::RawTensors theirs = test::read_tensors(folder / "theirs/model.safetensors");
  for (const char* name :
       {"encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.scales",
        "encoder.layer.1.output.dense.bias", "embeddings.word_embeddings.biases"})
    EXPECT_EQ(theirs.at(name).data, hf.at(std::string("bert.") + name).data) << name;
}

TEST(CalibratedConvert, SaysWhatIsWrongWithTheTextsAndLeavesNothing) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert"), folder / "out");
  std::vector<std::string> heard;
  o.warning = [&](std::string_view sentence) { heard.emplace_back(sentence); };
  const auto said = [&](Calibration calibration) {
    heard.clear();
    o.calibration = std::move(calibration);
    o.if_done = IfDone::rewrite;
    convert(o);
    std::string all;
    for (const std::string& sentence : heard) all += sentence + "\n";
    fs::remove_all(o.output);
    return all;
  };
  EXPECT_THAT(said(texts(20)), HasSubstr("tokens in 20 texts, expected at least 256"));
  Calibration foreign = texts(20);
  for (TextInput& text : foreign.texts) text.text = "\u0416\u0436 \u0429\u0449";
  EXPECT_THAT(said(foreign), HasSubstr("(100 %) are unknown"));
  EXPECT_THAT(said(texts(20)), testing::Not(HasSubstr("unknown")));
  Calibration broken = texts(20);
  broken.texts[4].text = "\xff\xfe";
  o.calibration = broken;
  EXPECT_THAT(error_text([&] { convert(o); }, ErrorCode::format), HasSubstr("5"));
  for (Calibration empty : {Calibration{.built_in = BuiltInText::left_out},
                            Calibration{.texts = {{.text = "", .pair = {}}, {.text = "  ", .pair = {}}}}}) {
    o.calibration = empty;
    EXPECT_THAT(error_text([&] { convert(o); }, ErrorCode::usage), HasSubstr("hold no tokens"));
  }
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(CalibratedConvert, RefusesWhatHasNoScalesToChoose) {
  const TemporaryFolder folder;
  for (const Mode mode : {Mode::mxfp4, Mode::mxfp8, Mode::nvfp4, Mode::int8, Mode::fake, Mode::none}) {
    ConvertOptions o = options(tiny("bert"), folder / "out");
    o.scheme.mode = mode;
    o.scheme.bits = mode == Mode::none ? 0 : mode == Mode::mxfp4 || mode == Mode::nvfp4 ? 4 : 8;
    o.scheme.group_size = mode == Mode::nvfp4 ? 16 : mode == Mode::mxfp4 || mode == Mode::mxfp8 ? 32 : 0;
    EXPECT_THAT(error_text([&] { convert(o); }, ErrorCode::usage), HasSubstr("expected affine"))
        << name(mode);
  }
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(CalibratedConvert, NamesTheTensorOfANaNAndOfValuesThatOverflow) {
  const TemporaryFolder folder;
  // The outputs of the second matrix are added to another value; its drift is computed with its own weights.
  for (const std::string tensor :
       {"encoder.layer.1.attention.self.key.weight", "encoder.layer.1.output.dense.weight"}) {
    const auto damaged = [&](const std::string& copy, float value) {
      return test::changed_copy(tiny("bert"), folder / (copy + tensor), [&](test::RawTensors& tensors) {
        std::memcpy(tensors.at(tensor).data.data() + 5 * sizeof value, &value, sizeof value);
      });
    };
    EXPECT_THAT(
        error_text([&] { convert(options(damaged("nan", NAN), folder / "out")); }, ErrorCode::numeric),
        testing::AllOf(HasSubstr(tensor), HasSubstr("row 0, column 5")));
    EXPECT_THAT(
        error_text([&] { convert(options(damaged("large", 1e30f), folder / "out")); }, ErrorCode::numeric),
        HasSubstr(tensor));
  }
  // Finite weights with infinite outputs: the error names the first matrix that reads these outputs.
  const fs::path hot = test::changed_copy(tiny("bert"), folder / "hot", [](test::RawTensors& tensors) {
    for (const char* name :
         {"encoder.layer.0.output.LayerNorm.weight", "encoder.layer.0.output.LayerNorm.bias"}) {
      test::RawTensor& t = tensors.at(name);
      const float value = 3e38f;
      std::memcpy(t.data.data() + 5 * sizeof value, &value, sizeof value);
    }
  });
  EXPECT_THAT(error_text([&] { convert(options(hot, folder / "out")); }, ErrorCode::numeric),
              testing::AllOf(HasSubstr("encoder.layer.1.attention.self.query.weight"), HasSubstr("NaN")));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace mlxe::calibrated_convert_test
