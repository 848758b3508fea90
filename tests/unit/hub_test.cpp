// Models of the hub: names, the cache, what is downloaded, and what goes wrong.
#include "mlx_encoder/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <thread>

#include "base/hub_folder.h"
#include "base/sha256.h"
#include "hub/fetch_snapshot.h"
#include "hub/git_hash.h"
#include "hub/http.h"
#include "hub/hub_client.h"
#include "hub_server.h"
#include "model_folders.h"

#define NEEDS_HTTP() \
  if (!has_http()) GTEST_SKIP() << "this build downloads nothing (MLXE_WITH_HUB=OFF)"

namespace mlxe::test::hub_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

TEST(HubName, IsOneOnlyIfTheHubAllowsIt) {
  for (const char* text : {"bert-base-uncased", "org/name", "sentence-transformers/all-MiniLM-L6-v2",
                           "o/n@v1.0", "o/n@refs/pr/3", "gpt2@0123abc", "a.b_c/d.e-f"})
    EXPECT_TRUE(is_hub_name(text)) << text;
  for (const char* text :
       {"",         "/org/name", "./name",   "../name", "org/name/", "a/b/c",    "org//name",
        "a..b",     "a--b/c",    "-a",       "a.",      "o/n@",      "o/n@../x", "o/n@/x",
        "o/n@a//b", "o/n@a\\b",  "name.git", "o n",     "a@b\n",     "@v1"})
    EXPECT_FALSE(is_hub_name(text)) << text;
  EXPECT_FALSE(is_hub_name(std::string(97, 'a')));
  EXPECT_EQ(parse_hub_name("o/n")->revision, "main");
  EXPECT_EQ(parse_hub_name("o/n@refs/pr/3")->revision, "refs/pr/3");
  EXPECT_EQ(parse_hub_name("o/n@v1")->repo, "o/n");
}

TEST(HubName, PathsStayInside) {
  for (const char* path : {"a", "1_Pooling/config.json", ".gitattributes", "a b", "..a"})
    EXPECT_TRUE(is_inside_path(path)) << path;
  for (const char* path : {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\nb", "a\x7f"})
    EXPECT_FALSE(is_inside_path(path)) << path;
}

TEST(HubHash, IsGits) {
  const TemporaryFolder folder;
  for (const auto& [text, hash] :
       {std::pair<std::string, const char*>{"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
        {"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"},
        {std::string(1000, 'x'), "14c7dfdd4258dec5c0e9d2e919bd249bd674be1f"}}) {
    write_file(folder / "f", text);
    EXPECT_EQ(git_blob_hash(folder / "f"), hash) << text.size();
  }
}

TEST(HubFolder, HasTheNameOfItsModel) {
  EXPECT_EQ(hub_name_of("/c/models--org--a-model/snapshots/0123"), "org/a-model");
  EXPECT_EQ(hub_name_of("/c/models--bert-base-uncased/snapshots/0123/0_Transformer"), "bert-base-uncased");
  for (const char* folder :
       {"/c/models--org--name", "/c/snapshots/0123", "/c/models--org--name/blobs/0123", "model", ""})
    EXPECT_EQ(hub_name_of(folder), "") << folder;
}

TEST(HubSettings, FollowTheEnvironmentAsPythonDoes) {
  const TemporaryFolder folder;
  const std::string home = folder.path();
  const Variables none{{"HF_HOME", ""},
                       {"HF_HUB_CACHE", ""},
                       {"HUGGINGFACE_HUB_CACHE", ""},
                       {"XDG_CACHE_HOME", ""},
                       {"HF_ENDPOINT", ""},
                       {"HF_TOKEN", ""},
                       {"HUGGING_FACE_HUB_TOKEN", ""},
                       {"HF_TOKEN_PATH", ""},
                       {"HF_HUB_OFFLINE", ""},
                       {"TRANSFORMERS_OFFLINE", ""},
                       {"HF_HUB_DISABLE_IMPLICIT_TOKEN", ""},
                       {"HOME", home}};
  const auto cache = [] { return hub_settings({}).cache.string(); };
  EXPECT_EQ(cache(), home + "/.cache/huggingface/hub");
  EXPECT_EQ(hub_settings({}).endpoint, "https://huggingface.co");
  EXPECT_FALSE(hub_settings({}).offline);
  EXPECT_EQ(hub_settings({}).token, "");
  const Variables xdg{{"XDG_CACHE_HOME", "/x"}};
  EXPECT_EQ(cache(), "/x/huggingface/hub");
  const Variables hf{{"HF_HOME", "~/hf"}};
  EXPECT_EQ(cache(), home + "/hf/hub");
  const Variables legacy{{"HUGGINGFACE_HUB_CACHE", "$HOME/l/${HF_HOME}$UNSET_HERE"}};
  EXPECT_EQ(cache(), home + "/l/~/hf$UNSET_HERE");
  const Variables named{{"HF_HUB_CACHE", "/named"}};
  EXPECT_EQ(cache(), "/named");
  EXPECT_EQ(hub_settings({.cache = "/given"}).cache, "/given");

  write_file(home + "/hf/token", " from-file\n");
  EXPECT_EQ(hub_settings({}).token, "from-file");
  {
    const Variables not_read{{"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}};
    EXPECT_EQ(hub_settings({}).token, "");
  }
  const Variables token{
      {"HF_TOKEN", "from-variable"}, {"HF_HUB_OFFLINE", "yes"}, {"HF_ENDPOINT", "http://h:1/"}};
  EXPECT_EQ(hub_settings({}).token, "from-variable");
  EXPECT_EQ(hub_settings({.token = ""}).token, "");
  EXPECT_TRUE(hub_settings({}).offline);
  EXPECT_FALSE(hub_settings({.offline = false}).offline);
  EXPECT_EQ(hub_settings({}).endpoint, "http://h:1");
  const Variables bad{{"HF_TOKEN", "secret\nX-Header: 1"}};
  EXPECT_THAT(error_text([] { hub_settings({}); }, ErrorCode::usage),
              AllOf(HasSubstr("HF_TOKEN"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_text([] { hub_settings({.endpoint = "ftp://x", .token = ""}); }, ErrorCode::usage),
              HasSubstr("HF_ENDPOINT: found \"ftp://x\""));
}

TEST(HubSettings, OriginsAreComparedWhole) {
  EXPECT_EQ(origin_of("HTTPS://Hub.co/x"), "https://hub.co:443");
  EXPECT_EQ(origin_of("http://hub.co:8080"), "http://hub.co:8080");
  EXPECT_EQ(origin_of("https://hub.co@evil.com/"), "https://evil.com:443");
  EXPECT_EQ(origin_of("https://hub.co?x"), "https://hub.co:443");
  EXPECT_EQ(origin_of("http://[::1]/"), "http://[::1]:80");
  // Programs read these differently, so they are no addresses here: "http://hub.co\\@evil.com/" is evil.com to curl.
  for (const char* url : {"http://hub.co\\@evil.com/", "http://hub.co/a\\b", "http://hub.co /",
                          "http://hub.co/\n", "\thttp://hub.co"})
    EXPECT_EQ(origin_of(url), "") << url;
  for (const char* url : {"", "hub.co", "ftp://hub.co", "https://", "file:///etc/passwd"})
    EXPECT_EQ(origin_of(url), "") << url;
}

TEST(HubClient, RedirectsGoNowhereElse) {
  const auto target = [](const char* from, const char* to) {
    return redirect_target({.url = from, .status = 302, .headers = {{"location", to}}, .body = {}});
  };
  EXPECT_EQ(target("https://h/a/b", "/c?d"), "https://h/c?d");
  EXPECT_EQ(target("https://h/a/b", "https://cdn/c"), "https://cdn/c");
  for (const char* to : {"http://h/c", "file:///etc/passwd", "//cdn/c", "c", "", "https://h\\@cdn/c"})
    EXPECT_THAT(error_text([&] { target("https://h/a", to); }, ErrorCode::format),
                HasSubstr("is redirected to"));
  EXPECT_EQ(in_address("a b/c%d\xc3\xa9", Slash::kept), "a%20b/c%25d%C3%A9");
  EXPECT_EQ(in_address("refs/pr/1", Slash::escaped), "refs%2Fpr%2F1");
}

class Hub : public testing::Test {
 protected:
  void SetUp() override {
    NEEDS_HTTP();
    server.emplace();
    settings.cache = folder / "cache";
    settings.endpoint = server->endpoint();
    settings.warning = heard.warning();
    settings.pause = std::chrono::milliseconds(1);
    settings.longest_pause = std::chrono::milliseconds(2);
  }

  fs::path fetch(const std::string& name) { return fetch_snapshot(*parse_hub_name(name), settings); }
  std::string refused(const std::string& name, ErrorCode code) {
    return error_text([&] { fetch(name); }, code);
  }
  fs::path repo(const std::string& name = "org/name") {
    std::string folder_name = "models--" + name;
    if (const size_t slash = folder_name.find('/'); slash != folder_name.npos)
      folder_name.replace(slash, 1, "--");
    return settings.cache / folder_name;
  }
  // Files of a snapshot, relative to it, sorted.
  static std::vector<std::string> files_of(const fs::path& snapshot) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(snapshot))
      if (!entry.is_directory()) files.push_back(entry.path().lexically_relative(snapshot));
    std::ranges::sort(files);
    return files;
  }
  std::vector<std::string> unfinished() {
    std::vector<std::string> files;
    if (fs::exists(settings.cache))
      for (const auto& entry : fs::recursive_directory_iterator(settings.cache))
        if (const std::string name = entry.path().filename();
            name.find("incomplete") != name.npos || name.find("partial") != name.npos)
          files.push_back(name);
    return files;
  }

  TemporaryFolder folder;
  std::optional<HubServer> server;
  HubSettings settings;
  Heard heard;
};

void expect_same_files(const fs::path& snapshot, const fs::path& original,
                       const std::vector<std::string>& files) {
  for (const std::string& file : files)
    EXPECT_EQ(read_file(snapshot / file), read_file(original / file)) << file;
}

TEST_F(Hub, DownloadsWhatAModelNeedsIntoTheLayoutOfTheCache) {
  const fs::path files = server->add("org/name", tiny("st_dense"));
  for (const char* other :
       {"pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "openvino/openvino_model.xml", "notes.csv",
        ".gitattributes", "other/config.json", "2_Dense/pytorch_model.bin"})
    write_file(files / other, "not needed");
  write_file(files / "README.md", "---\nlicense: mit\n---\n");
  const fs::path snapshot = fetch("org/name");
  EXPECT_EQ(snapshot, repo() / "snapshots" / HubServer::kCommit);
  EXPECT_EQ(read_file(repo() / "refs/main"), HubServer::kCommit);
  const std::vector<std::string> got = files_of(snapshot);
  expect_same_files(snapshot, files, got);
  EXPECT_THAT(got, UnorderedElementsAre(
                       "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
                       "README.md", "config.json", "config_sentence_transformers.json", "model.safetensors",
                       "modules.json", "sentence_bert_config.json", "special_tokens_map.json",
                       "tokenizer.json", "tokenizer_config.json", "vocab.txt"));
  const fs::path weights = snapshot / "2_Dense/model.safetensors";
  EXPECT_EQ(fs::read_symlink(weights), "../../../blobs/" + sha256_hex(weights));
  EXPECT_EQ(fs::read_symlink(snapshot / "config.json"),
            "../../blobs/" + git_blob_hash(snapshot / "config.json"));
  EXPECT_THAT(unfinished(), IsEmpty());
  server->requests();
  EXPECT_EQ(fetch("org/name"), snapshot);
  EXPECT_EQ(fetch(std::string("org/name@") + HubServer::kCommit), snapshot);
  EXPECT_THAT(server->requests(), IsEmpty());
  EXPECT_THAT(heard.sentences, IsEmpty());
}

TEST_F(Hub, TakesTheBestFormatAndItsShardsAlone) {
  server->add("sharded", tiny("bert_sharded"));
  EXPECT_EQ(hidden_of(fetch("sharded")).values, hidden_of(tiny("bert_sharded")).values);
  const fs::path torch = server->add("o/torch", std::string(MLXE_TEST_DATA) + "/checkpoints/sharded_bin");
  const std::vector<std::string> got = files_of(fetch("o/torch"));
  EXPECT_THAT(got, testing::Contains("pytorch_model.bin.index.json"));
  expect_same_files(repo("o/torch") / "snapshots" / HubServer::kCommit, torch, got);
}

TEST_F(Hub, ARevisionIsOneOfItsOwn) {
  server->add("org/name", tiny("bert"));
  const std::string commit(40, 'c');
  server->rule({{"revisions", {{"refs/pr/1", commit}}}});
  EXPECT_EQ(fetch("org/name@refs/pr/1"), repo() / "snapshots" / commit);
  EXPECT_EQ(read_file(repo() / "refs/refs/pr/1"), commit);
  EXPECT_FALSE(fs::exists(repo() / "refs/main"));
  EXPECT_EQ(fetch("org/name"), repo() / "snapshots" / HubServer::kCommit);
  server->requests();
  EXPECT_EQ(fetch("org/name@refs/pr/1"), repo() / "snapshots" / commit);
  EXPECT_THAT(server->requests(), IsEmpty());
}

TEST_F(Hub, AConnectionCutAtTenPlacesIsTakenUpAgain) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  const uint64_t size = fs::file_size(files / "model.safetensors");
  std::mt19937 random(7);
  nlohmann::json cuts = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) cuts.push_back(random() % (size / 12));
  server->rule({{"cut", cuts}});
  for (const bool in_parts : {false, true}) {
    settings.cache = folder / (in_parts ? "parts" : "whole");
    settings.part_bytes = in_parts ? (size + 4) / 5 : size;
    const fs::path snapshot = fetch("org/name");
    EXPECT_EQ(sha256_hex(snapshot / "model.safetensors"), sha256_hex(files / "model.safetensors"));
    const auto contents = HubServer::contents(server->requests());
    EXPECT_EQ(contents.size(), in_parts ? 5 : 11);  // the cuts are used up in the first round
    EXPECT_THAT(unfinished(), IsEmpty());
  }
}

TEST_F(Hub, PartsThatBreakAreTakenUpAgain) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  settings.part_bytes = fs::file_size(files / "model.safetensors") / 20;
  settings.connections = 4;
  server->rule({{"cut", {0, 100, 5000, 1, 700, 0, 33, 2000, 4, 900}}});
  const fs::path snapshot = fetch("org/name");
  EXPECT_EQ(sha256_hex(snapshot / "model.safetensors"), sha256_hex(files / "model.safetensors"));
}

TEST_F(Hub, AnInterruptedDownloadGoesOnWhereItStopped) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  const uint64_t size = fs::file_size(files / "model.safetensors");
  settings.retries = 0;
  server->rule({{"cut", {size / 2, 0}}});
  EXPECT_THAT(refused("org/name", ErrorCode::io),
              AllOf(HasSubstr("broke off after"), HasSubstr("goes on from there")));
  const std::string blob = sha256_hex(files / "model.safetensors");
  EXPECT_THAT(unfinished(), ElementsAre(blob + ".incomplete"));
  const std::string got = read_file(repo() / "blobs" / (blob + ".incomplete"));
  EXPECT_EQ(got, read_file(files / "model.safetensors").substr(0, size / 2)) << "always the first bytes";
  EXPECT_FALSE(fs::exists(repo() / "refs/main"));
  server->requests();
  fetch("org/name");
  const auto contents = HubServer::contents(server->requests());
  ASSERT_EQ(contents.size(), 1);
  EXPECT_EQ(contents[0]["range"], "bytes=" + std::to_string(size / 2) + "-" + std::to_string(size - 1));
  EXPECT_THAT(unfinished(), IsEmpty());

  settings.cache = folder / "other";  // what is there may be anything
  write_file(repo() / "blobs" / (blob + ".incomplete"), std::string(size / 3, 'x'));
  EXPECT_EQ(sha256_hex(fetch("org/name") / "model.safetensors"), blob);
}

TEST_F(Hub, AServerWithoutRangesIsReadFromTheStart) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  const uint64_t size = fs::file_size(files / "model.safetensors");
  settings.part_bytes = size / 5;
  server->rule({{"ranges", false}, {"cut", {size, size, size, size, size, size / 2}}});
  EXPECT_EQ(sha256_hex(fetch("org/name") / "model.safetensors"), sha256_hex(files / "model.safetensors"));
}

TEST_F(Hub, AnAddressThatGrewOldIsAskedForAgain) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  settings.part_bytes = fs::file_size(files / "model.safetensors") / 7;
  settings.connections = 1;
  server->rule({{"good_for", 2}});
  EXPECT_EQ(sha256_hex(fetch("org/name") / "model.safetensors"), sha256_hex(files / "model.safetensors"));
  settings.cache = folder / "second";
  server->rule({{"good_for", 0}});
  EXPECT_THAT(refused("org/name", ErrorCode::io),
              AllOf(HasSubstr("org/name: model.safetensors: "), HasSubstr("refuses access (status 403)")));
}

TEST_F(Hub, OtherBytesThanAnnouncedAreRefused) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  for (const char* file : {"model.safetensors", "vocab.txt"}) {
    settings.cache = folder / std::string("cache-").append(file);
    server->rule({{"wrong", {file}}});
    EXPECT_THAT(refused("org/name", ErrorCode::io),
                AllOf(HasSubstr(file), HasSubstr("is not what the hub announced"), HasSubstr("try again")));
    EXPECT_THAT(unfinished(), IsEmpty());
    EXPECT_FALSE(fs::exists(repo() / "snapshots" / HubServer::kCommit / file));
    EXPECT_FALSE(fs::exists(repo() / "refs/main"));
  }
  server->rule({});
  expect_same_files(fetch("org/name"), files, {"model.safetensors", "vocab.txt"});
}

TEST_F(Hub, TwoAtOnceDownloadOnce) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  server->rule({{"slow", 0.2}});
  settings.warning = {};
  std::vector<std::thread> both;
  for (int i = 0; i < 2; ++i)
    both.emplace_back(
        [&] { EXPECT_NO_THROW(expect_same_files(fetch("org/name"), files, {"model.safetensors"})); });
  for (std::thread& one : both) one.join();
  EXPECT_EQ(HubServer::contents(server->requests()).size(), 1);
  EXPECT_THAT(unfinished(), IsEmpty());
}

TEST_F(Hub, TheTokenGoesToTheEndpointAlone) {
  server->add("org/name", tiny("st_mean_norm"));
  server->rule({{"token", "SECRET"}});
  EXPECT_THAT(refused("org/name", ErrorCode::not_found), HasSubstr("or set HF_TOKEN"));
  settings.token = "SECRET";
  server->requests();
  fetch("org/name");
  size_t contents = 0;
  for (const auto& request : server->requests()) {
    const bool is_cdn = request["server"] == "cdn";
    contents += is_cdn;
    EXPECT_EQ(request["token"], is_cdn ? nlohmann::json() : nlohmann::json("Bearer SECRET")) << request;
  }
  EXPECT_EQ(contents, 1);
}

TEST_F(Hub, EachRefusalHasItsSentence) {
  server->add("org/name", tiny("bert"));
  EXPECT_THAT(refused("org/absent", ErrorCode::not_found),
              AllOf(HasSubstr("org/absent: no such folder, and http"),
                    HasSubstr("has no such model, or a private one")));
  EXPECT_THAT(refused("org/name@v9", ErrorCode::not_found), HasSubstr("org/name@v9: "));
  EXPECT_FALSE(fs::exists(settings.cache)) << "nothing is written for a name that is not there";
  struct Case {
    nlohmann::json rule;
    ErrorCode code;
    const char* said;
  };
  for (const auto& [rule, code, said] : std::vector<Case>{
           {{{"api", 403}, {"error_code", "GatedRepo"}}, ErrorCode::io, "accept the conditions at http"},
           {{{"api", 401}}, ErrorCode::io, "refuses access (status 401); set HF_TOKEN"},
           {{{"api", 403}}, ErrorCode::io, "refuses access (status 403)"},
           {{{"api", 404}}, ErrorCode::not_found, "has no such model"},
           {{{"api", 429}}, ErrorCode::io, "too many requests (status 429)"},
           {{{"api", 500}}, ErrorCode::io, "answers with status 500; try again later"},
           {{{"file", {{"config.json", 404}}}, {"error_code", "EntryNotFound"}},
            ErrorCode::not_found,
            "org/name: config.json: "},
           {{{"file", {{"config.json", 403}}}, {"error_code", "GatedRepo"}},
            ErrorCode::io,
            "/org/name and set HF_TOKEN"},
           {{{"etag", {{"config.json", "../../x"}}}},
            ErrorCode::format,
            "the ETag is \"../../x\", expected a hash"}}) {
    server->rule(rule);
    const std::string sentence = refused("org/name", code);
    EXPECT_THAT(sentence, HasSubstr(said)) << rule;
    EXPECT_THAT(sentence, Not(HasSubstr("\n")));
    EXPECT_THAT(unfinished(), IsEmpty());
  }
}

TEST_F(Hub, APassingErrorIsTriedAgainAfterTheAskedWait) {
  server->add("org/name", tiny("bert"));
  server->rule({{"api", 429}, {"passing", 2}, {"retry_after", 3600}});
  fetch("org/name");
  ASSERT_EQ(heard.sentences.size(), 2);  // also unequal pauses would be told
  EXPECT_THAT(heard.sentences[0],
              HasSubstr("found status 429 and a request to wait 3600 s; waiting 0.002 s"));
  // A date, as RFC 9110 writes it: now + 2 h.
  const time_t later = std::time(nullptr) + 7200;
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&later));
  settings.cache = folder / "dated";
  heard.sentences.clear();
  server->rule({{"file", {{"config.json", 503}}}, {"passing", 4}, {"retry_after", date}});
  fetch("org/name");
  EXPECT_THAT(heard.sentences, ElementsAre(testing::ContainsRegex("request to wait 7[12][0-9][0-9] s")));
  settings.cache = folder / "second";
  server->rule({{"api", 503}, {"passing", 1000}});
  server->requests();
  EXPECT_THAT(refused("org/name", ErrorCode::io), HasSubstr("status 503"));
  EXPECT_EQ(server->requests().size(), 1 + static_cast<size_t>(settings.retries));
}

TEST_F(Hub, AServerThatStopsSendingIsGivenUp) {
  server->add("org/name", tiny("st_mean_norm"));
  server->rule({{"stall", true}});
  settings.stall_time = settings.connect_time = std::chrono::seconds(1);
  settings.retries = 0;
  EXPECT_THAT(refused("org/name", ErrorCode::io),
              AllOf(HasSubstr("org/name: model.safetensors: the download broke off after 0 of"),
                    HasSubstr("nothing came for 1 s")));
  EXPECT_THAT(unfinished(), IsEmpty());
}

TEST_F(Hub, WithoutANetworkTheCacheIsUsed) {
  server->add("org/name", tiny("bert"));
  const fs::path snapshot = fetch("org/name");
  settings.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(fetch("org/name"), snapshot);
  EXPECT_THAT(refused("org/other", ErrorCode::io),
              AllOf(HasSubstr("org/other: no such folder, and http://127.0.0.1:1 can't be reached"),
                    HasSubstr("HF_HUB_OFFLINE=1")));
  // Made by another tool, which may have left out modules.json.
  fs::remove_all(repo() / ".no_exist");
  EXPECT_EQ(fetch("org/name"), snapshot);
  ASSERT_EQ(heard.sentences.size(), 1);
  EXPECT_THAT(heard.sentences[0],
              HasSubstr("org/name: the copy in the cache is used, which may lack files: http"));
  settings.offline = true;
  EXPECT_EQ(fetch("org/name"), snapshot);
  EXPECT_EQ(heard.sentences.size(), 1);
  EXPECT_THAT(refused("org/other", ErrorCode::not_found), HasSubstr("unset HF_HUB_OFFLINE to download it"));
}

TEST_F(Hub, WhatAnotherToolLeftOutIsAdded) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  const fs::path snapshot = fetch("org/name");
  for (const char* file : {"modules.json", "1_Pooling/config.json"}) fs::remove(snapshot / file);
  server->requests();
  expect_same_files(fetch("org/name"), files, {"modules.json", "1_Pooling/config.json"});
  EXPECT_THAT(HubServer::contents(server->requests()), IsEmpty()) << "the weights are there";
}

TEST_F(Hub, ADamagedCacheIsRepaired) {
  const fs::path files = server->add("org/name", tiny("st_mean_norm"));
  const fs::path snapshot = fetch("org/name");
  for (const char* file : {"model.safetensors", "config.json", "vocab.txt"})
    for (const bool is_absent : {true, false}) {
      const fs::path blob = fs::canonical(snapshot / file);
      if (is_absent)
        fs::remove(blob);
      else
        fs::resize_file(blob, fs::file_size(blob) / 2);
      settings.offline = true;
      EXPECT_THAT(refused("org/name", ErrorCode::not_found),
                  AllOf(HasSubstr(file), HasSubstr("unset HF_HUB_OFFLINE to download it again")));
      settings.offline = false;
      expect_same_files(fetch("org/name"), files, {file});
    }
  fs::remove(fs::canonical(snapshot / "config.json"));
  settings.endpoint = "http://127.0.0.1:1";
  EXPECT_THAT(refused("org/name", ErrorCode::io),
              AllOf(HasSubstr("config.json: is a link to"), HasSubstr("can't be downloaded again")));
}

TEST_F(Hub, NamesThatLeaveTheFolderAreRefused) {
  server->add("org/name", tiny("bert"));
  for (const char* name : {"../../evil", "/etc/passwd", "a/../../b", "a\\b", ""}) {
    server->rule({{"siblings", {{"org/name", {"config.json", name}}}}});
    EXPECT_THAT(refused("org/name", ErrorCode::format), HasSubstr("expected a path inside the repository"));
  }
  EXPECT_FALSE(fs::exists(settings.cache));
  const fs::path sharded = server->add("org/sharded", tiny("bert_sharded"));
  nlohmann::json index = read_json(sharded / "model.safetensors.index.json");
  for (const char* shard : {"../model.safetensors", "absent.safetensors"}) {
    index["weight_map"].begin().value() = shard;
    write_file(sharded / "model.safetensors.index.json", index.dump());
    settings.cache = folder / (shard[0] == '.' ? "outside" : "absent");
    EXPECT_THAT(refused("org/sharded", shard[0] == '.' ? ErrorCode::format : ErrorCode::not_found),
                HasSubstr(shard));
  }
  write_file(folder / "ref/models--org--name/refs/main", "../../../outside");
  settings.cache = folder / "ref";
  EXPECT_THAT(refused("org/name", ErrorCode::format), HasSubstr("expected a commit; remove the file"));
}

TEST_F(Hub, ARepositoryWithoutWeightsThatAreReadIsNamed) {
  const fs::path files = server->add("org/name", tiny("bert"));
  fs::remove(files / "model.safetensors");
  EXPECT_THAT(refused("org/name", ErrorCode::not_found),
              HasSubstr("org/name: the repository has no weights, expected"));
  write_file(files / "tf_model.h5", "");
  EXPECT_THAT(refused("org/name", ErrorCode::unsupported),
              AllOf(HasSubstr("tf_model.h5"), HasSubstr("save_pretrained")));
  fs::remove(files / "config.json");
  settings.cache = folder / "other";
  EXPECT_THAT(refused("org/name", ErrorCode::not_found), HasSubstr("the repository has no config.json"));
  write_file(files / "name.Q8_0.gguf", "");
  settings.cache = folder / "third";
  EXPECT_THAT(
      refused("org/name", ErrorCode::not_found),
      HasSubstr("no config.json, but GGUF files; download one of them (\"name.Q8_0.gguf\") and name it"));
}

TEST_F(Hub, DownloadsAnExportIfThereAreNoOtherWeights) {
  const fs::path files = server->add("org/name", tiny("bert"));
  fs::remove(files / "model.safetensors");
  for (const char* file : {"onnx/model_quantized.onnx", "onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data"})
    write_file(files / file, "another form");
  EXPECT_THAT(refused("org/name", ErrorCode::unsupported),
              HasSubstr("several exports, none of which is model.onnx"));
  fs::copy_file(fs::path(MLXE_TEST_DATA) / "onnx/bert_external.onnx", files / "onnx/model.onnx");
  fs::copy_file(fs::path(MLXE_TEST_DATA) / "onnx/bert_external.onnx_data", files / "onnx/model.onnx_data");
  const std::vector<std::string> got = files_of(fetch("org/name"));
  EXPECT_THAT(got, testing::IsSupersetOf({"onnx/model.onnx", "onnx/model.onnx_data", "config.json"}));
  for (const std::string& file : got) EXPECT_THAT(file, Not(HasSubstr("onnx/model_")));
}

TEST(HubFolder, APathWins) {
  const TemporaryFolder folder;
  const HubOptions offline{
      .cache = folder / "cache", .endpoint = "http://127.0.0.1:1", .token = "", .offline = true};
  EXPECT_EQ(model_folder(folder.path(), offline), folder.path());
  EXPECT_EQ(model_folder("/no/such/folder", offline), "/no/such/folder");
  EXPECT_THAT(error_text([&] { model_folder("org/name", offline); }, ErrorCode::not_found),
              HasSubstr("org/name: no such folder, and the cache"));
  EXPECT_THAT(error_text([&] { hub_snapshot("../x", offline); }, ErrorCode::usage),
              HasSubstr("expected org/name"));
  const fs::path before = fs::current_path();
  fs::create_directories(folder / "org/name");
  fs::current_path(folder.path());
  EXPECT_EQ(model_folder("org/name", offline), "org/name");
  fs::current_path(before);
}

}  // namespace
}  // namespace mlxe::test::hub_test
