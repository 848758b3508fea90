// `mlx-encoder matrix` as a user runs it.
#include "mlx_encoder/matrix.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/file_lock.h"
#include "model_folders.h"
#include "run_program.h"

extern char** environ;

namespace mlxe::test::matrix_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const char* const kPairs =
    "sentence1\tsentence2\tscore\n"
    "The cat sat.\tThe cat sat.\t5\nThe cat sat.\tA question\t1\n"
    "The road along the river\tTake the second road\t3\nHe repairs clocks.\tThe train was late.\t0.5\n";
const char* const kNli =
    "premise\thypothesis\tlabel\n"
    "The bread was still warm.\tSomebody had been to the market.\tneutral\n"
    "He repairs clocks.\tThe train was late.\tcontradiction\n"
    "The rain had closed the road.\tNobody came.\tentailment\n";

// Turns all gates off, for tests of other things: gates of random models mean nothing.
const char* const kNoGates =
    "gates = ['last_hidden_state.cosine=off', 'pooled_vector.cosine=off', 'pooled_vector.mse=off', "
    "'pooled_vector.max_abs=off', 'probabilities.cosine=off', 'probabilities.mse=off', "
    "'probabilities.max_abs=off']\n";

std::string model(const std::string& name, const fs::path& path, const std::string& more) {
  return "[[model]]\nname = '" + name + "'\npath = '" + path.string() + "'\n" + more + "\n";
}
std::string scheme(const std::string& name, int bits, const std::string& more = kNoGates) {
  return "[[scheme]]\nname = '" + name + "'\nbits = " + std::to_string(bits) + "\ngroup_size = 32\n" + more +
         "\n";
}

class MatrixCommand : public testing::Test {
 protected:
  void SetUp() override {
    put("pairs.tsv", kPairs);
    put("nli.tsv", kNli);
    put("texts.txt", "The cat sat on the warm piano.\nTake the second road along the river.\nA question\n");
  }
  void put(const std::string& name, const std::string& content) { write_file(folder_ / name, content); }
  std::string sentences(const std::string& more = "") {
    return model("sentences", tiny("st_mean_norm"), "task = 'similarity'\ndata = 'pairs.tsv'\n" + more);
  }
  std::string nli(const std::string& more = "") {
    return model("nli", tiny("distilbert_nli"), "task = 'nli'\ndata = 'nli.tsv'\n" + more);
  }

  Outcome run(const std::string& toml, std::vector<std::string> more = {}) {
    put("matrix.toml", toml);
    std::vector<std::string> arguments{"matrix", (folder_ / "matrix.toml").string(), "--engine", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  json result(const std::string& toml, int status = 0, std::vector<std::string> more = {}) {
    more.push_back("--json");
    const Outcome o = run(toml, more);
    EXPECT_EQ(o.status, status) << o.err;
    return json::parse(o.out, nullptr, false);
  }
  // "measured recorded ...": the states of the cells in order.
  static std::string states(const json& result) {
    std::string text;
    for (const json& c : result["cells"]) text += (text.empty() ? "" : " ") + c["state"].get<std::string>();
    return text;
  }
  void refused(const std::string& toml, int status, const std::vector<std::string>& words) {
    const Outcome o = run(toml);
    EXPECT_EQ(o.status, status) << o.err;
    for (const std::string& w : words) EXPECT_THAT(o.err, HasSubstr(w)) << toml;
    EXPECT_FALSE(fs::exists(out()));
  }
  fs::path out() const { return folder_ / "matrix"; }

  TemporaryFolder folder_;
};

TEST_F(MatrixCommand, EveryCellHoldsWhatTheSingleCommandsSay) {
  const json j = result(sentences() + nli() + scheme("8-bit", 8) + scheme("4-bit", 4));
  ASSERT_EQ(states(j), "measured measured measured measured");
  for (const json& c : j["cells"]) {
    const bool is_nli = c["model"] == "nli";
    const fs::path original = tiny(is_nli ? "distilbert_nli" : "st_mean_norm");
    const fs::path folder = out() / "models" / c["model"].get<std::string>() / c["scheme"].get<std::string>();
    const std::string data = (folder_ / (is_nli ? "nli.tsv" : "pairs.tsv")).string();
    const json evaluated =
        json::parse(run_program({"evaluate", folder.string(), "--original", original.string(), "--task",
                                 is_nli ? "nli" : "similarity", "--data", data, "--engine", "cpu", "--json"})
                        .out);
    const char* metric = is_nli ? "accuracy" : "spearman";
    EXPECT_EQ(c["task"]["metric"], metric);
    EXPECT_EQ(c["task"]["value"], evaluated["metrics"][metric]["value"]);
    EXPECT_EQ(c["task"]["original"], evaluated["metrics"][metric]["original"]);
    EXPECT_EQ(c["task"]["low"], evaluated["metrics"][metric]["low"]);
    EXPECT_EQ(c.contains("flips"), is_nli);
    if (is_nli) {
      EXPECT_EQ(c["flips"], evaluated["flips"]["rate"]);
    }

    const json inspected = json::parse(run_program({"inspect", folder.string(), "--json"}).out);
    EXPECT_EQ(c["bytes"], inspected["bytes"]);
    EXPECT_EQ(c["output"]["tensor"], is_nli ? "logits" : "pooled_vector");
    EXPECT_TRUE(c["passed"]);
  }
  // The same items with `compare`: an embedding model takes a pair as two texts.
  std::string texts;
  for (const char* t :
       {"The cat sat.", "The cat sat.", "The cat sat.", "A question", "The road along the river",
        "Take the second road", "He repairs clocks.", "The train was late."})
    texts += std::string(t) + "\n";
  put("same.txt", texts);
  const json compared = json::parse(
      run_program({"compare", tiny("st_mean_norm").string(), (out() / "models/sentences/4-bit").string(),
                   "--texts", (folder_ / "same.txt").string(), "--engine", "cpu", "--no-speed", "--json"})
          .out);
  EXPECT_EQ(j["cells"][1]["output"]["cosine"]["min"], compared["output"]["cosine"]["min"]);
  EXPECT_EQ(j["cells"][1]["output"]["texts"], 8);
  EXPECT_LT(j["cells"][1]["output"]["cosine"]["mean"], j["cells"][0]["output"]["cosine"]["mean"]);

  const json record = json::parse(read_file(out() / "cells/nli/4-bit.json"));
  EXPECT_EQ(record["cell"], j["cells"][3]);
  EXPECT_EQ(record["comparison"]["output"]["cosine"]["mean"], j["cells"][3]["output"]["cosine"]["mean"]);
  EXPECT_EQ(record["evaluation"]["flips"]["rate"], j["cells"][3]["flips"]);
  EXPECT_EQ(json::parse(read_file(out() / "matrix.json")), j);
  EXPECT_EQ(j["recommended"], json({{"sentences", "4-bit"}, {"nli", "4-bit"}})) << "smallest that passes";
}

TEST_F(MatrixCommand, TheTableNamesTheRecommendedAndTheChartHasALineAModel) {
  const Outcome o = run(sentences() + nli() + scheme("8-bit", 8) + scheme("4-bit", 4));
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.err, "") << "no progress bar where there is no terminal";
  EXPECT_THAT(o.out, AllOf(HasSubstr("passed, recommended"), HasSubstr("spearman"), HasSubstr("accuracy"),
                           HasSubstr("Recommended: sentences: 4-bit, "), HasSubstr("matrix.md")));
  const std::string page = read_file(out() / "matrix.md");
  EXPECT_THAT(
      page, AllOf(HasSubstr("| nli | 4-bit |"), HasSubstr("passed, recommended"), HasSubstr("## Recommended"),
                  HasSubstr("matrix.svg"), Not(HasSubstr("## What went wrong"))));
  const std::string chart = read_file(out() / "matrix.svg");
  EXPECT_THAT(chart, AllOf(testing::StartsWith("<svg "), HasSubstr("sentences"), HasSubstr("nli")));
  EXPECT_THAT(read_file(out() / "models/nli/4-bit/README.md"), HasSubstr("mlx-encoder 0.")) << "figures";
  EXPECT_TRUE(fs::exists(out() / "cells/nli/4-bit.html"));
}

TEST_F(MatrixCommand, WhatIsDoneIsNotDoneAgain) {
  const std::string toml = sentences() + nli() + scheme("8-bit", 8) + scheme("4-bit", 4);
  json first = result(toml);
  const fs::path record = out() / "cells/nli/4-bit.json",
                 weights = out() / "models/nli/4-bit/model.safetensors";
  const auto record_time = fs::last_write_time(record), weights_time = fs::last_write_time(weights);
  json second = result(toml);
  EXPECT_EQ(states(second), "recorded recorded recorded recorded");
  EXPECT_EQ(fs::last_write_time(record), record_time);
  EXPECT_EQ(fs::last_write_time(weights), weights_time);
  for (json* j : {&first, &second})
    for (json& c : (*j)["cells"]) c.erase("state");
  EXPECT_EQ(first, second);
}

TEST_F(MatrixCommand, AResultFolderCanBeMoved) {
  const std::string toml = sentences() + scheme("8-bit", 8);
  result(toml);
  fs::rename(out(), folder_ / "elsewhere");
  EXPECT_EQ(states(result(toml, 0, {"--out", (folder_ / "elsewhere").string()})), "recorded");
}

TEST_F(MatrixCommand, WhateverChangedMakesItsCellsAnew) {
  const fs::path copy = folder_ / "source";
  fs::copy(tiny("st_mean_norm"), copy, fs::copy_options::recursive);
  const auto list = [&](const std::string& of_model, const std::string& of_scheme) {
    return model("a", copy, "task = 'similarity'\ndata = 'pairs.tsv'\n" + of_model) + nli() +
           scheme("x", 8, kNoGates + of_scheme);
  };
  ASSERT_EQ(states(result(list("", ""))), "measured measured");
  ASSERT_EQ(states(result(list("", ""))), "recorded recorded");

  put("pairs.tsv", std::string(kPairs) + "A question\tThe cat sat.\t2\n");
  json j = result(list("", ""));
  EXPECT_EQ(states(j), "measured recorded") << "changed task data";
  EXPECT_EQ(j["cells"][0]["output"]["texts"], 10);

  EXPECT_EQ(states(result(list("texts = 'texts.txt'", ""))), "measured recorded") << "texts of its own";
  put("texts.txt", "Another text\n");
  EXPECT_EQ(states(result(list("texts = 'texts.txt'", ""))), "measured recorded") << "changed texts";
  EXPECT_EQ(states(result(list("", "keep = ['encoder.layer.0.*', 'transformer.layer.0.*']"), 2)),
            "failed failed")
      << "a pattern that matches nothing in one of the models is an error there";
  EXPECT_EQ(states(result(list("limit = 2", ""))), "measured recorded") << "a limit";

  const std::string same = list("limit = 2", "");
  ASSERT_EQ(states(result(same)), "recorded recorded");
  fs::remove_all(copy);
  changed_copy(tiny("st_mean_norm"), copy, [](RawTensors& tensors) {
    RawTensor& t = tensors.begin()->second;
    std::vector<float> values = floats(t);
    values[0] += 0.5f;
    t = float_tensor(t.shape, values);
  });
  EXPECT_EQ(states(result(same)), "measured recorded") << "changed weights";
  EXPECT_EQ(states(result(list("limit = 2", "dtype = 'float32'"))), "measured measured") << "another option";
  EXPECT_EQ(states(result(list("limit = 2\ngates = ['pooled_vector.mse=1']", "dtype = 'float32'"))),
            "measured recorded")
      << "a gate";
}

TEST_F(MatrixCommand, ADamagedRecordOrALostFolderIsMadeAnew) {
  const std::string toml = sentences() + scheme("8-bit", 8);
  result(toml);
  const fs::path record = out() / "cells/sentences/8-bit.json";
  const std::string good = read_file(record);
  for (const std::string& damaged : {std::string(), std::string("{}"), good.substr(0, good.size() / 2)}) {
    write_file(record, damaged);
    EXPECT_EQ(states(result(toml)), "measured") << damaged.size();
  }
  fs::remove_all(out() / "models/sentences/8-bit");
  EXPECT_EQ(states(result(toml)), "measured");
  EXPECT_TRUE(fs::exists(out() / "models/sentences/8-bit/config.json"));
}

TEST_F(MatrixCommand, ConvertedFoldersCanBeRemovedOnceMeasured) {
  const std::string toml = "keep_models = false\n" + sentences() + scheme("8-bit", 8);
  ASSERT_EQ(states(result(toml)), "measured");
  EXPECT_FALSE(fs::exists(out() / "models/sentences/8-bit"));
  EXPECT_EQ(states(result(toml)), "recorded") << "the record is enough";
  EXPECT_EQ(states(result(sentences() + scheme("8-bit", 8))), "measured") << "now to be kept";
  EXPECT_TRUE(fs::exists(out() / "models/sentences/8-bit/config.json"));
  EXPECT_EQ(states(result(sentences() + scheme("6-bit", 6), 0, {"--remove-models"})), "measured");
  EXPECT_FALSE(fs::exists(out() / "models/sentences/6-bit"));
}

// The conversion there is still the right one, so nothing is written before the folder is removed.
TEST_F(MatrixCommand, AFolderThatHoldsMoreThanTheModelIsNotRemoved) {
  const std::string again =
      sentences("gates = ['pooled_vector.mse=1']") + scheme("8-bit", 8);  // a gate more: measured anew
  const fs::path folder = out() / "models/sentences/8-bit";
  const auto removed = [&](std::vector<std::string> more) {
    fs::remove_all(out());
    EXPECT_EQ(states(result(sentences() + scheme("8-bit", 8))), "measured");
    more.insert(more.end(), {"--remove-models", "--json"});
    return [this, again, more] { return run(again, more); };
  };
  for (const char* file : {"thesis.txt", "drafts/model.safetensors"}) {
    const auto rerun = removed({});
    write_file(folder / file, "mine");
    const Outcome o = rerun();
    EXPECT_EQ(o.status, 0) << o.err;
    const json cell = json::parse(o.out)["cells"][0];
    EXPECT_EQ(cell["state"], "measured");
    EXPECT_THAT(cell["warnings"].dump(), AllOf(HasSubstr("no part of its model"), HasSubstr(file)));
    EXPECT_THAT(o.err, HasSubstr(file));
    EXPECT_EQ(read_file(folder / file), "mine");
    EXPECT_TRUE(fs::exists(folder / "model.safetensors"));
  }
  {
    const auto rerun = removed({"--strict"});
    write_file(folder / "thesis.txt", "mine");
    EXPECT_EQ(rerun().status, 9);
    EXPECT_EQ(read_file(folder / "thesis.txt"), "mine");
  }
  {
    const auto rerun = removed({});
    const FileLock other(folder, IfLocked::refuse, "is writing this folder");
    const Outcome o = rerun();
    EXPECT_EQ(o.status, 0) << o.err;
    EXPECT_THAT(o.err, HasSubstr("is writing this folder"));
    EXPECT_TRUE(fs::exists(folder / "model.safetensors"));
  }
  {  // of a link, the link alone
    const auto rerun = removed({});
    fs::rename(folder, folder_ / "elsewhere");
    fs::create_directory_symlink(folder_ / "elsewhere", folder);
    EXPECT_EQ(rerun().status, 0);
    EXPECT_FALSE(fs::is_symlink(folder));
    EXPECT_TRUE(fs::exists(folder_ / "elsewhere/model.safetensors"));
  }
  // The twin: with nothing else in it, the folder is removed.
  const Outcome o = removed({"--strict"})();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(names_in(out() / "models/sentences"), testing::IsEmpty());
}

TEST_F(MatrixCommand, TextsWithoutAColumnOfAKnownNameAreToldOfEachCell) {
  const char* const kSaid = "none of the columns that its first line names";
  const auto list = [&](const std::string& header) {
    put("t.tsv", header + "\n1\tThe cat sat on the warm piano.\n2\tTake the second road.\n");
    return model("a", tiny("st_mean_norm"), "texts = 't.tsv'") +
           model("b", tiny("st_mean_norm"), "texts = 'texts.txt'") + scheme("plain", 8) +
           scheme("more", 8, std::string(kNoGates) + "dtype = 'float32'") +
           scheme("calibrated", 4, std::string(kNoGates) + "calibrate = 't.tsv'\ncalibrate_only = true");
  };
  const json unnamed = result(list("stars\treview"));
  ASSERT_EQ(unnamed["cells"].size(), 6u);
  for (size_t i = 0; i < 6; ++i)
    EXPECT_EQ(unnamed["cells"][i]["warnings"].dump().find(kSaid) != std::string::npos, i < 3 || i == 5)
        << unnamed["cells"][i];
  EXPECT_EQ(result(list("stars\treview"), 9, {"--strict", "--out", (folder_ / "strict").string()})["status"],
            9);
  fs::remove_all(out());
  const json named = result(list("stars\ttext"));
  EXPECT_THAT(named.dump(), Not(HasSubstr(kSaid)));
}

TEST_F(MatrixCommand, ACellThatCantBeMadeIsSaidAndTheOthersGoOn) {
  const std::string missing = model("gone", folder_ / "gone", "texts = 'texts.txt'");
  const std::string toml = missing + sentences() + scheme("8-bit", 8);
  const Outcome o = run(toml);
  EXPECT_EQ(o.status, 4) << "not found";
  EXPECT_THAT(o.err, AllOf(HasSubstr("gone 8-bit: "), HasSubstr((folder_ / "gone").string())));
  EXPECT_THAT(o.out, AllOf(HasSubstr("error: not_found"), HasSubstr("passed, recommended")));
  EXPECT_THAT(read_file(out() / "matrix.md"), HasSubstr("## What went wrong"));

  // The missing folder now exists: only its cell is made.
  fs::copy(tiny("st_max"), folder_ / "gone", fs::copy_options::recursive);
  EXPECT_EQ(states(result(toml)), "measured recorded");

  // A malformed row: named by file and line.
  put("nli.tsv", std::string(kNli) + "one cell\n");
  const json j = result(nli() + sentences() + scheme("8-bit", 8), 6);
  EXPECT_EQ(states(j), "failed recorded");
  EXPECT_EQ(j["cells"][0]["error"]["code"], "format");
  EXPECT_THAT(j["cells"][0]["error"]["message"].get<std::string>(), HasSubstr("nli.tsv: line 5"));
}

TEST_F(MatrixCommand, StopEndsAtTheFirstCellThatCantBeMade) {
  const std::string toml =
      model("gone", folder_ / "gone", "texts = 'texts.txt'") + sentences() + scheme("8-bit", 8);
  const Outcome o = run(toml, {"--stop"});
  EXPECT_EQ(o.status, 4);
  EXPECT_FALSE(fs::exists(out() / "cells/sentences/8-bit.json"));
}

TEST_F(MatrixCommand, AFailedGateIsNamedAndMakesTheExitStatusThree) {
  const std::string strict_gate = "gates = ['pooled_vector.cosine=0.9999999', 'task.accuracy_drop=0.5']\n";
  const std::string toml = sentences() + nli(kNoGates) + scheme("2-bit", 2, strict_gate);
  const Outcome o = run(toml);
  EXPECT_EQ(o.status, 3) << o.out << o.err;
  EXPECT_THAT(o.err, HasSubstr("sentences 2-bit: gate pooled_vector.cosine failed"));
  EXPECT_THAT(o.out, HasSubstr("sentences: none of the schemes passes its gates"));
  const json j = result(toml, 3);
  EXPECT_EQ(states(j), "recorded recorded") << "a cell whose gate failed is done all the same";
  EXPECT_FALSE(j["cells"][0]["passed"]);
  EXPECT_EQ(j["recommended"]["sentences"], nullptr);
  const auto gates_of = [&](const json& cell) {
    std::string names;
    for (const json& g : cell["gates"])
      names += " " + g["tensor"].get<std::string>() + "." + g["metric"].get<std::string>();
    return names;
  };
  EXPECT_THAT(gates_of(j["cells"][0]), Not(HasSubstr("task."))) << "it has no accuracy";
  EXPECT_THAT(gates_of(j["cells"][1]), HasSubstr("task.accuracy_drop"));

  // A model's gates override a scheme's. The status of an error takes precedence over that of a failed gate.
  EXPECT_EQ(result(sentences(kNoGates) + nli(kNoGates) + scheme("2-bit", 2, strict_gate))["status"], 0);
  EXPECT_EQ(result(toml + model("gone", folder_ / "gone", "texts = 'texts.txt'"), 4)["status"], 4);
}

TEST_F(MatrixCommand, GatesOnTheTaskLookAtTheEvaluation) {
  const json j = result(nli(std::string(kNoGates)) + scheme("8-bit", 8, ""));
  const double drop =
      j["cells"][0]["task"]["original"].get<double>() - j["cells"][0]["task"]["value"].get<double>();
  const std::string off(kNoGates);
  const std::string with_gate = off.substr(0, off.size() - 2) +
                                ", 'task.accuracy_drop=" + std::to_string(drop - 0.001) +
                                "', 'labels.flips=-0.001']\n";
  const json failed = result(nli(with_gate) + scheme("8-bit", 8, ""), 3);
  int failures = 0;
  for (const json& g : failed["cells"][0]["gates"]) failures += !g["passed"].get<bool>();
  EXPECT_EQ(failures, 2);
}

TEST_F(MatrixCommand, TheOldNameOfAGateIsANoteAndTheNewOneHolds) {
  const std::string old = nli("gates = ['task.flips=-0.001']") + scheme("8-bit", 8);
  const Outcome o = run(old);
  EXPECT_EQ(o.status, 3) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("warning: "),
                           HasSubstr("matrix.toml:6: the gate task.flips is now called "
                                     "labels.flips"),
                           HasSubstr("nli 8-bit: gate labels.flips failed")));
  const Outcome strict = run(old, {"--strict"});
  EXPECT_EQ(strict.status, exit_status(ErrorCode::strict)) << strict.err;
  EXPECT_THAT(strict.err, HasSubstr("labels.flips"));

  const Outcome renamed = run(nli("gates = ['labels.flips=-0.001']") + scheme("8-bit", 8));
  EXPECT_EQ(renamed.status, 3) << renamed.err;
  EXPECT_THAT(renamed.err, Not(HasSubstr("is now called")));
  EXPECT_EQ(states(json::parse(read_file(out() / "matrix.json"))), "recorded")
      << "the same gate, the same cell";
}

TEST_F(MatrixCommand, EveryGateOfCompareAndEvaluateButThoseOfTimeAndMemory) {
  const std::string gates =
      "gates = ['size.bits_per_weight=1', 'layers.cosine_min=1.1', 'task.macro_f1=1.1', 'logits.mse=-1']\n";
  const json j = result(nli(kNoGates) + scheme("8-bit", 8, gates), 3);
  std::string failed;
  for (const json& g : j["cells"][0]["gates"])
    if (!g["passed"].get<bool>()) failed += " " + g["tensor"].get<std::string>();
  EXPECT_EQ(failed, " size layers task logits");

  const auto refused_gate = [&](const std::string& gate, const std::vector<std::string>& words) {
    fs::remove_all(out());
    refused(sentences() + scheme("x", 8, "gates = ['" + gate + "']"), 2, words);
  };
  refused_gate("latency_ms.p50=1", {"matrix.toml:11", "latency_ms.p50", "compare"});
  refused_gate("calibration.error=1", {"matrix.toml:11", "calibration.error", "convert"});
  refused_gate("task.fun_drop=1", {"matrix.toml:11", "task.fun_drop", "task has accuracy"});
}

TEST_F(MatrixCommand, CalibratesOnTheModelsOwnTextsOrAFile) {
  std::string many;
  for (int i = 0; i < 400; ++i) many += "The road along the river " + std::to_string(i) + " is closed.\n";
  put("own.txt", many);
  const std::string list =
      sentences("calibration = 'own.txt'") + scheme("plain", 4) +
      scheme("own", 4, std::string(kNoGates) + "calibrate = 'model'\nmethod = 'mse'") +
      scheme("file", 4, std::string(kNoGates) + "calibrate = 'texts.txt'\ncalibrate_only = true") +
      scheme("default", 4, std::string(kNoGates) + "calibrate = 'default'\nmethod = 'mse'");
  const json j = result(list);
  EXPECT_EQ(states(j), "measured measured measured measured");
  EXPECT_EQ(j["cells"][1]["bytes"], j["cells"][0]["bytes"]);
  EXPECT_NE(read_file(out() / "models/sentences/own/model.safetensors"),
            read_file(out() / "models/sentences/plain/model.safetensors"));
  EXPECT_THAT(j["cells"][2]["warnings"].dump(), HasSubstr("tokens")) << "few calibration tokens are said";
  put("own.txt", many + "One more.\n");
  EXPECT_EQ(states(result(list)), "recorded measured recorded recorded");
}

TEST_F(MatrixCommand, BitsAreChosenByPresetOrForATarget) {
  std::string own;
  for (int i = 0; i < 60; ++i) own += "The road along the river " + std::to_string(i) + " is closed.\n";
  put("own.txt", own);
  const std::string list = sentences("calibration = 'own.txt'") + scheme("8-bit", 8) + scheme("4-bit", 4) +
                           "[[scheme]]\nname = 'preset'\npreset = 'mixed_4_8'\ngroup_size = 32\n" + kNoGates;
  const json plain = result(list);
  ASSERT_EQ(states(plain), "measured measured measured");
  const auto bytes = [&](const json& j, size_t cell) { return j["cells"][cell]["bytes"].get<uint64_t>(); };
  EXPECT_LT(bytes(plain, 2), bytes(plain, 0));
  EXPECT_GT(bytes(plain, 2), bytes(plain, 1));

  const uint64_t limit = (bytes(plain, 0) + bytes(plain, 1)) / 2;
  const std::string with_target =
      list + "[[scheme]]\nname = 'target'\ntarget_size = " + std::to_string(limit) + "\n" + kNoGates;
  const json planned = result(with_target, 0, {"--dry-run"});
  EXPECT_EQ(states(planned), "recorded recorded recorded planned");
  EXPECT_FALSE(planned["cells"][3].contains("bytes")) << "not known before it is solved";
  const json solved = result(with_target);
  EXPECT_EQ(states(solved), "recorded recorded recorded measured");
  EXPECT_LE(bytes(solved, 3), limit);
  EXPECT_GT(bytes(solved, 3), bytes(plain, 1));
  EXPECT_TRUE(fs::exists(out() / "models/sentences/target/mlx_encoder_recipe.json"));
  EXPECT_EQ(states(result(with_target)), "recorded recorded recorded recorded");
  put("own.txt", own + "One more.\n");
  EXPECT_EQ(states(result(with_target)), "recorded recorded recorded measured")
      << "other texts, another target";

  const std::string recipe = (out() / "models/sentences/target/mlx_encoder_recipe.json").string();
  const json replayed =
      result(sentences() + "[[scheme]]\nname = 'again'\nrecipe = '" + recipe + "'\n" + kNoGates);
  EXPECT_EQ(states(replayed), "measured");
  EXPECT_EQ(read_file(out() / "models/sentences/again/model.safetensors"),
            read_file(out() / "models/sentences/target/model.safetensors"));
}

TEST_F(MatrixCommand, ADryRunMayReadWhatARunWouldReplace) {
  fs::create_directory(out());
  put("matrix/matrix.md", kPairs);
  const std::string toml = sentences("calibration = 'matrix/matrix.md'") + scheme("8-bit", 8);
  EXPECT_THAT(run(toml).err, HasSubstr("is the same file as"));
  EXPECT_EQ(states(result(toml, 0, {"--dry-run"})), "planned");
  EXPECT_EQ(read_file(out() / "matrix.md"), kPairs);
}

TEST_F(MatrixCommand, DryRunPredictsAndWritesNothing) {
  const std::string toml = sentences() + nli("skip = ['4-bit']") + scheme("8-bit", 8) + scheme("4-bit", 4);
  const json planned = result(toml, 0, {"--dry-run"});
  EXPECT_EQ(states(planned), "planned planned planned");
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_THAT(run(toml, {"--dry-run"}).out, AllOf(HasSubstr("to do"), Not(HasSubstr("cosine"))));
  const json made = result(toml);
  ASSERT_EQ(made["cells"].size(), 3u) << "one is skipped";
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(planned["cells"][i]["bytes"], made["cells"][i]["bytes"]);
  EXPECT_EQ(states(result(toml, 0, {"--dry-run"})), "recorded recorded recorded");
}

// A run that is killed at any moment leaves complete records of finished cells, and nothing else that the
// next run uses.
TEST_F(MatrixCommand, AKilledRunGoesOnWhereItStopped) {
  std::string toml = sentences() + nli();
  for (int i = 0; i < 20; ++i)
    toml += scheme("s" + std::to_string(i), 8, std::string(kNoGates) + (i % 2 ? "dtype = 'float32'" : ""));
  put("matrix.toml", toml);
  std::vector<std::string> arguments{MLXE_PROGRAM, "matrix", (folder_ / "matrix.toml").string(), "--engine",
                                     "cpu"};
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  ASSERT_EQ(posix_spawn(&child, MLXE_PROGRAM, &quiet, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&quiet);
  const fs::path third = out() / "cells/sentences/s2.json";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!fs::exists(third) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it had finished before it was killed";

  size_t records = 0;
  for (const auto& entry : fs::recursive_directory_iterator(out() / "cells")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".json") || name.starts_with(".")) continue;
    ++records;
    EXPECT_TRUE(json::parse(read_file(entry.path()))["cell"]["passed"].get<bool>()) << name;
  }
  ASSERT_GE(records, 3u);
  ASSERT_LT(records, 40u);
  const json j = result(toml);
  size_t recorded = 0;
  for (const json& c : j["cells"]) {
    ASSERT_TRUE(c["state"] == "recorded" || c["state"] == "measured");
    recorded += c["state"] == "recorded";
  }
  EXPECT_EQ(recorded, records);
  for (const auto& entry : fs::recursive_directory_iterator(out()))
    EXPECT_THAT(entry.path().filename().string(), Not(testing::StartsWith("."))) << "remains";
}

TEST_F(MatrixCommand, OneAtATimeWritesAFolder) {
  const std::string toml = sentences() + scheme("8-bit", 8);
  fs::create_directories(out());
  {
    const FileLock other(out() / "matrix.json", IfLocked::refuse, "is running a matrix into this folder");
    const Outcome o = run(toml);
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err, AllOf(HasSubstr("process " + std::to_string(::getpid())),
                             HasSubstr("is running a matrix into this folder; wait until it is done")));
    EXPECT_THAT(names_in(out()), testing::ElementsAre(".matrix.json.lock"));
  }
  EXPECT_EQ(states(result(toml)), "measured");
}

// Named in the list, where the arguments show nothing of it.
TEST_F(MatrixCommand, ATableIsNoInput) {
  put("matrix/matrix.md", "The cat sat.\n");
  const std::string toml =
      model("sentences", tiny("st_mean_norm"), "texts = 'matrix/matrix.md'\n") + scheme("8-bit", 8);
  const Outcome o = run(toml);
  EXPECT_EQ(o.status, 2) << o.err;
  EXPECT_THAT(o.err, HasSubstr("matrix.md: is the same file as texts "));
  EXPECT_EQ(read_file(out() / "matrix.md"), "The cat sat.\n");
}

// ---- the file

TEST_F(MatrixCommand, UnknownKeysAndWrongTypesAreNamedByLine) {
  refused("colour = 'red'\n" + sentences() + scheme("8-bit", 8), 6, {"matrix.toml:1", "colour"});
  refused(sentences() + "[[scheme]]\nname = 'x'\nbitz = 8\n", 6, {"matrix.toml:9", "bitz"});
  refused(sentences("dato = 'x'") + scheme("8-bit", 8), 6, {"matrix.toml:6", "dato"});
  refused(sentences() + "[[scheme]]\nname = 'x'\nbits = 'eight'\n", 6, {"matrix.toml:9", "bits"});
  refused(sentences() + "[[schemes]]\nname = 'x'\n", 6, {"matrix.toml:7", "schemes"});
  refused(sentences() + "[[scheme]]\nname = 'x'\nbits = \n", 6, {"matrix.toml:9"});
  refused("model = 3\n" + scheme("x", 8), 6, {"matrix.toml:1", "model"});
}

TEST_F(MatrixCommand, ValuesThatMakeNoSenseAreRefused) {
  const std::string good = scheme("8-bit", 8);
  refused(good, 2, {"no [[model]]"});
  refused(sentences(), 2, {"no [[scheme]]"});
  refused(sentences() + scheme("../x", 8), 2, {"../x", "letters"});
  refused(sentences() + good + good, 2, {"8-bit", "twice"});
  refused(sentences() + sentences() + good, 2, {"sentences", "twice"});
  refused(sentences("skip = ['9-bit']") + good, 2, {"9-bit", "no such scheme"});
  refused(model("a", tiny("bert"), "") + good, 2, {"a", "texts"});
  refused(model("a", tiny("bert"), "data = 'pairs.tsv'") + good, 2, {"task"});
  refused(model("a", tiny("bert"), "task = 'similarity'") + good, 2, {"data"});
  refused(model("a", tiny("bert"), "task = 'singing'\ndata = 'pairs.tsv'") + good, 2, {"singing"});
  refused(sentences() + scheme("x", 7), 2, {"7", "x"});
  refused(sentences() + scheme("x", 8, "calibrate = 'model'"), 2, {"sentences", "calibration"});
  refused(sentences() + scheme("x", 8, "method = 'mse'"), 2, {"method", "calibrate"});
  refused(sentences() + scheme("x", 8, "calibrate_only = true"), 2, {"calibrate_only"});
  refused(sentences() + scheme("x", 8, "calibrate = 'default'\ncalibrate_only = true"), 2,
          {"calibrate_only"});
  refused(sentences() + scheme("x", 8, "preset = 'mixed_4_8'"), 2, {"matrix.toml:9", "preset", "bits"});
  refused(sentences() + "[[scheme]]\nname = 'x'\npreset = 'mixed_4_8'\ntarget_size = '1MB'\n", 2, {"both"});
  refused(sentences() + "[[scheme]]\nname = 'x'\ntarget_size = 'small'\n", 2, {"matrix.toml:9", "small"});
  refused(sentences() + "[[scheme]]\nname = 'x'\ntarget_size = '1MB'\n", 2, {"sentences", "calibration"});
  refused(sentences() + scheme("x", 8, "gates = ['cosine']"), 2, {"cosine", "TENSOR.METRIC"});
  refused(sentences() + scheme("x", 8, "gates = ['poled_vector.cosine=1']"), 2, {"poled_vector"});
  refused("[[model]]\nname = 'a'\ntexts = 'texts.txt'\n" + good, 2, {"path"});
  refused("[[scheme]]\nbits = 8\n" + sentences(), 2, {"name"});
  EXPECT_EQ(run_program({"matrix", (folder_ / "none.toml").string()}).status, 4);
}

TEST_F(MatrixCommand, TheExampleOfTheRepositoryIsAMatrix) {
  const Sweep m = read_sweep(fs::path(MLXE_SOURCE_DIR) / "examples/matrix.toml");
  EXPECT_FALSE(m.models.empty());
  EXPECT_FALSE(m.schemes.empty());
  for (const SweepModel& one : m.models) EXPECT_TRUE(fs::exists(one.data.empty() ? one.texts : one.data));
}

// ---- results over several cells

TEST(SweepResult, TheSmallestThatPassesIsRecommendedOfEqualOnesTheNearer) {
  const auto cell = [](const char* scheme_name, uint64_t bytes, double cosine, bool passes) {
    SweepCell c{.model = "m", .scheme = scheme_name, .state = CellState::measured, .bytes = bytes};
    c.cosine_mean = cosine;
    c.gates = {{"t", "cosine", 0.9, cosine, passes}};
    return c;
  };
  SweepResult r{.cells = {cell("a", 30, 0.99, true), cell("b", 20, 0.95, true), cell("c", 20, 0.96, true),
                          cell("d", 10, 0.8, false)}};
  ASSERT_NE(r.recommended("m"), nullptr);
  EXPECT_EQ(r.recommended("m")->scheme, "c");
  EXPECT_EQ(r.recommended("n"), nullptr);
  EXPECT_EQ(r.status(), 3);
  r.cells.pop_back();
  EXPECT_EQ(r.status(), 0);
  r.cells[2].gates.push_back({"t", "mse", 1, std::numeric_limits<double>::quiet_NaN(), false});
  EXPECT_EQ(r.recommended("m")->scheme, "b");
  r.cells.push_back({.model = "m", .scheme = "e", .state = CellState::failed, .error = ErrorCode::format});
  EXPECT_EQ(r.status(), 6) << "an error outweighs a gate";
}

}  // namespace
}  // namespace mlxe::test::matrix_test
