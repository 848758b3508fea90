// Inputs other than plain files, and control characters that must never reach a terminal.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::input_output_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kModel = tiny("st_mean_norm");

// The vectors that `embed --json` printed.
std::string embedded(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.out;
}

class Pipe {
 public:
  explicit Pipe(std::string path, std::string content)
      : path_(std::move(path)), content_(std::move(content)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    writer_ = std::thread([this] { std::ofstream(path_) << content_; });
  }
  ~Pipe() {
    const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);  // where nobody else has read it
    writer_.join();
    ::close(reader);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

 private:
  std::string path_, content_;
  std::thread writer_;
};

TEST(Input, ATextThatLooksLikeAFileIsSaid) {
  const TemporaryFolder folder;
  const Outcome dash = run_program({"embed", kModel, "-"});
  EXPECT_EQ(dash.status, 2);
  EXPECT_THAT(dash.err, HasSubstr("--input - reads texts from standard input"));
  write_file(folder / "texts.txt", "the cat\n");
  const std::string name = folder / "texts.txt";
  const Outcome named = run_program({"embed", kModel, name, "--max-length", "9"});
  EXPECT_EQ(named.status, 0);
  EXPECT_THAT(named.err, HasSubstr("--input " + name + " reads the texts in it"));
  EXPECT_EQ(run_program({"embed", kModel, name, "--strict"}).status, 9);
}

// Mean pooling of a model that was made for labels.
TEST(Input, AModelMadeForLabelsIsSaidToBe) {
  const std::string ner = tiny("bert_ner");
  const Outcome o = run_program({"embed", ner, "the cat"});
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("is made for labels of tokens (tag); the mean"));
  EXPECT_EQ(run_program({"embed", ner, "the cat", "--strict"}).status, 9);
}

TEST(Input, PipesAndStandardInputAreReadWhereFilesAre) {
  const TemporaryFolder folder;
  const std::string texts = "The cat was home\nThe river\n", pipe = folder / "pipe";
  write_file(folder / "texts.txt", texts);
  const std::vector<std::string> embed{"embed", kModel, "--engine", "cpu", "--json", "--input"};
  const auto with = [](std::vector<std::string> arguments, const std::string& last) {
    arguments.push_back(last);
    return arguments;
  };
  const std::string expected = embedded(run_program(with(embed, folder / "texts.txt")));
  EXPECT_EQ(embedded(run_program(with(embed, "/dev/stdin"), texts)), expected);
  EXPECT_EQ(embedded(run_program(with(embed, "/dev/fd/0"), texts)), expected);
  EXPECT_EQ(embedded(run_program(with(embed, "-"), texts)), expected);
  {
    const Pipe writer(pipe, texts);
    EXPECT_EQ(embedded(run_program(with(embed, pipe))), expected);
  }
  fs::remove(pipe);
  {
    const Pipe writer(pipe, texts);
    const Outcome compared =
        run_program({"compare", kModel, kModel, "--no-speed", "--engine", "cpu", "--texts", pipe});
    EXPECT_EQ(compared.status, 0) << compared.err;
    EXPECT_THAT(compared.out, HasSubstr("2 texts"));
  }
  fs::remove(pipe);
  {
    const Pipe writer(pipe,
                      "text\ttext_pair\tscore\nThe cat\tThe road\t1\nThe river\tThe sea\t0.5\na\tb\t0\n");
    const Outcome evaluated = run_program({"evaluate", kModel, "--engine", "cpu", "--task", "similarity",
                                           "--input-format", "tsv", "--data", pipe});
    EXPECT_EQ(evaluated.status, 0) << evaluated.err;
    EXPECT_THAT(evaluated.out, HasSubstr("3 items"));
  }
  const std::string items =
      "text\ttext_pair\tscore\nThe cat\tThe road\t1\nThe river\tThe sea\t0.5\na\tb\t0\n";
  const Outcome evaluated = run_program(
      {"evaluate", kModel, "--engine", "cpu", "--task", "similarity", "--input-format", "tsv", "--data", "-"},
      items);
  EXPECT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_THAT(evaluated.out, HasSubstr("3 items"));
  fs::remove(pipe);
  {
    const Pipe writer(pipe, texts);
    const Outcome converted = run_program({"convert", kModel, "-q", "--q-bits", "4", "--q-group-size", "32",
                                           "--calibrate", pipe, "--mlx-path", folder / "out", "--json"});
    EXPECT_EQ(converted.status, 0) << converted.err;
    EXPECT_TRUE(nlohmann::json::parse(converted.out).contains("calibration"));
  }
}

TEST(Input, LimitsMayComeFromAPipe) {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  write_file(folder / "t.txt", "The cat was home\nThe river\n");
  for (const auto& [limit, status] : {std::pair("0.5", 0), {"1.5", 3}}) {
    fs::remove(pipe);
    const Pipe writer(pipe, std::string("[gates]\npooled_vector.cosine = ") + limit + "\n");
    const Outcome o = run_program({"compare", kModel, kModel, "--no-speed", "--engine", "cpu", "--texts",
                                   folder / "t.txt", "--gates", pipe});
    EXPECT_EQ(o.status, status) << o.err;
  }
}

TEST(Input, AFolderIsSaidToBeOne) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"tokenize", kModel, "--input", "/"},
        {"compare", kModel, kModel, "--texts", "/"},
        {"evaluate", kModel, "--task", "similarity", "--data", "/"},
        {"evaluate", tiny("bert_ner"), "--task", "ner", "--data", "/"},
        {"convert", kModel, "-q", "--calibrate", "/", "--mlx-path", "/tmp/none"}}) {
    const Outcome outcome = run_program(arguments);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.err, "mlx-encoder: /: is a folder; give a file\n");
  }
}

// ---- control characters

constexpr const char* kEscape =
    "\x1b]0;title\x07\x1b[2J\rover\xC2\x9B"
    "2J";
constexpr const char* kShown = "\\u001b]0;title\\u0007\\u001b[2J\\u000dover\\u009b2J";

void expect_no_escapes(const Outcome& outcome) {
  for (const std::string* stream : {&outcome.out, &outcome.err})
    for (const char c : *stream)
      EXPECT_TRUE((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) || c == '\n' || c == '\t')
          << static_cast<int>(c);
}

TEST(Shown, EscapesInTextsAndModelFilesReachNoTerminal) {
  const TemporaryFolder folder;
  const std::string text = std::string("cat ") + kEscape;
  for (const char* command : {"embed", "tokenize", "similarity"}) {
    const Outcome outcome = run_program({command, kModel, text, "two"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    expect_no_escapes(outcome);
    if (std::string(command) != "tokenize") {
      EXPECT_THAT(outcome.out, HasSubstr(kShown));
    }
  }
  fs::copy(tiny("bert_multilabel"), folder / "labels", fs::copy_options::recursive);
  change_config(folder / "labels", [](nlohmann::json& config) {
    config["id2label"]["0"] = kEscape;
    config[kEscape] = 1;
  });
  const Outcome classified = run_program({"classify", folder / "labels", text});
  EXPECT_EQ(classified.status, 0) << classified.err;
  expect_no_escapes(classified);
  EXPECT_THAT(classified.out, AllOf(HasSubstr(kShown), HasSubstr("cat ")));
  EXPECT_THAT(classified.err, HasSubstr("is not known"));
  const Outcome inspected = run_program({"inspect", folder / "labels"});
  expect_no_escapes(inspected);
  EXPECT_THAT(inspected.out, HasSubstr(kShown));
  expect_no_escapes(run_program({"embed", folder / kEscape, "hi"}));
  expect_no_escapes(run_program({kEscape}));
}

TEST(Shown, JsonStaysWhatItSays) {
  const Outcome outcome = run_program({"similarity", kModel, "--json", std::string("a") + kEscape, "two"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  expect_no_escapes(outcome);
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["texts"][0], std::string("a") + kEscape);
}

TEST(Shown, TextInAnyLanguageStaysAsItIs) {
  const std::string text = "na\xC3\xAFve \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E \xF0\x9F\x98\x80\ttab";
  EXPECT_THAT(run_program({"embed", kModel, text}).out, HasSubstr(text + "\n"));
}

TEST(Shown, ANameThatIsNotUtf8SpoilsNoJson) {
  const TemporaryFolder folder;
  const std::string bad = folder / "b\xFF", npy = folder / "v\xFF.npy";
  const Outcome embedded = run_program({"embed", kModel, "hi", "-o", npy, "--json"});
  EXPECT_EQ(embedded.status, 0) << embedded.err;
  EXPECT_THAT(nlohmann::json::parse(embedded.out)["output"].get<std::string>(),
              HasSubstr("v\xEF\xBF\xBD.npy"));
  EXPECT_TRUE(fs::exists(npy));
  fs::copy(kModel, bad, fs::copy_options::recursive);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"bench", bad, "--shapes", "1x4", "--seconds", "0", "--json"},
        {"inspect", bad, "--json"},
        {"embed", bad, "hi", "--json"},
        {"convert", bad, "-q", "--q-group-size", "32", "--mlx-path", folder / "o\xFF", "--json"}}) {
    const Outcome outcome = run_program(arguments);
    EXPECT_EQ(outcome.status, 0) << arguments[0] << outcome.err;
    EXPECT_TRUE(nlohmann::json::accept(outcome.out)) << arguments[0];
  }
  const Outcome missing = run_program({"embed", folder / "none\xFF", "hi", "--json"});
  EXPECT_EQ(missing.status, 4);
  EXPECT_EQ(nlohmann::json::parse(missing.out)["error"]["code"], "not_found");
}

// ---- folders of other tools

TEST(Folders, ATransformerInAFolderOfItsOwnGivesTheSameVectorsAndConverts) {
  const TemporaryFolder folder;
  const fs::path nested = folder / "nested";
  fs::create_directories(nested / "0_Transformer");
  for (const fs::directory_entry& entry : fs::directory_iterator(kModel)) {
    const std::string name = entry.path().filename();
    const bool outer =
        name == "1_Pooling" || name == "modules.json" || name == "config_sentence_transformers.json";
    fs::copy(entry.path(), (outer ? nested : nested / "0_Transformer") / name, fs::copy_options::recursive);
  }
  nlohmann::json modules = read_json(nested / "modules.json");
  modules[0]["path"] = "0_Transformer";
  write_file(nested / "modules.json", modules.dump());
  const auto vectors = [](const fs::path& model) {
    return embedded(
        run_program({"embed", model, "The cat was home", "--engine", "cpu", "--json", "--strict"}));
  };
  EXPECT_EQ(vectors(nested), vectors(kModel));
  EXPECT_EQ(run_program({"inspect", nested}).status, 0);

  const std::vector<std::string> options{"-q", "--q-group-size", "32", "--json", "--mlx-path"};
  for (const auto& [model, out] : {std::pair(nested, folder / "a"), {fs::path(kModel), folder / "b"}}) {
    std::vector<std::string> arguments{"convert", model};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back(out);
    const Outcome outcome = run_program(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const nlohmann::json json = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(json["folder_bytes"], bytes_in(out));
  }
  EXPECT_EQ(names_in(folder / "a"), names_in(folder / "b")) << "written as a folder of today";
  EXPECT_EQ(vectors(folder / "a"), vectors(folder / "b"));
}

TEST(Folders, WeightsUnderAPrefixGiveTheSameVectorsAndConvertWithoutIt) {
  const TemporaryFolder folder;
  const std::string prefix = "0.auto_model.";
  changed_copy(kModel, folder / "prefixed", [&](RawTensors& tensors) {
    RawTensors renamed;
    for (auto& [name, tensor] : tensors) renamed[prefix + name] = std::move(tensor);
    tensors = std::move(renamed);
  });
  const auto embed = [](const fs::path& model) {
    return run_program({"embed", model, "The cat was home", "--engine", "cpu", "--json"});
  };
  const Outcome prefixed = embed(folder / "prefixed");
  EXPECT_EQ(embedded(prefixed), embedded(embed(kModel)));
  EXPECT_THAT(prefixed.err, AllOf(HasSubstr("the weights' names begin with \"0.auto_model.\""),
                                  Not(HasSubstr("not part of the model"))));
  for (const auto& [model, out] :
       {std::pair(folder / "prefixed", folder / "a"), {fs::path(kModel), folder / "b"}}) {
    const Outcome outcome = run_program({"convert", model, "-q", "--q-group-size", "32", "--mlx-path", out});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  EXPECT_EQ(read_file(folder / "a" / "model.safetensors"), read_file(folder / "b" / "model.safetensors"));
}

}  // namespace
}  // namespace mlxe::test::input_output_test
