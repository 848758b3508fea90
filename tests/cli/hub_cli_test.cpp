// Every command takes a model of the hub where it takes a folder.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "hub/http.h"
#include "hub_server.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::hub_cli_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kPython = MLXE_SOURCE_DIR "/.venv-mlx-embeddings/bin/python";

class HubCommands : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_http()) GTEST_SKIP() << "this build downloads nothing (MLXE_WITH_HUB=OFF)";
    server.emplace();
    server->add("org/name", tiny("st_mean_norm"));
    variables.emplace(
        std::initializer_list<std::pair<const char*, std::string>>{{"HF_HUB_CACHE", cache()},
                                                                   {"HF_ENDPOINT", server->endpoint()},
                                                                   {"HF_HUB_OFFLINE", ""},
                                                                   {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"},
                                                                   {"HF_TOKEN", ""}});
  }
  std::string cache() const { return folder / "cache"; }
  std::string snapshot() const { return cache() + "/models--org--name/snapshots/" + HubServer::kCommit; }
  std::string out(const char* name) const { return folder / name; }

  TemporaryFolder folder;
  std::optional<HubServer> server;
  std::optional<Variables> variables;
};

Outcome done(const std::vector<std::string>& arguments) {
  Outcome o = run_program(arguments);
  EXPECT_EQ(o.status, 0) << testing::PrintToString(arguments) << o.err;
  return o;
}

void expect_equal_folders(const fs::path& a, const fs::path& b) {
  ASSERT_EQ(names_in(a), names_in(b));
  for (const auto& entry : fs::recursive_directory_iterator(a)) {
    const fs::path file = entry.path().lexically_relative(a);
    if (!entry.is_directory()) {
      EXPECT_EQ(read_file(a / file), read_file(b / file)) << file;
    }
  }
}

TEST_F(HubCommands, AConversionGivesTheBytesThatOneOfTheFolderGives) {
  const Outcome first =
      done({"convert", "org/name", "-q", "--q-group-size", "32", "--mlx-path", out("first"), "--strict"});
  EXPECT_THAT(first.err, IsEmpty());
  EXPECT_EQ(HubServer::contents(server->requests()).size(), 1);
  done({"convert", "--hf-path", "org/name@main", "-q", "--q-group-size", "32", "--mlx-path", out("second")});
  EXPECT_THAT(server->requests(), IsEmpty());
  done({"convert", snapshot(), "-q", "--q-group-size", "32", "--mlx-path", out("cached")});
  done({"convert", tiny("st_mean_norm"), "-q", "--q-group-size", "32", "--mlx-path", out("local")});
  expect_equal_folders(out("first"), out("second"));
  expect_equal_folders(out("first"), out("cached"));
  EXPECT_THAT(read_file(folder / "first/README.md"), HasSubstr("base_model: org/name\n"));
  for (const char* file : {"model.safetensors", "config.json", "mlx_encoder.json", "1_Pooling/config.json"})
    EXPECT_EQ(read_file(folder / "first" / file), read_file(folder / "local" / file)) << file;
}

TEST_F(HubCommands, AResultIsUploadedAndReadBack) {
  const std::vector<std::string> convert{"convert",    tiny("st_mean_norm"), "-q",           "--q-group-size",
                                         "32",         "--mlx-path",         out("written"), "--upload-repo",
                                         "user/result"};
  const Outcome refused = run_program(convert);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--upload-repo: no token; set HF_TOKEN"));
  EXPECT_FALSE(fs::exists(out("written")));  // before a long conversion
  const Variables token{{"HF_TOKEN", "secret"}};
  server->rule({{"token", "secret"}});
  EXPECT_THAT(done(convert).out,
              HasSubstr("Uploaded to " + server->endpoint() + "/user/result (commit 01234567, "));
  std::vector<std::string> again = convert;
  again.emplace_back("--json");
  const nlohmann::json uploaded = nlohmann::json::parse(done(again).out)["uploaded"];
  EXPECT_EQ(uploaded["commit"], HubServer::kCommit);
  EXPECT_EQ(uploaded["bytes"], 0);  // all was there
  EXPECT_EQ(done({"embed", "user/result", "a", "--json"}).out,
            done({"embed", out("written"), "a", "--json"}).out);
  done({"verify", "user/result"});  // all that the record names came back
  done({"embed", "user/result", "a", "--strict"});
  done({"dequantize", "user/result", "--mlx-path", out("floats"), "--upload-repo", "user/floats"});
  EXPECT_EQ(read_file(server->repositories() / "user/floats/model.safetensors"),
            read_file(folder / "floats/model.safetensors"));
}

TEST_F(HubCommands, ADryRunUploadsNothingAndSaysSo) {
  const Variables token{{"HF_TOKEN", "secret"}};
  const Outcome refused = run_program({"convert", tiny("st_mean_norm"), "-q", "--dry-run", "--mlx-path",
                                       out("dry"), "--upload-repo", "user/dry"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("--upload-repo can't be combined with --dry-run, which writes nothing"));
  EXPECT_THAT(refused.out, IsEmpty());
  EXPECT_THAT(server->requests(), IsEmpty());
}

TEST_F(HubCommands, AFileThatIsNotUploadedIsAnErrorUnderStrict) {
  const Variables token{{"HF_TOKEN", "secret"}};
  server->rule({{"ignored", {"README.md"}}});
  std::vector<std::string> convert{"convert",    tiny("st_mean_norm"), "-q",           "--q-group-size",
                                   "32",         "--mlx-path",         out("written"), "--upload-repo",
                                   "user/result"};
  EXPECT_THAT(done(convert).err, HasSubstr("warning: user/result: \"README.md\" is not uploaded"));
  convert.emplace_back("--strict");
  const Outcome strict = run_program(convert);
  EXPECT_EQ(strict.status, 9);
  EXPECT_THAT(strict.err, HasSubstr("; " + out("written") + " is complete\n"));
}

// Modules of a Router, whose folders its own file names.
TEST_F(HubCommands, TheModulesOfARouterAreDownloaded) {
  const std::string model = MLXE_TEST_DATA "/sparse_static";
  server->add("org/sparse", model);
  for (const char* task : {"--query", "--document"})
    EXPECT_EQ(done({"embed-sparse", "org/sparse", "The cat sat.", task, "--json"}).out,
              done({"embed-sparse", model, "The cat sat.", task, "--json"}).out);
}

TEST_F(HubCommands, TheEncodersOfARouterAreDownloaded) {
  for (const char* name : {"static", "asym"}) {
    const std::string model = MLXE_TEST_DATA "/encoder_routers/" + std::string(name);
    server->add(std::string("org/") + name, model);
    for (const char* task : {"--query", "--document"})
      EXPECT_EQ(done({"embed", std::string("org/") + name, "The cat sat.", task, "--json"}).out,
                done({"embed", model, "The cat sat.", task, "--json"}).out);
  }
}

TEST_F(HubCommands, TwoProcessesDownloadOnce) {
  server->rule({{"slow", 0.3}});
  std::vector<pid_t> started;
  for (const char* name : {"a", "b"}) {
    fs::create_directories(folder / name);
    started.push_back(start_program({"embed", "org/name", "A text.", "--json"}, folder / name));
  }
  const Outcome a = finish_program(started[0], folder / "a"), b = finish_program(started[1], folder / "b");
  EXPECT_EQ(a.status, 0) << a.err;
  EXPECT_EQ(b.status, 0) << b.err;
  EXPECT_EQ(a.out, b.out);
  EXPECT_EQ(HubServer::contents(server->requests()).size(), 1);
}

// One command for each argument that names a model.
TEST_F(HubCommands, TakeNamesEverywhere) {
  done({"convert", "org/name", "-q", "--mlx-path", out("q")});
  const std::string texts = out("texts.txt"), sts = out("sts.tsv"), list = out("matrix.toml");
  std::string lines;
  for (int i = 0; i < 24; ++i) lines += "text " + std::to_string(i) + "\n";
  write_file(texts, lines);
  write_file(sts, "sentence1\tsentence2\tscore\na\tb\t1\nc\td\t2\ne\tf\t3\n");
  write_file(list,
             "output = \"results\"\n[[model]]\npath = \"org/name\"\ntexts = \"texts.txt\"\n"
             "[[scheme]]\nname = \"8\"\nbits = 8\n");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"embed", "org/name", "hi", "--json"},
           {"inspect", "org/name"},
           {"verify", "org/name"},
           {"bench", out("q"), "org/name", "--shapes", "1x8", "--seconds", "0.01"},
           {"compare", "org/name", out("q"), "--texts", texts, "--no-speed"},
           {"compare", out("q"), "org/name", "--texts", texts, "--no-speed"},
           {"evaluate", out("q"), "--original", "org/name", "--task", "similarity", "--data", sts},
           {"sensitivity", "org/name", "--texts", texts},
           {"matrix", list, "--dry-run"}})
    done(command);
  EXPECT_EQ(HubServer::contents(server->requests()).size(), 1);
}

TEST_F(HubCommands, RefuseInOneSentenceWithItsStatus) {
  const Outcome absent = run_program({"embed", "org/absent", "hi", "--json"});
  EXPECT_EQ(absent.status, 4);
  EXPECT_THAT(absent.err,
              AllOf(HasSubstr("mlx-encoder: org/absent: no such folder, and http"), HasSubstr("\n")));
  EXPECT_EQ(nlohmann::json::parse(absent.out)["error"]["code"], "not_found");
  server->rule({{"api", 403}, {"error_code", "GatedRepo"}});
  EXPECT_EQ(run_program({"embed", "org/name", "hi"}).status, 5);
  server->rule({{"api", 429}, {"passing", 2}, {"retry_after", 1}});
  const Outcome waiting = run_program({"embed", "org/name", "hi", "--strict"});
  EXPECT_EQ(waiting.status, 9);
  EXPECT_THAT(waiting.err,
              HasSubstr("status 429 and a request to wait 1 s; waiting 1 s (an error under --strict)"));
  server->rule({});
  const Outcome card =
      run_program({"compare", tiny("st_mean_norm"), "org/name", "--texts", "x", "--update-card"});
  EXPECT_EQ(card.status, 2);
  EXPECT_THAT(card.err, HasSubstr("--update-card: the model is one of the hub"));
  const Outcome over = run_program({"embed", "org/name", "hi", "-o", snapshot() + "/config.json"});
  EXPECT_EQ(over.status, 2);
  EXPECT_THAT(over.err, HasSubstr("which this run reads"));
}

TEST_F(HubCommands, SharesItsCacheWithPython) {
  if (!fs::exists(kPython)) GTEST_SKIP() << "no .venv-mlx-embeddings; make test installs it";
  done({"embed", "org/name", "hi", "-o", out("ours.npy")});
  const auto python = [&](const std::string& code) {
    write_file(folder / "code.py", code);
    return std::system((std::string(kPython) + " '" + out("code.py") + "'").c_str());
  };
  {
    const Variables offline{{"HF_HUB_OFFLINE", "1"}};
    EXPECT_EQ(python("import huggingface_hub as h\n"
                     "folder = h.snapshot_download('org/name')\n"
                     "assert folder == '" +
                     snapshot() +
                     "', folder\n"
                     "assert h.try_to_load_from_cache('org/name', 'model.safetensors').startswith(folder)\n"
                     "assert h.hf_hub_download('org/name', '1_Pooling/config.json').startswith(folder)\n"
                     "info, = h.scan_cache_dir('" +
                     cache() +
                     "').repos\n"
                     "assert info.repo_id == 'org/name' and len(info.refs) == 1, info\n"
                     "assert not h.scan_cache_dir('" +
                     cache() + "').warnings\n"),
              0);
  }
  fs::remove_all(cache());
  server->requests();
  const char* download_all =
      "import huggingface_hub as h\n"
      "for f in 'config.json model.safetensors modules.json 1_Pooling/config.json tokenizer.json "
      "tokenizer_config.json sentence_bert_config.json config_sentence_transformers.json "
      "special_tokens_map.json "
      "vocab.txt'.split(): h.hf_hub_download('org/name', f)\n";
  ASSERT_EQ(python(download_all), 0);
  EXPECT_EQ(HubServer::contents(server->requests()).size(), 1);
  done({"embed", "org/name", "hi", "-o", out("theirs.npy"), "--strict"});
  EXPECT_THAT(server->requests(), IsEmpty());
  EXPECT_EQ(read_file(out("ours.npy")), read_file(out("theirs.npy")));
}

TEST(HubCommand, ALocalRunDoesNotLoadLibcurl) {
  if (!fs::exists("/proc/self/maps")) GTEST_SKIP() << "needs /proc";
  const TemporaryFolder folder;
  int hold[2];
  ASSERT_EQ(::pipe(hold), 0);
  const pid_t pid = start_program({"embed", tiny("st_mean_norm"), "--input", "-", "--json"}, folder.path(),
                                  [&] { ::dup2(hold[0], STDIN_FILENO), ::close(hold[1]); });
  (void)!::write(hold[1], "a text\n", 7);
  std::string maps;
  for (int i = 0; i < 200 && maps.find("model.safetensors") == maps.npos; ++i) {
    ::usleep(20'000);
    maps = read_file("/proc/" + std::to_string(pid) + "/maps");
  }
  EXPECT_THAT(maps, AllOf(HasSubstr("model.safetensors"), Not(HasSubstr("libcurl"))));
  ::close(hold[0]), ::close(hold[1]);
  EXPECT_EQ(finish_program(pid, folder.path()).status, 0);
}

}  // namespace
}  // namespace mlxe::test::hub_cli_test
