// The values that a command measured for one model, by the names of their gates.
#pragma once

#include <string>

#include "gates/gates.h"

namespace mlxe {

enum class MeasuredBy { convert, compare, evaluate };

struct Measured {
  MeasuredBy by = MeasuredBy::compare;
  std::string model;  // folder_name() of the converted folder
  std::string version, date, machine;
  GateValues values;
};

}  // namespace mlxe
