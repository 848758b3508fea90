// Runs the built program as a user would and gives back what it printed.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "test_files.h"

namespace mlxe::test {

struct Outcome {
  int status = -1;  // 128 + signal where one ended it
  std::string out, err;
};

// MLXE_PROGRAM with these arguments; `input` on standard input.
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

}  // namespace mlxe::test
