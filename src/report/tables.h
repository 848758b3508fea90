// A comparison as tables of text, for the terminal, the Markdown report and the HTML report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/compare.h"

namespace mlxe {

enum class Align { left, right };

struct Table {
  std::string id;  // "gates", "summary", "parts", "tensors", "drift", "task", "labels", "moves", "run_mode",
                   // "layers", "worst", "flips", "run"
  std::string title;
  std::vector<std::string> header;
  std::vector<Align> align;                    // of each column
  std::vector<std::vector<std::string>> rows;  // as many cells each as the header
  std::string note;                            // one line below, may be empty
};

// The tables that the comparison has data for, in the order to show them.
std::vector<Table> tables(const Comparison& comparison);

std::string sentence(std::string text);  // first letter upper case, a full stop at the end
// The name of a tensor in prose: "sentence vectors" for "pooled_vector".
std::string prose_name(const std::string& tensor);

}  // namespace mlxe
