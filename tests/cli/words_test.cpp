// What is said of bad input is this program's own words: no library's and no language's.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::words_test {
namespace {

namespace fs = std::filesystem;
using Command = std::vector<std::string>;
using testing::HasSubstr;
using testing::Not;

void expect_own_words(const Command& command, const std::string& input = "") {
  const Outcome o = run_program(command, input);
  EXPECT_NE(o.status, 0) << testing::PrintToString(command) << " was meant to fail";
  EXPECT_GT(o.status, 1) << testing::PrintToString(command) << o.err;
  EXPECT_LT(o.status, 10) << testing::PrintToString(command) << o.err;
  for (const std::string& said : {o.out, o.err})
    for (const char* foreign :
         {"[json.exception", "CLI::", "basic_", "panicked", "terminate", "std::", "nlohmann", "stoi", "stod",
          "vector::", "map::at", "filesystem error", "internal", "Os {", "Err(", "unwrap", ".rs:", ".cpp",
          "expected value at line"})
      EXPECT_THAT(said, Not(HasSubstr(foreign))) << testing::PrintToString(command);
}

TEST(Words, OfBadArgumentsAreOurs) {
  const std::string m = tiny("st_mean_norm");
  for (const Command& command : std::vector<Command>{
           {"embed"},
           {"embed", m},
           {"embed", m, "hi", "--threads", "x"},
           {"embed", m, "hi", "--threads", "99999999999999999999"},
           {"embed", m, "hi", "--threads"},
           {"embed", m, "hi", "--json=maybe"},
           {"embed", m, "hi", "--engine", "gpu"},
           {"embed", m, "hi", "--prompt-name", "nobody"},
           {"embed", m, "--input", "-", "--input-format", "xml"},
           {"zero-shot", m, "hi", "--labels", "a"},
           {"zero-shot", tiny("distilbert_nli"), "hi", "--labels", "a", "--template", "none"},
           {"tag", m, "hi"},
           {"fill-mask", m, "[MASK]"},
           {"fill-mask", tiny("bert_mlm"), "no mask"},
           {"fill-mask", tiny("bert_mlm"), "[MASK]", "--top-k", "0"},
           {"fill-mask", tiny("bert_mlm"), "[MASK]", "--targets", " "},
           {"qa", m, "--question", "a", "b"},
           {"qa", tiny("bert_qa"), "b"},
           {"qa", tiny("bert_qa"), "--question", "a", "b", "--doc-stride", "999"},
           {"choose", m, "a", "b"},
           {"tag", tiny("bert_ner"), "hi", "--aggregation", "sum"},
           {"similarity", m, "one"},
           {"convert", m, "-q", "--q-bits", "7"},
           {"convert", m, "-q", "--set", "*=x"},
           {"convert", m, "-q", "--set", "[=4"},
           {"convert", m, "--target-size", "many", "--texts", m},
           {"convert", m, "--max-shard-size", "1 furlong"},
           {"evaluate", m, "--task", "chess", "--data", "x"},
           {"evaluate", m, "--task", "similarity", "--data", "x", "--column", "text"},
           {"compare", m, m, "--texts", "x", "--gate-limit", "a=b"},
           {"bench", m, "--shapes", "axb"},
           {"sensitivity", m, "--texts", "x", "--bits", "7"}})
    expect_own_words(command);
}

TEST(Words, OfBadFilesAreOurs) {
  const TemporaryFolder folder;
  const std::string m = folder / "m", file = folder / "f";
  for (const auto& [name, content] : std::vector<std::pair<std::string, std::string>>{
           {"config.json", ""},
           {"config.json", "{"},
           {"config.json", "[1]"},
           {"config.json", R"({"model_type": "bert"})"},
           {"config.json", R"({"model_type": "bert", "hidden_size": "a"})"},
           {"config.json", R"({"model_type": 1e999})"},
           {"config.json", "\xff"},
           {"model.safetensors", ""},
           {"model.safetensors", std::string(8, '\xff')},
           {"model.safetensors", std::string("\x02\0\0\0\0\0\0\0[]", 10)},
           {"tokenizer.json", ""},
           {"tokenizer.json", "{}"},
           {"tokenizer.json", R"({"model": {"type": "Magic"}})"},
           {"tokenizer_config.json", "3"},
           {"modules.json", "{}"},
           {"modules.json", R"([{"type": 1}])"},
           {"1_Pooling/config.json", "null"},
           {"config_sentence_transformers.json", R"({"prompts": 3})"}}) {
    SCOPED_TRACE(name + ": " + content);
    fs::copy(tiny("st_mean_norm"), m, fs::copy_options::recursive);
    write_file(folder / "m" / name, content);
    expect_own_words({"embed", m, "hi"});
    fs::remove_all(m);
  }
  const std::string model = tiny("st_mean_norm");
  for (const char* content :
       {"", "{", "[gates", "[gates]\na = 1", "[gates]\npooled_vector.cosine = 'x'", "\xff"}) {
    write_file(file, content);
    if (*content != '\0') expect_own_words({"compare", model, model, "--texts", file, "--gates", file});
    expect_own_words({"convert", model, "--recipe", file, "--mlx-path", folder / "out"});
    expect_own_words({"matrix", file});
    expect_own_words({"compare", model, model, "--texts", model + "/vocab.txt", "--save-baseline", file});
  }
  for (const char* row :
       {"{", "[]", "3", R"({"text": 3})", R"({"text": "a", "text": "b"})", "{\"text\": 1e999}", "\xff"})
    expect_own_words({"embed", model, "--input", "-", "--input-format", "jsonl"}, row);
}

}  // namespace
}  // namespace mlxe::test::words_test
