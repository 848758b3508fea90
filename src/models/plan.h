// A model as a list of operations, recorded once when the model is made: the encoder's, then those of its heads.
// Engines, calibration, sensitivity and `bench` all read this list.
//
// The operations are those of models/ops.h. Values are float matrices. Each value is the output of one operation.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "models/activation.h"
#include "models/ops.h"
#include "models/outputs.h"
#include "models/parameters.h"

namespace mlxe {

enum class RowKind {
  tokens,  // a row for each token of the batch
  texts,   // a row for each text
  chosen,  // a row for each chosen token of the batch
  table,   // a fixed number of rows, which depend on weights alone
};

using ValueId = int;
inline constexpr ValueId kNoValue = -1;

struct PlanValue {
  RowKind rows = RowKind::tokens;
  int64_t columns = 0;
  std::string name;        // of the module or operation that makes it
  int64_t table_rows = 0;  // of kind table
};

// A named set of weights, as in the checkpoint: "encoder.layer.0.attention.self.query".
struct PlanModule {
  std::string name;
  // Sizes without handles. Plan::table(), linear() and norm() return them with handles.
  std::variant<Embedding, Linear, LayerNorm, Convolution, RowBias> weights;
  ParameterId weight = kNoParameter, bias = kNoParameter;
};

// What selects the row of a table for each token.
enum class RowIndex {
  ids,
  next_ids,      // of the token after, in the same text; no row for the last
  previous_ids,  // of the token before, in the same text; no row for the first
  shifted_ids,   // of the token before, in the same text; Plan::start_id for the first
  wrapped_ids,   // of the token before, in the same text; for the first, of the text's last token but padding
  token_types,
  positions,                // p, p + 1, ... in each text, with Plan::first_position p
  positions_after_padding,  // p + 1, p + 2, ... with the padding id p; padding itself has position p
};

enum class OpKind {
  lookup,
  all_rows,      // of a table
  multi_linear,  // one linear or several of one input
  attention,
  layer_norm,
  add_layer_norm,
  feed_forward,
  convolution,
  add,
  subtract,
  multiply,
  add_bias,
  columns,        // some consecutive columns
  weighted_rows,  // the sum of a table's rows, each times the value of one column
  take_first,     // the first token of each text
  take_end,       // the last token of each text with Plan::end_id
  take_last,      // the last token of each text but padding; the first of a text of padding alone
  take_chosen,    // the chosen tokens
  pool,
  term_weights,  // of each text, from the products of its tokens with a linear
  activation,
  concatenate,
  normalize,
};
const char* name(RowKind kind) noexcept;
const char* name(OpKind kind) noexcept;
const char* name(PoolingKind kind) noexcept;
const char* name(TermPooling pooling) noexcept;

// Rows of a module's matrix; all rows if `count` is 0.
struct RowRange {
  int64_t first = 0, count = 0;
};

struct PlanOp {
  OpKind kind;
  std::vector<ValueId> inputs;        // attention: query, key, value, position keys, position queries
  std::vector<ValueId> outputs;       // multi_linear: one for each module; others: one
  std::vector<int> modules = {};      // indices into Plan::modules; feed_forward: up, down, gate;
                                      // attention: the table of relative biases, the norms of
                                      // queries and of keys, each if it has them
  std::vector<RowRange> ranges = {};  // multi_linear, feed_forward: for each module; empty: all rows
  std::vector<RowIndex> rows = {};    // lookup: for each table
  int64_t first_column = 0;           // columns
  AttentionSpec attention = {};       // attention
  Activation activation = Activation::identity;  // feed_forward, activation
  PoolingKind pooling = PoolingKind::cls;        // pool
  TermWeighting terms = {};                      // term_weights
  Outputs wanted_by = {};                        // the outputs that depend on it
};

// Consecutive operations, up to the first of the next layer. `output`: the value that users know as the layer's output.
struct PlanLayer {
  size_t first_op = 0;
  ValueId output = 0;
};

inline constexpr auto kNoOutputs = [] {
  std::array<ValueId, kOutputs> none{};
  none.fill(kNoValue);
  return none;
}();

struct PlanGraph {
  std::vector<PlanValue> values;
  std::vector<PlanOp> ops;
  std::vector<PlanLayer> layers;                       // the embeddings, then each layer
  size_t first_head = 0;                               // the operations from here on belong to heads
  std::array<ValueId, kOutputs> outputs = kNoOutputs;  // none for Output::layers: `layers` has their values
  std::vector<size_t> last_reader;  // of each value, an index into ops; ops.size() for result() and `outputs`
  // The values of row kind table that other operations than those on tables read, in the order of their operations. Both
  // graphs of a plan have the same ones under ids of their own.
  std::vector<ValueId> tables;

  ValueId result() const { return layers.back().output; }
  // One past the layer's last operation.
  size_t layer_end(size_t layer) const {
    return layer + 1 < layers.size() ? layers[layer + 1].first_op : first_head;
  }
  ValueId output(Output o) const { return outputs[index_of(o)]; }
  // Whether the operation's results depend on weights alone.
  bool is_table(const PlanOp& op) const {
    return values[static_cast<size_t>(op.outputs[0])].rows == RowKind::table;
  }
};

inline constexpr int32_t kNoToken = -1;  // an id that no token has

struct Plan {
  // Each tensor once, in the order of the checkpoint. Modules that share a tensor (tied weights) have the same index.
  // Handles are set when the model is bound to an engine.
  std::vector<Parameter> parameters;
  size_t of_encoder = 0;            // number of the encoder's, which come first; the others belong to heads
  std::vector<PlanModule> modules;  // in the order of the checkpoint
  PlanGraph whole;                  // the encoder's result has a row for each token
  // The encoder's result has only the row of each text's first token. Rows of other tokens are computed only as far as
  // those need them. Has only the heads that need no other rows.
  PlanGraph first_tokens;
  int64_t vocab_size = 0, hidden_size = 0;
  int64_t token_types = 0;  // 0: the model has none
  int64_t max_tokens = 0;   // most tokens of a text
  int32_t padding_id =
      0;  // for RowIndex::positions_after_padding, wrapped_ids, OpKind::take_last; or kNoToken
  int32_t first_position = 0;  // for RowIndex::positions
  int32_t start_id = 0;        // for RowIndex::shifted_ids
  int32_t end_id = 0;          // for OpKind::take_end
  bool pools_prompt = true;    // whether poolings include the tokens of a prompt

  int64_t layers() const { return static_cast<int64_t>(whole.layers.size()) - 1; }

  // Number of columns of an output.
  int64_t columns(Output o) const { return whole.values[static_cast<size_t>(whole.output(o))].columns; }
  bool has(Output o) const { return o == Output::layers || whole.output(o) != kNoValue; }

  Embedding table(int module) const { return with_handles<Embedding>(module); }
  Linear linear(int module) const { return with_handles<Linear>(module); }
  LayerNorm norm(int module) const { return with_handles<LayerNorm>(module); }
  Convolution convolution(int module) const { return with_handles<Convolution>(module); }
  RowBias row_bias(int module) const { return with_handles<RowBias>(module); }
  // The operation's i-th module, reduced to the operation's range of rows.
  Linear linear(const PlanOp& op, size_t i) const {
    Linear l = linear(op.modules[i]);
    if (op.ranges.empty() || op.ranges[i].count == 0) return l;
    l.stored_rows = l.out;
    l.first_row = op.ranges[i].first;
    l.out = op.ranges[i].count;
    return l;
  }

  std::span<const Parameter> encoder_parameters() const { return std::span(parameters).first(of_encoder); }
  // Without the parameters of sentence-transformers modules, which come last.
  std::span<const Parameter> checkpoint_parameters() const {
    return std::span(parameters).first(in_checkpoint());
  }
  std::span<Parameter> checkpoint_parameters() { return std::span(parameters).first(in_checkpoint()); }
  size_t in_checkpoint() const {
    const auto first = std::ranges::find(parameters, ParameterFile::sentence_module, &Parameter::file);
    return static_cast<size_t>(first - parameters.begin());
  }
  const PlanModule& at(int module) const { return modules[static_cast<size_t>(module)]; }
  const Parameter& parameter(ParameterId id) const { return parameters[static_cast<size_t>(id)]; }
  WeightId handle(ParameterId id) const { return id == kNoParameter ? kNoWeight : parameter(id).handle; }

 private:
  template <class Weights>
  Weights with_handles(int module) const {
    const PlanModule& m = at(module);
    Weights weights = std::get<Weights>(m.weights);
    weights.weight = handle(m.weight);
    if constexpr (requires { weights.bias; }) weights.bias = handle(m.bias);
    return weights;
  }
};

// Weights of linears and norms that several of the encoder's operations read, such as those of ALBERT's layers. A
// fused matrix that one operation reads in parts is not shared. Operations on tables do not count: DeBERTa's positions
// share the matrices of queries and keys.
std::set<ParameterId> shared_weights(const Plan& plan);

// Number of multiplications and additions in the encoder's linears and convolutions for this many tokens and texts.
// Those of tables are not counted: they are computed once.
double linear_operations(const Plan& plan, const PlanGraph& graph, double tokens, double texts);

// The graph reduced to what the first tokens' rows of its result depend on, and to the heads that read no other rows.
// Attention needs the keys and values of all tokens, and the queries of the rows that are read. A convolution is
// computed for all tokens. A pooling needs all tokens, except that of first tokens, which is assumed to skip no prompt.
// All other operations work row by row.
PlanGraph narrow_to_first_tokens(const PlanGraph& whole);

// Sets `last_reader`, `tables` and `wanted_by`.
void find_readers(PlanGraph& graph);

}  // namespace mlxe
