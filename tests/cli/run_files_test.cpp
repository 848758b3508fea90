// An output that is an input of the same run, and two outputs that are one file.
#include <gmock/gmock.h>
#ifdef __linux__
#include <linux/capability.h>
#include <sys/prctl.h>
#endif

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::run_files_test {
namespace {

namespace fs = std::filesystem;
using Command = std::vector<std::string>;
using testing::AllOf;
using testing::HasSubstr;

class RunFiles : public testing::Test {
 protected:
  RunFiles() {
    fs::copy(tiny("st_mean_norm"), folder / "m", fs::copy_options::recursive);
    write_file(folder / "t.txt", "the cat\na dog\n");
    write_file(folder / "d.tsv", "text\ttext_pair\tscore\nthe cat\ta dog\t1\na dog\tthe cat\t2\n");
    fs::create_symlink("t.txt", folder / "link.txt");
    fs::create_symlink("m", folder / "link");
    fs::create_hard_link(folder / "t.txt", folder / "hard.txt");
    fs::create_hard_link(folder / "m/model.safetensors", folder / "hard.safetensors");
    fs::copy_file(folder / "t.txt", folder / "t.md");
  }
  std::string at(const char* name) const { return folder / name; }
  // The outcome; fails the test if a file changed.
  Outcome unchanged(const Command& command) const {
    const auto contents = [&] {
      std::map<std::string, std::string> all;
      for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
        if (entry.is_regular_file()) all[entry.path()] = read_file(entry.path());
      return all;
    };
    const auto before = contents();
    const Outcome outcome = run_program(command);
    EXPECT_EQ(before, contents()) << testing::PrintToString(command);
    return outcome;
  }
  TemporaryFolder folder;
};

TEST_F(RunFiles, AnOutputIsNoInput) {
  const std::string m = at("m"), text = at("t.txt"), other = tiny("st_mean_norm");
  const auto embed_to = [&](const std::string& output, const std::string& model = {}) {
    return Command{"embed", model.empty() ? m : model, "--input", text, "-o", output};
  };
  const auto compare_to = [&](const char* option, const std::string& output, const std::string& texts) {
    return Command{"compare", other,        m,      "--texts", texts, "--input-format",
                   "txt",     "--no-speed", option, output};
  };
  for (const auto& [command, file] : std::vector<std::pair<Command, std::string>>{
           {embed_to(text), "--input " + text},
           {embed_to(at("link.txt")), "--input"},
           {embed_to(at("hard.txt")), "--input"},
           {embed_to(at("m/../t.txt")), "--input"},
           {embed_to(at("m/model.safetensors")), "is model.safetensors of the model " + m},
           {embed_to(at("hard.safetensors")), "is model.safetensors of the model"},
           {embed_to(at("link/tokenizer.json")), "is tokenizer.json of the model"},
           {embed_to(at("m/tokenizer.json"), at("link")), "is tokenizer.json of the model"},
           {embed_to(at("m/1_Pooling/config.json")), "is 1_Pooling/config.json of the model"},
           {embed_to(at("m/vocab.json")), "is vocab.json of the model"},  // not there, but would be read
           {compare_to("--report", at("t.md"), at("t.md")), "--texts"},
           {compare_to("--report", at("m/README.md"), text), "is README.md of the model"},
           {{"sensitivity", m, "--texts", text, "--plot", at("m/mlx_encoder_pareto.svg")}, "of the model"}}) {
    const Outcome o = unchanged(command);
    EXPECT_EQ(o.status, 2) << testing::PrintToString(command) << o.err;
    EXPECT_THAT(o.err, AllOf(HasSubstr(file), HasSubstr("which this run reads; name another file")));
  }
}

// As older versions of sentence-transformers write it: the folder itself has no config.json.
TEST_F(RunFiles, AModelsTransformerMayBeInAFolderOfItsOwn) {
  const fs::path m = folder / "m", inner = m / "0_T";
  fs::create_directory(inner);
  for (const char* name : {"config.json", "sentence_bert_config.json", "model.safetensors", "tokenizer.json",
                           "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"})
    fs::rename(m / name, inner / name);
  nlohmann::json modules = read_json(m / "modules.json");
  modules[0]["path"] = "0_T";
  write_file(m / "modules.json", modules.dump());
  fs::create_hard_link(inner / "tokenizer.json", folder / "hard.json");
  ASSERT_EQ(run_program({"embed", m, "hi", "-o", m / "0_T.npy"}).status, 0);
  for (const auto& [output, file] : {std::pair("m/0_T/tokenizer.json", "0_T/tokenizer.json"),
                                     {"hard.json", "0_T/tokenizer.json"},
                                     {"m/modules.json", "modules.json"}}) {
    const Outcome o = unchanged({"embed", m, "hi", "-o", at(output)});
    EXPECT_EQ(o.status, 2) << output << o.err;
    EXPECT_THAT(o.err, HasSubstr(std::string("is ") + file + " of the model"));
  }
}

TEST_F(RunFiles, TwoOutputsAreTwoFiles) {
  const auto compare = [&](const std::string& report, const std::string& baseline) {
    return Command{"compare",    tiny("st_mean_norm"), at("m"), "--texts",         at("t.txt"),
                   "--no-speed", "--report",           report,  "--save-baseline", baseline};
  };
  fs::create_symlink("r.md", folder / "r");
  for (const char* baseline : {"r.md", "r", "m/../r.md"}) {
    const Outcome o = unchanged(compare(at("r.md"), at(baseline)));
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr("which this run writes, too; name another file"));
  }
  Command card = compare(at("m/README.md"), at("b.json"));
  card.push_back("--update-card");
  EXPECT_EQ(unchanged(card).status, 2);
}

TEST_F(RunFiles, AFolderThatIsReplacedHoldsNoInput) {
  std::string texts;
  for (int i = 0; i < 30; ++i) texts += "the cat " + std::to_string(i) + "\n";
  write_file(folder / "texts.txt", texts);
  const Command convert{"convert", tiny("st_mean_norm"), "--mlx-path", at("out")};
  Command first = convert, again = convert;
  first.insert(first.end(), {"--target-bits", "9", "--texts", at("texts.txt"), "--calibrate", "none"});
  const Outcome made = run_program(first);
  ASSERT_EQ(made.status, 0) << made.err;
  again.insert(again.end(), {"--force", "--recipe", at("out/mlx_encoder_recipe.json")});
  const Outcome o = unchanged(again);
  EXPECT_EQ(o.status, 2) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("would be replaced with --recipe"), HasSubstr("name another folder")));
  again.push_back("--dry-run");
  const Outcome planned = unchanged(again);
  EXPECT_EQ(planned.status, 0) << planned.err;
}

// As in `cat t.txt | mlx-encoder convert ... --calibrate - --gates <(...)`: such a pipe has no real path.
TEST_F(RunFiles, APipeWithoutANameIsNoPartOfAFolder) {
  constexpr int kGates = 63;  // what bash takes first
  const auto filled = [](const std::string& content) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    EXPECT_EQ(::write(ends[1], content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ::close(ends[1]);
    return ends[0];
  };
  const auto convert = [&](const Command& more) {
    const int texts = filled("the cat\na dog\n"), gates = filled("[gates]\nlayers.relative_max = 0.5\n");
    Command command{"convert",        at("m"), "-q",         "--q-bits",     "4",
                    "--q-group-size", "32",    "--mlx-path", at("converted")};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome o = finish_program(start_program(command, folder.path(),
                                                   [&] {
                                                     ::dup2(texts, STDIN_FILENO);
                                                     ::dup2(gates, kGates);
                                                   }),
                                     folder.path());
    ::close(texts);
    ::close(gates);
    return o;
  };
  for (const Command& more : {Command{"--calibrate", "-"},
                              {"--calibrate", "/dev/stdin"},
                              {"--calibrate", "none", "--gates", "/dev/fd/63"}}) {
    fs::remove_all(folder / "converted");
    const Outcome o = convert(more);
    EXPECT_EQ(o.status, 0) << testing::PrintToString(more) << o.err;
    EXPECT_TRUE(fs::exists(folder / "converted/config.json"));
  }
}

// The shell opens the file; a program that reads what it appends would not end.
TEST_F(RunFiles, StandardOutputIsNoInputEither) {
  const Command command{"embed", at("m"), "--input", "-"};
  const Outcome o =
      finish_program(start_program(command, folder.path(),
                                   [&] {
                                     const std::string text = folder / "t.txt";
                                     ::dup2(::open(text.c_str(), O_RDONLY), STDIN_FILENO);
                                     ::dup2(::open(text.c_str(), O_WRONLY | O_APPEND), STDOUT_FILENO);
                                   }),
                     folder.path());
  EXPECT_EQ(o.status, 2) << o.err;
  EXPECT_THAT(o.err, HasSubstr("standard output"));
  EXPECT_EQ(read_file(folder / "t.txt"), "the cat\na dog\n");
}

// A folder that is no part of the model, and that this process may not read.
TEST_F(RunFiles, StandardOutputMayBeAFileWhereTheModelHoldsAnUnreadableFolder) {
  const fs::path secret = folder / "m/secret";
  fs::create_directory(secret);
  fs::permissions(secret, fs::perms::none);
  const Outcome o = finish_program(start_program({"embed", at("m"), "hi"}, folder.path(),
                                                 [] {
#ifdef __linux__
                                                   ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);  // if root
                                                   ::prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
#endif
                                                 }),
                                   folder.path());
  fs::permissions(secret, fs::perms::owner_all);
  EXPECT_EQ(o.status, 0) << o.err;
}

// A model with an adapter, or one that is named by a weight file, is a folder of links to what is read.
TEST_F(RunFiles, AnOutputIsNoFileBehindALink) {
  const std::string base = at("base"), adapter = at("adapter"), named = at("m/model.safetensors");
  fs::copy(tiny("distilbert"), base, fs::copy_options::recursive);
  fs::remove(folder / "base/golden.safetensors");  // no file of a model
  fs::copy(MLXE_TEST_DATA "/adapters/patterns", adapter, fs::copy_options::recursive);
  for (const Command& command :
       {Command{"embed", base, "--adapter", adapter, "hi", "-o", adapter + "/adapter_model.safetensors"},
        Command{"embed", base, "--adapter", adapter, "hi", "-o", adapter + "/adapter_config.json"},
        Command{"embed", named, "hi", "-o", at("m/config.json")}, Command{"embed", named, "hi", "-o", named},
        Command{"convert", named, "--mlx-path", at("m"), "--force"},
        Command{"convert", base, "--adapter", adapter, "--mlx-path", base, "--force"}}) {
    const Outcome o = unchanged(command);
    EXPECT_EQ(o.status, 2) << testing::PrintToString(command) << o.out;
    EXPECT_THAT(o.err, HasSubstr("which this run reads")) << testing::PrintToString(command);
    EXPECT_THAT(o.err, testing::Not(HasSubstr("mlx-encoder-"))) << "a temporary path";
  }
}

// Twin: what is no model's file, a device for all, a baseline that is brought up to date.
TEST_F(RunFiles, OtherFilesMayStandBesideOneAnother) {
  const std::string m = at("converted"), text = at("t.txt");
  ASSERT_EQ(run_program({"convert", at("m"), "-q", "--q-group-size", "32", "--mlx-path", m}).status, 0);
  for (int round = 0; round < 2; ++round) {
    for (const Command& command :
         {Command{"embed", m, "--input", text, "-o", at("converted/v.npy")},
          Command{"embed", m, "hi", "-o", "/dev/null"}, Command{"embed", m, "hi", "-o", "/dev/stdout"},
          Command{"compare", m, m, "--texts", text, "--no-speed", "--report", at("converted/report.md"),
                  "--save-baseline", at("b.json"), "--update-card"},
          Command{"compare", m, m, "--texts", "/dev/null", "--no-speed", "--save-baseline", "/dev/null"}}) {
      const Outcome o = run_program(command);
      const bool has_texts =
          std::ranges::find(command, "/dev/null") == command.end() || command[0] == "embed";
      EXPECT_EQ(o.status, has_texts ? 0 : 2) << testing::PrintToString(command) << o.err;
      EXPECT_THAT(o.err, testing::Not(HasSubstr("same file")));
    }
  }
}

}  // namespace
}  // namespace mlxe::test::run_files_test
