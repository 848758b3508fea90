// mlx-encoder verify: what it shows, the faults that it finds, and what it says of files that are no golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "format/provenance.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/verify.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::verify_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const fs::path kGoldens = fs::path(MLXE_TEST_DATA) / "verify";  // tools/make_verify_golden.py
constexpr const char* kGolden = "mlx_encoder_golden.json";
constexpr const char* kRecord = "mlx_encoder.json";

// The setting of that name; empty if it is not listed.
json setting(const json& report, const std::string& name) {
  for (const json& s : report["settings"])
    if (s["name"] == name) return s;
  return {};
}

json report_of(const std::vector<std::string>& arguments, int status) {
  std::vector<std::string> command{"verify", "--json"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Outcome o = run_program(command);
  EXPECT_EQ(o.status, status) << o.out << o.err;
  return json::parse(o.out, nullptr, false);
}

std::string failures_of(const json& report) {
  std::string all;
  for (const json& failure : report["failures"]) all += failure.get<std::string>() + "\n";
  return all;
}

void change_json(const fs::path& file, const std::function<void(json&)>& change) {
  json object = json::parse(read_file(file));
  change(object);
  write_file(file, object.dump(2));
}

// mlx_encoder.json as a conversion of the files that are there now would have written it.
void write_record_anew(const fs::path& folder) {
  change_json(folder / kRecord, [&](json& record) {
    for (auto& [file, print] : record["output"].items()) {
      if (!fs::exists(folder / file)) continue;
      print["bytes"] = fs::file_size(folder / file);
      print["sha256"] = sha256_hex(folder / file);
    }
  });
}

class Verify : public ::testing::Test {
 protected:
  std::string convert(const std::string& name, const std::vector<std::string>& more = {}) {
    const std::string folder = (temporary / ("q_" + name)).string();
    std::vector<std::string> command{"convert", tiny(name), "-q", "--mlx-path", folder};
    if (std::ranges::find(more, "int8") == more.end())
      command.insert(command.end(), {"--q-group-size", "32"});
    command.insert(command.end(), more.begin(), more.end());
    const Outcome o = run_program(command);
    EXPECT_EQ(o.status, 0) << o.err;
    return folder;
  }
  TemporaryFolder temporary;
};

// ---- against what the original libraries compute

TEST_F(Verify, AgreesWithGoldensOfTheOriginalLibraries) {
  for (const char* name : {"st_prompts", "st_dense", "distilbert_nli", "bert_ner"}) {
    SCOPED_TRACE(name);
    const std::string golden = (kGoldens / (std::string(name) + ".json")).string();
    const json report = report_of({tiny(name).string(), "--against", golden}, 0);
    EXPECT_EQ(report["verdict"], "passed");
    EXPECT_GE(report["texts"].size(), 5u);
    EXPECT_EQ(report["golden"], golden);
    EXPECT_EQ(report["difference_limit"], 1e-5);  // kParityTolerance (tests/models/golden.h)
    for (const json& text : report["texts"]) EXPECT_GT(text["cosine"].get<double>(), 0.999999);
    // An 8-bit conversion is outside of that tolerance: it limits something.
    report_of({convert(name), "--against", golden}, 3);
    // Without a tolerance the limit follows from the bits.
    const std::string loose = (temporary / "loose.json").string();
    json object = json::parse(read_file(golden));
    object.erase("tolerance");
    write_file(loose, object.dump());
    const json by_bits =
        report_of({(temporary / ("q_" + std::string(name))).string(), "--against", loose}, 0);
    EXPECT_EQ(by_bits["verdict"], "passed");
    EXPECT_NEAR(by_bits["mean_cosine_limit"].get<double>(), 0.995, 1e-9);
  }
}

TEST_F(Verify, FindsAModelThatIsAnother) {
  json object = json::parse(read_file(kGoldens / "st_prompts.json"));
  object.erase("tolerance");
  const std::string golden = (temporary / "golden.json").string();
  write_file(golden, object.dump());
  const json report = report_of({tiny("st_max").string(), "--against", golden}, 3);
  EXPECT_EQ(report["verdict"], "failed");
}

// ---- what a conversion stores

TEST_F(Verify, AnUntouchedConversionPasses) {
  for (const char* name : {"st_prompts", "st_dense", "distilbert_nli", "bert_ner", "st_qwen3", "xlm_roberta",
                           "bert_multilabel", "bert_regression"}) {
    SCOPED_TRACE(name);
    const json report = report_of({convert(name)}, 0);
    EXPECT_EQ(report["verdict"], "passed");
    EXPECT_EQ(report["failures"].size(), 0u);
    EXPECT_TRUE(report["recorded"]);
    EXPECT_GE(report["texts"].size(), 5u);
    for (const json& text : report["texts"]) {
      EXPECT_LT(text["difference"].get<double>(), 1e-5) << "the same engine on the same files";
      EXPECT_NEAR(text["cosine_to_original"].get<double>(), text["recorded_cosine"].get<double>(), 1e-5);
    }
  }
}

TEST_F(Verify, OfOtherSchemesAndLayoutsPassesToo) {
  const std::vector<std::vector<std::string>> all{{"--q-bits", "4", "--calibrate", "none"},
                                                  {"--q-mode", "mxfp4"},
                                                  {"--q-mode", "int8"},
                                                  {"--layout", "mlx-embeddings"},
                                                  {"--q-bits", "4"}};
  for (const std::vector<std::string>& options : all) {
    SCOPED_TRACE(options[1]);
    std::vector<std::string> more{"--force"};
    more.insert(more.end(), options.begin(), options.end());
    for (const char* name : {"st_mean_norm", "distilbert_nli"}) {
      const json report = report_of({convert(name, more)}, 0);
      EXPECT_EQ(report["verdict"], "passed");
    }
  }
}

// Every family and head of tests/data/tiny.
TEST_F(Verify, AnUntouchedConversionOfEveryFamilyPasses) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MLXE_TEST_DATA) / "tiny")) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const fs::path out = temporary / entry.path().filename().string();
    const ConversionPlan plan =
        mlxe::convert(
            {.model = entry.path(), .output = out, .scheme = {.mode = Mode::int8, .bits = 8}, .threads = 1})
            .plan;
    EXPECT_EQ(bytes_in(out), plan.folder_bytes);
    ASSERT_TRUE(fs::exists(out / kGolden));
    const VerifyReport report = mlxe::verify(out, {.engine = EngineKind::cpu, .threads = 1});
    EXPECT_EQ(report.verdict, Verdict::passed) << testing::PrintToString(report.failures);
    EXPECT_EQ(report.difference_limit, 1e-4);
    for (const CheckedText& text : report.texts) EXPECT_LT(text.difference, 1e-5);
    ++seen;
  }
  EXPECT_GE(seen, 70);
}

TEST_F(Verify, OtherEnginesAndKernelsPassToo) {
  for (const char* name : {"st_mean_norm", "distilbert_nli", "bert_ner"}) {
    SCOPED_TRACE(name);
    const std::string folder = convert(name);
    ::setenv("MLXE_CPU", "scalar", 1);
    const json scalar = report_of({folder, "--engine", "cpu"}, 0);
    ::unsetenv("MLXE_CPU");
    EXPECT_THAT(scalar["engine_variant"].get<std::string>(), HasSubstr("scalar"));
    if (const json doctor = json::parse(run_program({"doctor", "--json"}).out);
        !doctor["mlx"]["available"].get<bool>())
      continue;
    EXPECT_EQ(report_of({folder, "--engine", "mlx"}, 0)["engine"], "mlx");
  }
}

TEST_F(Verify, TheGoldenIsTheSameWithAnyNumberOfThreads) {
  const std::string one = convert("st_prompts", {"--threads", "1"});
  const std::string golden = read_file(fs::path(one) / kGolden), record = read_file(fs::path(one) / kRecord);
  const std::string four = convert("st_prompts", {"--threads", "4", "--force"});
  EXPECT_EQ(read_file(fs::path(four) / kGolden), golden);
  EXPECT_EQ(read_file(fs::path(four) / kRecord), record);
  const json object = json::parse(golden);
  EXPECT_EQ(object["output"], "sentence");
  EXPECT_THAT(object["made_by"].get<std::string>(), AllOf(HasSubstr("cpu engine"), HasSubstr("float32")));
  EXPECT_EQ(object["texts"].size(), 7u) << "five texts, two prompts";
}

TEST_F(Verify, AModelWithoutTokenizerGetsNoGolden) {
  const fs::path source = temporary / "source";
  fs::copy(tiny("bert"), source, fs::copy_options::recursive);
  for (const char* file : {"tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"})
    fs::remove(source / file);
  const std::string out = (temporary / "out").string();
  const Outcome o = run_program({"convert", source, "-q", "--q-group-size", "32", "--mlx-path", out});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("no golden for `mlx-encoder verify`"));
  EXPECT_FALSE(fs::exists(fs::path(out) / kGolden));
  const Outcome checked = run_program({"verify", out, "--json"});
  EXPECT_EQ(checked.status, 0) << "its files are as recorded";
  EXPECT_THAT(checked.err, AllOf(HasSubstr("tokenizer"), HasSubstr("has no mlx_encoder_golden.json")));
  const json report = json::parse(checked.out);
  EXPECT_EQ(report["verdict"], "passed");
  EXPECT_EQ(setting(report, "pooling")["value"], "mean");
  change_config(out, [](json& config) { config["layer_norm_eps"] = 1e-5; });
  EXPECT_THAT(failures_of(report_of({out}, 3)), HasSubstr("config.json"));
}

// ---- faults

struct Fault {
  const char* name;
  const char* folder;
  std::function<void(const fs::path&)> damage;
  const char* said;            // by the files
  const char* said_by_golden;  // where mlx_encoder.json was written anew
};

void set_pooling(const fs::path& folder, const char* from, const char* to) {
  change_json(folder / "1_Pooling/config.json", [&](json& pooling) {
    pooling[from] = false;
    pooling[to] = true;
  });
}

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all{
      {"another pooling", "st_mean_norm",
       [](const fs::path& f) { set_pooling(f, "pooling_mode_mean_tokens", "pooling_mode_cls_token"); },
       "1_Pooling/config.json", "pooling is cls (from 1_Pooling/config.json), it was mean"},
      {"another tokenizer", "st_mean_norm",
       [](const fs::path& f) {
         change_json(f / "tokenizer.json", [](json& tokenizer) {  // two words change places
           auto& words = tokenizer["model"]["vocab"];
           std::swap(words["the"], words["is"]);
         });
       },
       "tokenizer.json", "texts differ"},
      {"a byte of the weights", "st_mean_norm",
       [](const fs::path& f) {
         std::string bytes = read_file(f / "model.safetensors");
         bytes[bytes.size() - 5000] ^= static_cast<char>(0x80);
         write_file(f / "model.safetensors", bytes);
       },
       "model.safetensors", "texts differ"},
      {"no Dense module", "st_dense",
       [](const fs::path& f) {
         fs::remove_all(f / "2_Dense");
         change_json(f / "modules.json", [](json& modules) {
           for (size_t i = 0; i < modules.size(); ++i)
             if (modules[i]["path"] == "2_Dense") modules.erase(i);
         });
       },
       "2_Dense/config.json", "has no setting \"dense 1\""},
      {"another prompt", "st_prompts",
       [](const fs::path& f) {
         change_json(f / "config_sentence_transformers.json",
                     [](json& config) { config["prompts"]["query"] = "take the train: "; });
       },
       "config_sentence_transformers.json", "prompt \"query\" is \"take the train: \""},
      {"a prompt less", "st_prompts",
       [](const fs::path& f) {
         change_json(f / "config_sentence_transformers.json",
                     [](json& config) { config["prompts"].erase("query"); });
       },
       "config_sentence_transformers.json", "has no setting \"prompt \"query\"\""},
      {"a shorter limit", "st_mean_norm",
       [](const fs::path& f) {
         change_json(f / "sentence_bert_config.json", [](json& config) { config["max_seq_length"] = 7; });
       },
       "sentence_bert_config.json", "maximum length is 7 tokens (from sentence_bert_config.json)"},
      {"another similarity", "st_mean_norm",
       [](const fs::path& f) {
         change_json(f / "config_sentence_transformers.json",
                     [](json& config) { config["similarity_fn_name"] = "dot"; });
       },
       "config_sentence_transformers.json", "similarity is dot"},
      {"vectors cut", "st_mean_norm",
       [](const fs::path& f) {
         change_json(f / "config_sentence_transformers.json",
                     [](json& config) { config["truncate_dim"] = 16; });
       },
       "config_sentence_transformers.json", "dimension is the first 16 of"},
      {"labels in another order", "distilbert_nli",
       [](const fs::path& f) {
         change_json(f / "config.json", [](json& config) {
           auto& labels = config["id2label"];
           std::swap(labels["0"], labels["1"]);
         });
       },
       "config.json", "labels is"},
  };
  return all;
}

TEST_F(Verify, NamesTheFileOfEachFault) {
  std::map<std::string, std::string> folders;
  for (const Fault& fault : faults()) {
    SCOPED_TRACE(fault.name);
    if (!folders.contains(fault.folder)) folders[fault.folder] = convert(fault.folder);
    const fs::path copy = temporary / "copy";
    fs::remove_all(copy);
    fs::copy(folders[fault.folder], copy, fs::copy_options::recursive);
    fault.damage(copy);
    const Outcome o = run_program({"verify", copy});
    EXPECT_EQ(o.status, 3) << o.out;
    EXPECT_THAT(o.out, AllOf(HasSubstr(": failed"), HasSubstr(fault.said)));
    EXPECT_THAT(o.err, HasSubstr(fault.said));
  }
}

// What was changed on purpose, with its record.
TEST_F(Verify, FindsEachFaultAlsoWhereTheRecordWasWrittenAnewOrIsGone) {
  std::map<std::string, std::string> folders;
  for (const Fault& fault : faults()) {
    if (!folders.contains(fault.folder)) folders[fault.folder] = convert(fault.folder);
    for (const bool gone : {false, true}) {
      SCOPED_TRACE(std::string(fault.name) + (gone ? ", no record" : ", a new record"));
      const fs::path copy = temporary / "copy";
      fs::remove_all(copy);
      fs::copy(folders[fault.folder], copy, fs::copy_options::recursive);
      fault.damage(copy);
      if (gone)
        fs::remove(copy / kRecord);
      else
        write_record_anew(copy);
      const json report = report_of({copy}, 3);
      EXPECT_THAT(failures_of(report), HasSubstr(fault.said_by_golden));
      EXPECT_THAT(failures_of(report),
                  HasSubstr(gone ? "is missing, but mlx_encoder_golden.json is of a conversion"
                                 : "it was written anew after the conversion"));
      EXPECT_EQ(report["recorded"], !gone);
    }
  }
}

// The golden is of what `embed` prints, not of what the pipeline gives.
TEST_F(Verify, AModelsOwnDimensionCounts) {
  const fs::path model = temporary / "short";
  fs::copy(tiny("st_mean_norm"), model, fs::copy_options::recursive);
  change_json(model / "config_sentence_transformers.json", [](json& config) { config["truncate_dim"] = 16; });
  const std::string folder = (temporary / "q_short").string();
  ASSERT_EQ(run_program({"convert", model, "-q", "--q-group-size", "32", "--mlx-path", folder}).status, 0);
  const json report = report_of({folder}, 0);
  EXPECT_EQ(report["verdict"], "passed");
  EXPECT_THAT(setting(report, "dimension")["value"].get<std::string>(), HasSubstr("the first 16 of"));
  const json golden = json::parse(read_file(fs::path(folder) / kGolden));
  const Outcome embedded =
      run_program({"embed", folder, "--json", "--activations", "f32", "--engine", "cpu", "The sky is blue."});
  const json vector = json::parse(embedded.out)["embedding"], values = golden["texts"][0]["values"];
  ASSERT_EQ(values.size(), vector.size());
  for (size_t i = 0; i < values.size(); ++i)  // six digits are stored
    EXPECT_NEAR(values[i].get<double>(), vector[i].get<double>(), 1e-5) << i;
}

TEST_F(Verify, SaysWhatItCannotCheck) {
  const std::string folder = convert("st_mean_norm");
  fs::remove(fs::path(folder) / kRecord);
  fs::remove(fs::path(folder) / kGolden);
  const json report = report_of({folder}, 0);
  EXPECT_EQ(report["verdict"], "unproved");
  EXPECT_EQ(report["golden"], nullptr);

  const Outcome original = run_program({"verify", tiny("st_mean_norm")});
  EXPECT_EQ(original.status, 0);
  EXPECT_THAT(original.out, AllOf(HasSubstr("nothing to compare with"), HasSubstr("no mlx_encoder.json"),
                                  HasSubstr("no golden"), HasSubstr("1_Pooling/config.json")));
}

TEST_F(Verify, ADamagedGoldenIsAFailureOfTheFolder) {
  const std::string folder = convert("st_mean_norm");
  const std::string golden = read_file(fs::path(folder) / kGolden);
  write_file(fs::path(folder) / kGolden, golden.substr(0, golden.size() / 2));
  EXPECT_THAT(failures_of(report_of({folder}, 3)), HasSubstr(kGolden));
  fs::remove(fs::path(folder) / kGolden);
  EXPECT_THAT(failures_of(report_of({folder}, 3)), HasSubstr("is missing, but mlx_encoder.json records it"));
}

TEST_F(Verify, AFolderThatDoesNotLoadHasFailed) {
  const std::string folder = convert("st_dense");
  fs::remove_all(fs::path(folder) / "2_Dense");  // modules.json still names it
  EXPECT_THAT(failures_of(report_of({folder}, 3)),
              AllOf(HasSubstr("2_Dense/model.safetensors"), HasSubstr("the folder does not load: ")));
}

TEST_F(Verify, AFileThatWasAddedIsNamed) {
  const std::string folder = convert("bert");
  write_file(fs::path(folder) / "modules.json",
             R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                 {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  fs::create_directory(fs::path(folder) / "1_Pooling");
  write_file(fs::path(folder) / "1_Pooling/config.json", read_file(tiny("st_cls") / "1_Pooling/config.json"));
  const std::string said = failures_of(report_of({folder}, 3));
  EXPECT_THAT(said, AllOf(HasSubstr("/modules.json: is read, but mlx_encoder.json does not record it"),
                          HasSubstr("pooling is cls"), HasSubstr("texts differ")));
}

// ---- settings

TEST_F(Verify, NamesTheFileOfEachSetting) {
  const json st = report_of({tiny("st_dense").string()}, 0);
  EXPECT_EQ(setting(st, "pooling"),
            (json{{"name", "pooling"}, {"value", "mean"}, {"from", "1_Pooling/config.json"}}));
  EXPECT_EQ(setting(st, "dense 1")["from"], "2_Dense/config.json");
  EXPECT_EQ(setting(st, "similarity")["from"], "config_sentence_transformers.json");
  EXPECT_EQ(setting(st, "maximum length")["from"], "tokenizer_config.json") << "the other says null";
  EXPECT_EQ(setting(report_of({tiny("st_mean_norm").string()}, 0), "maximum length")["from"],
            "sentence_bert_config.json");
  const json plain = report_of({tiny("bert").string()}, 0);
  EXPECT_THAT(setting(plain, "pooling")["from"].get<std::string>(), HasSubstr("assumed"));
  const json nli = report_of({tiny("distilbert_nli").string()}, 0);
  EXPECT_EQ(setting(nli, "score function")["value"], "softmax");
  EXPECT_EQ(setting(nli, "labels")["from"], "config.json: id2label");
  EXPECT_EQ(setting(nli, "pooling"), json());
}

TEST_F(Verify, ShowsWhatBecameOfEachKey) {
  const fs::path copy = temporary / "copy";
  fs::copy(tiny("bert"), copy, fs::copy_options::recursive);
  change_config(copy, [](json& config) { config["frobnication"] = 3; });
  const Outcome o = run_program({"verify", copy, "--json"});
  EXPECT_THAT(o.err, HasSubstr("\"frobnication\" is not known and was ignored"));
  const json keys = json::parse(o.out)["config_keys"];
  EXPECT_EQ(keys["ignored"], json::array({"frobnication"}));
  EXPECT_THAT(keys["used"], testing::Contains("num_attention_heads"));
  EXPECT_THAT(keys["harmless"], testing::Contains("transformers_version"));
  size_t listed = 0;
  for (const char* list : {"used", "harmless", "ignored"}) listed += keys[list].size();
  EXPECT_EQ(listed, json::parse(read_file(copy / "config.json")).size()) << "each key is in one list";
}

// ---- golden files

TEST_F(Verify, AGoldenOfAnyFolderCanBeSaved) {
  const std::string golden = (temporary / "golden.json").string();
  const json saved = report_of({tiny("st_prompts").string(), "--save-golden", golden}, 0);
  EXPECT_EQ(saved["verdict"], "unproved");
  const json same = report_of({tiny("st_prompts").string(), "--against", golden}, 0);
  EXPECT_EQ(same["verdict"], "passed");
  EXPECT_EQ(same["texts"].size(), 7u);
  EXPECT_EQ(report_of({convert("st_prompts"), "--against", golden}, 0)["verdict"], "passed");
  EXPECT_EQ(report_of({tiny("st_cls").string(), "--against", golden}, 3)["verdict"], "failed");
  EXPECT_EQ(run_program({"verify", tiny("st_cls"), "--against", golden, "--save-golden", golden}).status, 2)
      << "an output is no input";
}

// The cosine of one number says nothing, and a sigmoid hides the difference of large scores.
TEST_F(Verify, ARegressionIsJudgedByItsDifference) {
  const std::string golden = (temporary / "golden.json").string();
  report_of({tiny("bert_regression").string(), "--save-golden", golden}, 0);
  EXPECT_EQ(report_of({convert("bert_regression"), "--against", golden}, 0)["verdict"], "passed");
  change_json(golden, [](json& g) {
    double largest = 0;
    for (const json& text : g["texts"])
      largest = std::max(largest, std::abs(text["values"][0].get<double>()));
    json& value = g["texts"][1]["values"][0];
    value = value.get<double>() + (value.get<double>() > 0 ? 0.3 : -0.3) * largest;
  });
  EXPECT_THAT(failures_of(report_of({tiny("bert_regression").string(), "--against", golden}, 3)),
              HasSubstr("a score differs by"));
}

TEST_F(Verify, StrictReportsAChangedSizeAsAnyFault) {
  const std::string folder = convert("st_mean_norm");
  write_file(fs::path(folder) / "1_Pooling/config.json",
             read_file(fs::path(folder) / "1_Pooling/config.json") + " ");
  EXPECT_THAT(failures_of(report_of({folder, "--strict"}, 3)), HasSubstr("1_Pooling/config.json"));
}

TEST_F(Verify, SaysInOneSentenceWhatIsWrongWithAGolden) {
  const json good = json::parse(read_file(kGoldens / "st_prompts.json"));
  const auto with = [&](const std::function<void(json&)>& change) {
    json object = good;
    change(object);
    return object.dump();
  };
  struct Case {
    std::string text;
    int status;
    const char* said;
  };
  const std::vector<Case> cases{
      {"{", 6, "golden.json"},
      {"[]", 6, "expected an object"},
      {"{}", 6, "\"version\" is missing"},
      {with([](json& g) { g.erase("output"); }), 6, "\"output\" is missing"},
      {with([](json& g) { g.erase("texts"); }), 6, "\"texts\" is missing"},
      {with([](json& g) { g["version"] = 2; }), 7, "\"version\" is 2, expected 1"},
      {with([](json& g) { g["output"] = "pixels"; }), 6,
       "expected one of sentence, logits, token_scores, span_logits, choice_logits"},
      {with([](json& g) { g["texts"] = json::array(); }), 6, "\"texts\" is []"},
      {with([](json& g) { g["texts"][1].erase("text"); }), 6, "text 2: \"text\" is missing"},
      {with([](json& g) { g["texts"][1].erase("values"); }), 6, "text 2: \"values\" is missing"},
      {with([](json& g) { g["texts"][1]["values"][3] = "x"; }), 6, "text 2: value 3 of \"values\" is \"x\""},
      {with([](json& g) { g["texts"][1]["values"][3] = 1e300; }), 6, "expected a finite number"},
      {with([](json& g) { g["texts"][1]["values"].erase(0); }), 6, "text 2: \"values\" has 31 numbers"},
      {with([](json& g) { g["tolerance"]["cosine"] = 2; }), 6, "expected -1 to 1"},
      {with([](json& g) { g["tolerance"]["difference"] = "small"; }), 6, "expected a number"},
  };
  const std::string file = (temporary / "golden.json").string();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.said);
    write_file(file, c.text);
    const Outcome o = run_program({"verify", tiny("st_prompts"), "--against", file});
    EXPECT_EQ(o.status, c.status) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_THAT(o.err, AllOf(HasSubstr(c.said), HasSubstr(file)));
    EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  }
  write_file(file, with([](json& g) { g["colour"] = "red"; }));
  EXPECT_THAT(run_program({"verify", tiny("st_prompts"), "--against", file}).err,
              HasSubstr("\"colour\" is not known and was ignored"));
  // Well formed, but of another model.
  const json narrow =
      report_of({tiny("distilbert_nli").string(), "--against", kGoldens / "st_prompts.json"}, 3);
  EXPECT_EQ(narrow["verdict"], "failed");
  EXPECT_EQ(report_of({tiny("bert").string(), "--against", kGoldens / "bert_ner.json"}, 3)["verdict"],
            "failed");
  EXPECT_EQ(run_program({"verify", tiny("st_prompts"), "--against", temporary / "none.json"}).status, 4);
  EXPECT_EQ(run_program({"verify", temporary / "none"}).status, 4);
}

}  // namespace
}  // namespace mlxe::test::verify_test
