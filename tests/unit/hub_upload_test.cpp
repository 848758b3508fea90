// Uploading a model folder to a server like the hub.
#include "hub/upload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "hub_server.h"
#include "model_folders.h"

namespace mlxe::test::hub_upload_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Base64, IsThatOfTheStandard) {
  const auto text = [](std::string_view bytes) { return base64(std::as_bytes(std::span(bytes))); };
  // The vectors of RFC 4648, and the two letters beside digits.
  for (const auto& [bytes, expected] :
       {std::pair("", ""), {"f", "Zg=="}, {"fo", "Zm8="}, {"foobar", "Zm9vYmFy"}})
    EXPECT_EQ(text(bytes), expected);
  EXPECT_EQ(text("\xfb\xff\xfe"), "+//+");
}

class HubUpload : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_http()) GTEST_SKIP() << "this build has no libcurl (MLXE_WITH_HUB=OFF)";
    server.emplace();
    server->rule({{"token", "secret"}});
    fs::copy(tiny("st_dense"), model, fs::copy_options::recursive);
    fs::remove(model / "golden.safetensors");
    settings.endpoint = server->endpoint();
    settings.token = "secret";
    settings.warning = heard.warning();
    settings.pause = std::chrono::milliseconds(1);
  }

  Uploaded upload() {
    const HubName name = require_upload_target("org/name", settings);
    return Upload(settings, name, model).run();
  }
  std::string refused(ErrorCode code) {
    return error_text([&] { upload(); }, code);
  }
  fs::path repository() const { return server->repositories() / "org/name"; }
  void expect_all_there() const {
    for (const auto& entry : fs::recursive_directory_iterator(model))
      if (entry.is_regular_file()) {
        const fs::path file = entry.path().lexically_relative(model);
        EXPECT_TRUE(read_file(repository() / file) == read_file(entry.path())) << file;
      }
  }
  void rule(json added) {
    added["token"] = "secret";
    server->rule(added);
  }
  static size_t count(const std::vector<json>& requests, const std::string& method, const std::string& part) {
    return static_cast<size_t>(std::ranges::count_if(requests, [&](const json& r) {
      return r["method"] == method && r["path"].get<std::string>().find(part) != std::string::npos;
    }));
  }

  TemporaryFolder folder;
  fs::path model = folder / "model";
  std::optional<HubServer> server;
  HubSettings settings;
  Heard heard;
};

TEST_F(HubUpload, MakesARepositoryWithTheFilesOfTheModel) {
  write_file(model / "notes.txt", "mine");  // no file of a model
  rule({{"signed", true}});
  uint64_t last = 0, total = 0;
  settings.progress = [&](std::string_view stage, uint64_t done, uint64_t all) {
    EXPECT_EQ(stage, "uploading org/name");
    EXPECT_GE(done, last);
    last = done, total = all;
  };
  const Uploaded first = upload();
  EXPECT_EQ(first.commit, HubServer::kCommit);
  EXPECT_EQ(first.url, server->endpoint() + "/org/name");
  EXPECT_EQ(first.bytes,
            fs::file_size(model / "model.safetensors") + fs::file_size(model / "2_Dense/model.safetensors"));
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, first.bytes);
  fs::remove(model / "notes.txt");
  EXPECT_FALSE(fs::exists(repository() / "notes.txt"));
  expect_all_there();
  for (const json& request : server->requests())  // the token is the hub's alone
    EXPECT_EQ(request["token"].is_null(), request["server"] == "cdn") << request;
}

TEST_F(HubUpload, SendsNothingThatIsThereAlready) {
  upload();
  write_file(model / "README.md", "changed");
  server->requests();
  EXPECT_EQ(upload().bytes, 0);
  EXPECT_THAT(HubServer::contents(server->requests()), IsEmpty());
  expect_all_there();
}

TEST_F(HubUpload, SendsALargeFileInParts) {
  const uint64_t size = fs::file_size(model / "model.safetensors");
  rule({{"parts", size / 3}});
  upload();
  expect_all_there();
  const auto requests = server->requests();
  EXPECT_GE(count(requests, "PUT", "/upload/"), 4u);
  EXPECT_EQ(count(requests, "POST", "/complete"), 2u);
}

TEST_F(HubUpload, GoesOnAfterBrokenConnectionsAndBusyServers) {
  rule({{"cut_puts", 2}, {"put", 503}, {"passing", 2}});
  upload();
  expect_all_there();
}

TEST_F(HubUpload, RefusalsSayWhatTheHubSays) {
  rule({{"create", 403}});
  EXPECT_THAT(
      refused(ErrorCode::io),
      AllOf(HasSubstr("org/name"), HasSubstr("refuses to create the repository (status 403)"),
            HasSubstr("You don't have the rights"), HasSubstr("check that the token may write there")));
  fs::create_directories(repository());  // it may not create, but write
  upload();
  expect_all_there();
  rule({{"put", 400}});
  fs::copy_file(tiny("bert") / "model.safetensors", model / "model.safetensors",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(refused(ErrorCode::io), HasSubstr("refuses the content of model.safetensors (status 400)"));
  rule({{"commit", {{"commitOid", "x\ny"}}}});
  EXPECT_THAT(refused(ErrorCode::format), HasSubstr("the answer has no commit in \"commitOid\""));
  settings.token = "other";
  EXPECT_THAT(refused(ErrorCode::io), AllOf(HasSubstr("status 401"), Not(HasSubstr("other"))));
  EXPECT_THAT(error_text([&] { require_token(settings); }, ErrorCode::io),
              HasSubstr("does not accept the token"));
}

TEST_F(HubUpload, AnswersOfAnotherFormAreRefused) {
  const auto modes = [](const json& mode) {
    return json{{"files", {{{"path", "config.json"}, {"uploadMode", mode}}}}};
  };
  for (const json& answer : {json(), json::array(), json{{"files", 5}}, modes(5), modes(nullptr),
                             modes("other"), json{{"files", json::array()}}}) {
    rule({{"preupload", answer}});
    EXPECT_THAT(refused(ErrorCode::format), HasSubstr("the answer has no ")) << answer;
  }
  for (const json& answer : {json(), json{{"objects", 5}}, json{{"objects", json::array()}},
                             json{{"objects", {{{"oid", 5}}}}}, json{{"objects", {{{"oid", "other"}}}}}}) {
    rule({{"batch", answer}});
    EXPECT_THAT(refused(ErrorCode::format), HasSubstr("the answer has no ")) << answer;
  }
  for (const json& actions :
       {json(5), json::array({1}), json{{"upload", "x"}}, json{{"upload", {{"href", 5}}}},
        json{{"upload", {{"href", "ftp://x"}}}},
        json{{"upload", {{"href", "http://127.0.0.1\\@localhost/"}}}},
        json{{"upload", {{"href", "http://127.0.0.1:1/"}, {"header", {{"X", "a\r\nb"}}}}}},
        json{{"upload", {{"href", "http://127.0.0.1:1/"}, {"header", {{"chunk_size", "0"}}}}}},
        json{{"upload", {{"href", "http://127.0.0.1:1/"}, {"header", {{"chunk_size", 4}}}}}}}) {
    rule({{"actions", actions}});
    EXPECT_THAT(refused(ErrorCode::format), HasSubstr("the answer has no ")) << actions;
  }
  EXPECT_FALSE(fs::exists(repository() / "config.json"));
}

TEST_F(HubUpload, WhatGitIgnoresIsSaid) {
  rule({{"ignored", {"README.md", "vocab.txt"}}});
  upload();
  EXPECT_EQ(heard.sentences.size(),
            static_cast<size_t>(fs::exists(model / "README.md")) + fs::exists(model / "vocab.txt"));
}

TEST_F(HubUpload, WantsANameATokenAndAModel) {
  for (const char* name : {"name", "org/name@main", "../x", ""})
    EXPECT_THAT(error_text([&] { require_upload_target(name, settings); }, ErrorCode::usage),
                HasSubstr("expected org/name"))
        << name;
  fs::remove(model / "config.json");
  EXPECT_THAT(refused(ErrorCode::usage), HasSubstr("no config.json"));
  fs::remove_all(model);
  EXPECT_THAT(refused(ErrorCode::not_found), HasSubstr("no config.json"));
  settings.token.clear();
  EXPECT_THAT(refused(ErrorCode::usage), HasSubstr("HF_TOKEN"));
  settings.offline = true;
  EXPECT_THAT(refused(ErrorCode::usage), HasSubstr("HF_HUB_OFFLINE"));
}

}  // namespace
}  // namespace mlxe::test::hub_upload_test
