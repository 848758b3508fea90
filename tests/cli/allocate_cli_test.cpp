// `sensitivity`, and `convert` to targets, by presets and from recipes, as a user runs them.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::allocate_cli_test {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Allocate : public testing::Test {
 protected:
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 200; ++i)
      rows += fmt::format("{} {} abc fg {} {}\n", i, i * 7919 % 1000, static_cast<char>('a' + i % 26), i * i);
    write_file(folder_ / "texts.txt", rows);
    write_file(folder_ / "few.txt", "one\ntwo\n");
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome convert(std::vector<std::string> more, const std::string& out = "out") const {
    std::vector<std::string> arguments{"convert", tiny("bert").string(), "--mlx-path", path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  // Expects a usage error with these words, and that nothing was written.
  void refused(std::vector<std::string> more, const std::string& words) const {
    const Outcome o = convert(std::move(more), "refused");
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr(words));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "refused"));
  }

  TemporaryFolder folder_;
};

TEST_F(Allocate, SensitivityPrintsATableJsonAndAPlot) {
  const std::vector<std::string> arguments{
      "sensitivity", tiny("bert").string(), "--texts", path("texts.txt"), "--bits",
      "2,4",         "--q-group-size",      "32",      "--plot",          path("plot.SVG")};
  const Outcome table = run_program(arguments);
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("all together, measured"));
  EXPECT_THAT(read_file(folder_ / "plot.SVG"), HasSubstr("<svg"));
  std::vector<std::string> with_json = arguments;
  with_json.push_back("--json");
  const Outcome o = run_program(with_json);
  ASSERT_EQ(o.status, 0) << o.err;
  const json s = json::parse(o.out);
  EXPECT_EQ(s["tensors"].size(), 2 + 2 * 6);
  EXPECT_EQ(s["wholes"].size(), 2);
  EXPECT_EQ(s["order"].size(), s["tensors"].size());
  EXPECT_THAT(s["not_read"], Contains("pooler.dense.weight"));
  EXPECT_GT(s["tensors"][0]["widths"][0]["cost"], s["tensors"][0]["widths"][1]["cost"]);

  EXPECT_EQ(run_program({"sensitivity", tiny("bert").string(), "--texts", path("few.txt")}).status, 2);
  EXPECT_EQ(run_program({"sensitivity", tiny("bert").string(), "--texts", path("no.txt")}).status, 4);
  EXPECT_EQ(run_program({"sensitivity", tiny("bert").string(), "--texts", path("texts.txt"), "--plot",
                         path("plot.png")})
                .status,
            2);
}

TEST_F(Allocate, ATargetGivesAFolderWithItsProof) {
  const std::vector<std::string> plain{"--target-bits",   "8",           "--texts",
                                       path("texts.txt"), "--calibrate", "none"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), plain.begin(), plain.end());
    return more;
  };
  const Outcome dry = convert(with({"--dry-run", "--json"}));
  ASSERT_EQ(dry.status, 0) << dry.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  const Outcome o = convert(with({"--json"}));
  ASSERT_EQ(o.status, 0) << o.err;
  const json done = json::parse(o.out), planned = json::parse(dry.out);
  EXPECT_EQ(done["tensors"], planned["tensors"]);
  EXPECT_EQ(done["target"]["cost"], planned["target"]["cost"]);
  EXPECT_LE(done["bits_per_weight"], 8);
  EXPECT_GE(done["bits_per_weight"], 0.99 * 8);
  EXPECT_EQ(done["target"]["option"], "--target-bits");
  EXPECT_EQ(done["bytes"], std::filesystem::file_size(folder_ / "out" / "model.safetensors"));
  EXPECT_THAT(names_in(folder_ / "out"), Contains("mlx_encoder_recipe.json"));

  const std::string recipe = path("out") + "/mlx_encoder_recipe.json";
  ASSERT_EQ(convert({"--recipe", recipe}, "again").status, 0);
  EXPECT_EQ(read_file(folder_ / "again" / "model.safetensors"),
            read_file(folder_ / "out" / "model.safetensors"));
  EXPECT_EQ(read_file(folder_ / "again" / "config.json"), read_file(folder_ / "out" / "config.json"));
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe) << read_file(recipe); });
  const Outcome piped = convert({"--recipe", pipe}, "piped");
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);  // where the program has not read it
  writer.join();
  ::close(reader);
  ASSERT_EQ(piped.status, 0) << piped.err;
  EXPECT_EQ(read_file(folder_ / "piped" / "model.safetensors"),
            read_file(folder_ / "out" / "model.safetensors"));
  // The twin: the same tool with another recipe.
  json changed = json::parse(read_file(recipe));
  changed["tensors"][0]["bits"] = changed["tensors"][0]["bits"] == 8 ? 6 : 8;
  changed["tensors"][0]["group_size"] = 32;
  write_file(folder_ / "changed.json", changed.dump());
  ASSERT_EQ(convert({"--recipe", path("changed.json")}, "other").status, 0);
  EXPECT_NE(read_file(folder_ / "other" / "model.safetensors"),
            read_file(folder_ / "out" / "model.safetensors"));

  const Outcome again = convert(plain);
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("nothing was written"));
}

TEST_F(Allocate, ATextIsNumberedAsInTheWholeFile) {
  std::filesystem::copy(tiny("st_cls"), folder_ / "model", std::filesystem::copy_options::recursive);
  json tokenizer = read_json(folder_ / "model/tokenizer.json");
  tokenizer["post_processor"] = nullptr;
  write_file(folder_ / "model/tokenizer.json", tokenizer.dump());
  for (const int empty : {31, 33}) {  // one that costs are measured on, and one that is held out
    std::string lines;
    for (int line = 1; line <= 60; ++line)
      lines += line == empty ? "\n" : fmt::format("the road {} was late {}\n", line, line * line);
    write_file(folder_ / "t.txt", lines);
    for (const char* calibrate : {"none", "default"}) {
      const Outcome o = run_program({"convert", path("model"), "--mlx-path", path("out"), "--target-bits",
                                     "8", "--texts", path("t.txt"), "--calibrate", calibrate});
      EXPECT_EQ(o.status, 6);
      EXPECT_THAT(o.err, HasSubstr(fmt::format("text {}: no token", empty)));
    }
  }
}

TEST_F(Allocate, ATargetCalibratesByItself) {
  const Outcome o = convert({"--target-bits", "8", "--texts", path("texts.txt"), "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("calibrating on two thirds of the texts and the built-in text"));
  EXPECT_FALSE(json::parse(o.out)["calibration"].empty());
  const std::string recipe = path("out") + "/mlx_encoder_recipe.json";
  EXPECT_EQ(json::parse(read_file(recipe))["calibration"]["built_in_text"], true);
  // A recipe with calibration: the same texts give the same bytes. Without texts, it uses the built-in text.
  const auto replayed = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {"--recipe", recipe});
    const Outcome done = convert(more, name);
    EXPECT_EQ(done.status, 0) << done.err;
    return std::pair(read_file(folder_ / name / "model.safetensors"), done.err);
  };
  const std::string weights = read_file(folder_ / "out" / "model.safetensors");
  const auto [same, quiet] = replayed("same", {"--calibrate", path("texts.txt")});
  EXPECT_EQ(same, weights);
  EXPECT_THAT(quiet, Not(HasSubstr("it was made")));
  const auto [built_in, said] = replayed("built-in", {});
  EXPECT_NE(built_in, weights);
  EXPECT_THAT(said, AllOf(HasSubstr("another calibration"), HasSubstr("calibrating on the built-in text")));
  const std::string warned = replayed("only", {"--calibrate", path("texts.txt"), "--calibrate-only"}).second;
  EXPECT_THAT(warned, HasSubstr("another calibration"));
}

TEST_F(Allocate, SaysWhatDoesNotGoTogether) {
  const std::string texts = path("texts.txt");
  refused({"--target-bits", "8"}, "add --texts FILE or --calibrate FILE");
  refused({"--target-bits", "8", "--texts", path("few.txt")}, "found 2 texts, expected at least 24");
  refused({"--target-bits", "8", "--target-size", "1MB", "--texts", texts}, "give one");
  refused({"--target-bits", "8", "--texts", texts, "-q", "--q-bits", "4"}, "leave --q-bits out");
  refused({"--target-bits", "8", "--texts", texts, "--keep", "*"}, "leave no matrix");
  refused({"--target-bits", "1", "--texts", texts}, "the smallest this model can be is");
  refused({"--target-size", "lots", "--texts", texts}, "expected a size such as 45MB");
  refused({"--max-flips", "1%", "--texts", texts}, "use --min-cosine");
  refused({"--texts", texts}, "--texts needs a target");
  refused({"--quant-predicate", "mixed_1_9"},
          "use one of mixed_2_6, mixed_3_4, mixed_3_6, mixed_4_6, mixed_4_8");
  refused({"--quant-predicate", "mixed_4_8", "--q-bits", "4"}, "leave --q-bits out");
  refused({"--quant-predicate", "mixed_4_8", "-d"}, "-d can't be combined with");
  EXPECT_EQ(convert({"--recipe", path("absent.json")}).status, 4);
  EXPECT_EQ(convert({"--recipe", texts}).status, 6);
}

TEST_F(Allocate, PresetsWriteTheEntriesMlxLoadersRead) {
  const Outcome o = convert({"--quant-predicate", "mixed_4_8", "--q-group-size", "32"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json config = json::parse(read_file(folder_ / "out" / "config.json"));
  EXPECT_EQ(config["quantization"]["bits"], 4);
  EXPECT_EQ(config["quantization"]["encoder.layer.1.attention.self.value"],
            (json{{"bits", 8}, {"group_size", 32}, {"mode", "affine"}}));
  EXPECT_FALSE(config["quantization"].contains("encoder.layer.1.attention.self.query"));
  EXPECT_EQ(config["quantization"], config["quantization_config"]);
}

}  // namespace
}  // namespace mlxe::test::allocate_cli_test
