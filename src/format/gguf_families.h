// The architectures of GGUF files that are read: the names that their tensors had before llama.cpp's converter, and what
// it did to them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "format/gguf_file.h"

namespace mlxe {

enum class GgufChange {
  none,
  minus_one,      // the converter added one to the values
  after_padding,  // the converter left out the first rows (gguf_position_offset)
  in_parts,       // rows of queries, keys and values, which are three modules
  dropped,        // read by other means
};

// A module ("blk.0.attn_q" of "blk.0.attn_q.weight") and its original name.
struct GgufModule {
  std::string_view stored;
  std::string_view original;
  GgufChange change = GgufChange::none;
};

struct GgufFamily {
  std::string_view architecture;
  std::string_view layers;  // before the number of a layer
  std::span<const GgufModule> modules, layer_modules;
  std::array<std::string_view, 3> parts = {};  // of a module `in_parts`
  // The module of both, where files hold a gate ("ffn_gate") and "ffn_up" of one matrix apart.
  std::string_view gate_and_up = {};
  bool gate_first = true;                // of that matrix
  std::string_view zero_if_absent = {};  // a table of one row that adds nothing
};

// The family of a file. Errors: format (no architecture), unsupported (another one: names those that are read).
const GgufFamily& gguf_family(const GgufFile& file);

// Rows that the converter leaves out of the table of positions: up to and with that of the padding token, where
// positions are counted after it (RoBERTa, XLM-RoBERTa). 0 for all others.
int64_t gguf_position_offset(const GgufFile& file);

// Whether the file is a JinaBERT with norms of queries and keys (jina-embeddings-v2-base-code).
bool has_gguf_query_norms(const GgufFile& file);

}  // namespace mlxe
