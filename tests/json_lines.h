// The JSON values that a command prints, one a line.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "run_program.h"

namespace mlxe::test {

inline std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> values;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

// Expects the command to have succeeded.
inline std::vector<nlohmann::json> json_lines(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json_lines(outcome.out);
}

}  // namespace mlxe::test
