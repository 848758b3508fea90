// Starts hub_server.py, which behaves like the Hugging Face hub.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "test_files.h"

namespace mlxe::test {

class HubServer {
 public:
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  HubServer() {
    std::filesystem::create_directories(repositories());
    int in[2], out[2];
    if (::pipe(in) != 0 || ::pipe(out) != 0) std::abort();
    for (const int end : {in[0], in[1], out[0], out[1]}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execlp("python3", "python3", MLXE_SOURCE_DIR "/tests/hub_server.py", repositories().c_str(),
               rules().c_str(), log().c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]), ::close(out[1]);
    end_ = in[1];
    std::string line;
    for (char c = 0; ::read(out[0], &c, 1) == 1 && c != '\n';) line += c;
    ::close(out[0]);
    const size_t blank = line.find(' ');
    EXPECT_NE(blank, line.npos) << "hub_server.py did not start";
    hub_port_ = line.substr(0, blank);
  }
  ~HubServer() {
    ::close(end_);
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  std::filesystem::path repositories() const { return folder_ / "repositories"; }
  std::string endpoint() const { return "http://127.0.0.1:" + hub_port_; }

  // A repository with the files of a folder.
  std::filesystem::path add(const std::string& repo, const std::filesystem::path& files) const {
    std::filesystem::create_directories((repositories() / repo).parent_path());
    std::filesystem::copy(files, repositories() / repo, std::filesystem::copy_options::recursive);
    return repositories() / repo;
  }
  void rule(const nlohmann::json& json) const {
    write_file(folder_ / "rules.new", json.dump());
    std::filesystem::rename(folder_ / "rules.new", rules());
  }
  // The requests since the last call: "hub HEAD /org/name/resolve/..", "cdn GET /org/name/model.safetensors bytes=5-".
  std::vector<nlohmann::json> requests() const {
    std::vector<nlohmann::json> all;
    std::ifstream lines(log());
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    std::filesystem::remove(log());
    return all;
  }
  // Of these, the contents of the CDN.
  static std::vector<nlohmann::json> contents(const std::vector<nlohmann::json>& requests) {
    std::vector<nlohmann::json> found;
    for (const auto& request : requests)
      if (request["server"] == "cdn") found.push_back(request);
    return found;
  }

 private:
  std::filesystem::path rules() const { return folder_ / "rules"; }
  std::filesystem::path log() const { return folder_ / "log"; }

  TemporaryFolder folder_;
  std::string hub_port_;
  pid_t pid_ = 0;
  int end_ = -1;
};

// Variables of the environment, also of programs that are started; the destructor sets the former values.
class Variables {
 public:
  // An empty value unsets the variable.
  Variables(std::initializer_list<std::pair<const char*, std::string>> values) {
    for (const auto& [name, value] : values) {
      const char* former = std::getenv(name);
      former_.emplace_back(name, former == nullptr ? std::nullopt : std::optional<std::string>(former));
      set(name, value.empty() ? std::nullopt : std::optional(value));
    }
  }
  ~Variables() {
    for (const auto& [name, value] : former_) set(name, value);
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    if (value)
      ::setenv(name.c_str(), value->c_str(), 1);
    else
      ::unsetenv(name.c_str());
  }
  std::vector<std::pair<std::string, std::optional<std::string>>> former_;
};

}  // namespace mlxe::test
