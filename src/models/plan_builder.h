// Records a Plan. The methods have the names of models/ops.h. Each checks the shapes of its operands. finish() fuses
// what was recorded (models/fuse.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/plan.h"

namespace mlxe {

// Whose rows come first in a matrix of a gate and of what it multiplies.
enum class GateOrder { gate_first, up_first };

// Errors of every method: internal (shapes do not fit; names the module).
class PlanBuilder {
 public:
  PlanBuilder() = default;
  // Adds heads to an encoder, after the heads that it has.
  explicit PlanBuilder(Plan encoder);

  // Returns the table's index, for lookup() and attention(). Tables are recorded before the operations that read them,
  // in the order of the checkpoint.
  // `scale`: what its rows are multiplied with.
  int table(const std::string& name, int64_t rows, int64_t columns, Role role = Role::embedding,
            float scale = 1);
  // The sum of one row of each table, added in this order. Sets the plan's vocab_size and token_types.
  ValueId lookup(std::span<const std::pair<int, RowIndex>> tables);
  // All rows of a table. Operations on the result alone depend on weights alone: an engine runs them once.
  ValueId all_rows(int table);
  // x W^T + b, [tokens, out].
  ValueId linear(const std::string& name, ValueId x, int64_t out, Bias bias = Bias::yes,
                 Role role = Role::linear);
  // x W^T without a bias, where W is a table: both are one parameter (tied weights).
  ValueId linear_of_table(int table, ValueId x);
  // x times single rows of a matrix without a bias, a column for each row. `name`: the matrix, [of, columns of x].
  std::vector<ValueId> single_rows(const std::string& name, int64_t of, ValueId x,
                                   std::span<const int64_t> rows);
  std::vector<ValueId> single_rows_of_table(int table, ValueId x, std::span<const int64_t> rows);
  // [tokens, D] -> [texts, terms]. The logits are x W^T + b, where W is the table, or of its size the matrix of the module
  // `decoder` if that is not empty, and b the parameter `bias`, if that is not empty.
  ValueId term_weights(int table, const std::string& decoder, const std::string& bias, ValueId x,
                       TermWeighting weighting);
  // Several linears of one input, all `out` wide.
  std::vector<ValueId> multi_linear(std::span<const std::string> names, ValueId x, int64_t out,
                                    Bias bias = Bias::yes, Role role = Role::linear);
  // Several linears of one input, outs[i] wide.
  std::vector<ValueId> multi_linear(std::span<const std::string> names, ValueId x,
                                    std::span<const int64_t> outs, Bias bias = Bias::yes,
                                    Role role = Role::linear);
  // `count` linears of one input, all `out` wide, whose rows one matrix stores in this order.
  std::vector<ValueId> fused_linears(const std::string& name, int count, ValueId x, int64_t out, Bias bias);
  // `qkv`: queries, keys and values, all of one width. Keys and values may come from another value than the queries,
  // with a row for each token of the same texts. With spec.kv_heads, keys and values have that width divided by
  // spec.group(). The position keys and position queries of spec.disentangled follow, as wide as the queries, of row
  // kind table. `bias_table`: the table of spec.relative_bias. `norms`: the names of the norms in spec.norms, of
  // queries and of keys; the builder sets their sizes.
  ValueId attention(const std::string& name, const std::vector<ValueId>& qkv, AttentionSpec spec,
                    std::optional<int> bias_table = {}, std::span<const std::string> norms = {});
  // Along the tokens of each text, as wide as x, of row kind tokens.
  ValueId convolution(const std::string& name, ValueId x, int64_t kernel, int64_t groups);
  ValueId layer_norm(const std::string& name, ValueId x, float epsilon, Bias bias = Bias::yes);
  // x * weight + bias
  ValueId affine(const std::string& name, ValueId x);
  // `kind`: one without a mean.
  ValueId rms_norm(const std::string& name, ValueId x, float epsilon, NormKind kind = NormKind::rms);
  ValueId add(const std::string& name, ValueId a, ValueId b);
  ValueId subtract(const std::string& name, ValueId a, ValueId b);  // a - b
  ValueId multiply(const std::string& name, ValueId a, ValueId b);
  // Adds a vector, a parameter of this name, to each row.
  ValueId add_bias(const std::string& name, ValueId x);
  // down(activation(up(x))), as wide as x. `width`: the width of up(x).
  ValueId feed_forward(const std::string& up, const std::string& down, ValueId x, int64_t width,
                       Activation activation, Bias bias = Bias::yes);
  // down(activation(gate(x)) * up(x)). One matrix stores the rows of the gate and of up.
  ValueId gated_feed_forward(const std::string& gate_and_up, const std::string& down, ValueId x,
                             int64_t width, Activation activation, Bias bias, Bias down_bias,
                             GateOrder order = GateOrder::gate_first);
  // down(activation(gate(x)) * up(x)), with three matrices.
  ValueId gated_feed_forward(const std::string& gate, const std::string& up, const std::string& down,
                             ValueId x, int64_t width, Activation activation, Bias bias);

  // The row of each text's first token.
  ValueId take_first(ValueId x);
  // The row of each text's last end-of-sequence token (Plan::end_id, which the caller of finish() sets).
  ValueId take_end(ValueId x);
  // The row of each text's last token but padding (Plan::padding_id, which the caller sets).
  ValueId take_last(ValueId x);
  // The rows of the batch's chosen tokens.
  ValueId take_chosen(ValueId x);
  // [tokens, D] -> [texts, D]
  ValueId pool(ValueId x, PoolingKind kind);
  ValueId activation(ValueId x, Activation activation);
  // `count` columns of x from `first` on.
  ValueId columns_of(ValueId x, int64_t first, int64_t count);
  // x W without a bias, where W is a table of as many rows as x has columns.
  ValueId weighted_rows(int table, ValueId x);
  // Columns side by side.
  ValueId concatenate(const std::vector<ValueId>& parts);
  // Scales rows to unit length.
  ValueId normalize(ValueId x);

  // Sets the prefix of the names that follow.
  void scope(std::string prefix) { prefix_ = std::move(prefix); }
  // Sets the file of the parameters that follow. Parameters of the checkpoint come before those of
  // sentence-transformers modules.
  void file(ParameterFile file) { file_ = file; }
  // The first call ends the embeddings, each later call a layer.
  void end_layer(ValueId output);

  // The encoder's result, which heads read.
  ValueId hidden() const { return plan_.whole.result(); }
  // The table that is looked up by ids.
  int words() const;
  Embedding table_sizes(int table) const { return plan_.table(table); }
  int64_t columns(ValueId id) const;
  // Sets whether poolings include the tokens of a prompt.
  void pools_prompt(bool counts) { plan_.pools_prompt = counts; }
  // Sets the value of an output. Replaces an earlier one.
  void output(Output output, ValueId x);

  // The plan, with both graphs and hidden_size. The caller sets the other sizes and ids. Fused::no leaves the
  // encoder's operations as recorded, for tests of the pass.
  enum class Fused { yes, no };
  Plan finish(Fused fused = Fused::yes);

 private:
  ValueId append(PlanOp op, const std::string& name, int64_t columns);
  int feed_forward_module(const std::string& name, int64_t in, int64_t out, Bias bias);
  // x W^T + b with these rows of the module's matrix.
  ValueId product(int linear, ValueId x, RowRange range = {});
  std::vector<ValueId> single_rows(int linear, ValueId x, std::span<const int64_t> rows);
  // The module of a table as a matrix, for x.
  int matrix_of_table(int table, ValueId x);
  ValueId norm(const std::string& name, ValueId x, LayerNorm weights);
  void require_disentangled(const std::string& name, const std::vector<ValueId>& qkv,
                            const AttentionSpec& spec) const;
  // Operations of a layer read its own values, those of tables and outputs of earlier layers.
  void require_layered() const;
  // A value with rows like those of `like`.
  ValueId value(const std::string& name, int64_t columns, ValueId like);
  // Adds a module. Parameters that an earlier module has under the same names are shared, others are added.
  using Weights = std::variant<Embedding, Linear, LayerNorm, Convolution, RowBias>;
  int module(const std::string& name, Weights weights, Role role, Component component);
  ParameterId parameter(const std::string& name, const Shape& shape, Role role, Component component);
  RowKind rows(ValueId id) const;
  void require(bool fits, const std::string& module, const std::string& what) const;

  Plan plan_;
  std::string prefix_;
  Component component_ = Component::embeddings;  // of linears outside feed-forwards
  ParameterFile file_ = ParameterFile::checkpoint;
  bool heads_ = false;  // whether heads are being added
  size_t layer_start_ = 0;
};

}  // namespace mlxe
