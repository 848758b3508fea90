// Runs the built program as a user would, and returns its output.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "test_files.h"

namespace mlxe::test {

struct Outcome {
  int status = -1;  // 128 + signal if a signal ended the program
  std::string out, err;
};

// Runs MLXE_PROGRAM with these arguments and `input` as standard input.
inline Outcome run_program(const std::vector<std::string>& arguments, const std::string& input = "") {
  const TemporaryFolder folder;
  const auto quoted = [](const std::string& text) {
    std::string q = "'";
    for (char c : text) q += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return q + "'";
  };
  std::string command = quoted(MLXE_PROGRAM);
  for (const std::string& a : arguments) command += " " + quoted(a);
  write_file(folder / "in", input);
  for (const auto& [redirect, file] :
       {std::pair(" <", "in"), std::pair(" >", "out"), std::pair(" 2>", "err")})
    command += redirect + quoted((folder / file).string());
  const int status = std::system(command.c_str());
  Outcome o{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), {}, {}};
  o.out = read_file(folder / "out");
  o.err = read_file(folder / "err");
  return o;
}

// Starts the program with its output in files of `scratch`; `prepare` runs in the new process first.
inline pid_t start_program(const std::vector<std::string>& arguments, const std::filesystem::path& scratch,
                           const std::function<void()>& prepare = {}) {
  const std::string out = scratch / "out", err = scratch / "err";
  std::vector<char*> argv{const_cast<char*>(MLXE_PROGRAM)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
  ::dup2(::open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDERR_FILENO);
  if (prepare) prepare();
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

inline Outcome finish_program(pid_t pid, const std::filesystem::path& scratch) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(scratch / "out"),
          read_file(scratch / "err")};
}

}  // namespace mlxe::test
