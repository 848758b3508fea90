// Records a Plan. The methods carry the names of models/ops.h and check shapes as they go.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/plan.h"

namespace mlxe {

// Errors, of every method: internal, naming the module, where shapes do not fit.
class PlanBuilder {
 public:
  PlanBuilder() = default;
  // Adds heads to an encoder, after those it has.
  explicit PlanBuilder(Plan encoder);

  // A table that lookups name by the result. Tables come before what reads them, in the order of the checkpoint.
  int table(const std::string& name, int64_t rows, int64_t columns, Role role = Role::embedding);
  // The sum of rows of several tables, added in this order.
  ValueId lookup(std::span<const std::pair<int, RowIndex>> tables);
  // x W^T + b, [tokens, out].
  ValueId linear(const std::string& name, ValueId x, int64_t out, Bias bias = Bias::yes,
                 Role role = Role::linear);
  // Several of one input and one width.
  std::vector<ValueId> linears(std::span<const std::string> names, ValueId x, int64_t out,
                               Bias bias = Bias::yes, Role role = Role::linear);
  // Several of one input, of these widths.
  std::vector<ValueId> linears(std::span<const std::string> names, ValueId x, std::span<const int64_t> outs,
                               Bias bias = Bias::yes, Role role = Role::linear);
  // The same of one matrix that holds the rows of all, `count` times `out`.
  std::vector<ValueId> fused_linears(const std::string& name, int count, ValueId x, int64_t out, Bias bias);
  // `qkv`: queries, keys, values, all of one width, or keys and values of spec.kv_heads. `bias_table`: of
  // spec.relative_bias. `norms`: names of spec.norms, whose sizes the builder sets.
  ValueId attention(const std::string& name, const std::vector<ValueId>& qkv, AttentionSpec spec,
                    std::optional<int> bias_table = {}, std::span<const std::string> norms = {});
  ValueId layer_norm(const std::string& name, ValueId x, float epsilon, Bias bias = Bias::yes);
  ValueId rms_norm(const std::string& name, ValueId x, float epsilon);
  ValueId add(const std::string& name, ValueId a, ValueId b);
  // layer_norm(a + b)
  ValueId add_layer_norm(const std::string& name, ValueId a, ValueId b, float epsilon);
  // down(activation(up(x))), as wide as x. `width`: of what is between them.
  ValueId feed_forward(const std::string& up, const std::string& down, ValueId x, int64_t width,
                       Activation activation);
  // down(activation(gate(x)) * up(x)) of one matrix that holds the rows of the gate, then those of up.
  ValueId gated_feed_forward(const std::string& gate_and_up, const std::string& down, ValueId x,
                             int64_t width, Activation activation, Bias bias);
  // down(activation(gate(x)) * up(x)) of three matrices.
  ValueId gated_feed_forward(const std::string& gate, const std::string& up, const std::string& down,
                             ValueId x, int64_t width, Activation activation, Bias bias);

  // The row of each text's first token.
  ValueId take_first(ValueId x);
  // [tokens, D] -> [texts, D]
  ValueId pool(ValueId x, PoolingKind kind);
  ValueId activation(ValueId x, Activation activation);
  // Columns side by side.
  ValueId concatenate(const std::vector<ValueId>& parts);
  // Rows to unit length.
  ValueId normalize(ValueId x);

  // Names from here on begin with `prefix`.
  void scope(std::string prefix) { prefix_ = std::move(prefix); }
  // What the linears from here on belong to, those of feed-forwards apart: the embeddings until the first
  // end_layer(), then attention, unless this says otherwise.
  void component(Component of_linears) { component_ = of_linears; }
  // Where the parameters from here on lie. None of the checkpoint come after one of a module.
  void file(ParameterFile file) { file_ = file; }
  // Ends the embeddings, the first time; then layer after layer.
  void end_layer(ValueId output);

  // What the encoder gives, for heads.
  ValueId hidden() const { return plan_.whole.result(); }
  int64_t columns(ValueId id) const;
  // Whether its poolings count the tokens of a prompt.
  void pools_prompt(bool counts) { plan_.pools_prompt = counts; }
  // Takes the place of an earlier value of that output.
  void output(Output output, ValueId x);

  // With both graphs. The caller fills in the rest.
  Plan finish();

 private:
  ValueId append(PlanOp op, const std::string& name, int64_t columns);
  ValueId value(const std::string& name, int64_t columns, RowKind rows);
  // A module and its parameters: those an earlier module has under the same names, or new ones.
  int module(const std::string& name, std::variant<Embedding, Linear, LayerNorm> weights, Role role,
             Component component);
  ParameterId parameter(const std::string& name, const Shape& shape, Role role, Component component);
  RowKind rows(ValueId id) const;
  void require(bool fits, const std::string& module, const std::string& what) const;

  Plan plan_;
  std::string prefix_;
  Component component_ = Component::embeddings;
  ParameterFile file_ = ParameterFile::checkpoint;
  bool heads_ = false;  // they are being added
  size_t layer_start_ = 0;
};

}  // namespace mlxe
