#include "models/plan_builder.h"

#include <fmt/format.h>

#include "mlx_encoder/error.h"

namespace mlxe {

int PlanBuilder::table(const std::string& name, int64_t rows, int64_t columns, Role role) {
  return module(name, Embedding{.rows = rows, .columns = columns}, role,
                role == Role::relative_bias ? Component::attention : Component::embeddings);
}

ValueId PlanBuilder::lookup(std::span<const std::pair<int, RowIndex>> tables) {
  PlanOp op{.kind = OpKind::lookup, .inputs = {}, .outputs = {}};
  const int64_t width = plan_.table(tables[0].first).columns;
  for (const auto& [table, by] : tables) {
    const int64_t own = plan_.table(table).columns;
    require(own == width, plan_.at(table).name, fmt::format("adds {} columns to {}", own, width));
    op.modules.push_back(table);
    op.rows.push_back(by);
  }
  return append(std::move(op), plan_.at(tables[0].first).name, width);
}

ValueId PlanBuilder::linear(const std::string& name, ValueId x, int64_t out, Bias bias) {
  return linears({&name, 1}, x, out, bias)[0];
}

std::vector<ValueId> PlanBuilder::linears(std::span<const std::string> names, ValueId x, int64_t out,
                                          Bias bias) {
  PlanOp op{.kind = OpKind::linears, .inputs = {x}, .outputs = {}};
  for (const std::string& name : names) {
    op.modules.push_back(
        module(name, Linear{.in = columns(x), .out = out, .has_bias = bias}, Role::linear, component_));
    op.outputs.push_back(value(prefix_ + name, out));
  }
  std::vector<ValueId> outputs = op.outputs;
  plan_.whole.ops.push_back(std::move(op));
  return outputs;
}

std::vector<ValueId> PlanBuilder::fused_linears(const std::string& name, int count, ValueId x, int64_t out,
                                                Bias bias) {
  PlanOp op{.kind = OpKind::linears, .inputs = {x}, .outputs = {}};
  const int fused =
      module(name, Linear{.in = columns(x), .out = count * out, .has_bias = bias}, Role::linear, component_);
  for (int i = 0; i < count; ++i) {
    op.modules.push_back(fused);
    op.ranges.push_back({i * out, out});
    op.outputs.push_back(value(prefix_ + name, out));
  }
  std::vector<ValueId> outputs = op.outputs;
  plan_.whole.ops.push_back(std::move(op));
  return outputs;
}

ValueId PlanBuilder::attention(const std::string& name, const std::vector<ValueId>& qkv, AttentionSpec spec,
                               std::optional<int> bias_table) {
  require(qkv.size() == 3, name, fmt::format("attention of {} values", qkv.size()));
  const int64_t width = columns(qkv[0]);
  for (const ValueId x : qkv)
    require(columns(x) == width, name,
            fmt::format("queries have {} columns, keys or values {}", width, columns(x)));
  require(spec.heads > 0 && width % spec.heads == 0, name,
          fmt::format("{} heads do not divide {} columns", spec.heads, width));
  require(!spec.rotary || width / spec.heads % 2 == 0, name,
          fmt::format("rotary positions in heads of {} columns", width / spec.heads));
  PlanOp op{.kind = OpKind::attention, .inputs = qkv, .outputs = {}, .attention = spec};
  require(spec.relative_bias.has_value() == bias_table.has_value(), name,
          "a relative bias and its table go together");
  if (bias_table) {
    const int64_t own = plan_.table(*bias_table).columns;
    require(
        spec.relative_bias->buckets <= plan_.table(*bias_table).rows, plan_.at(*bias_table).name,
        fmt::format("{} rows for {} buckets", plan_.table(*bias_table).rows, spec.relative_bias->buckets));
    require(own == spec.heads, plan_.at(*bias_table).name,
            fmt::format("biases of {} heads, of {}", own, spec.heads));
    op.modules = {*bias_table};
  }
  return append(std::move(op), prefix_ + name, width);
}

ValueId PlanBuilder::layer_norm(const std::string& name, ValueId x, float epsilon, Bias bias) {
  const int norm = module(name, LayerNorm{.epsilon = epsilon, .size = columns(x), .has_bias = bias},
                          Role::norm, Component::norms);
  return append({.kind = OpKind::layer_norm, .inputs = {x}, .outputs = {}, .modules = {norm}}, prefix_ + name,
                columns(x));
}

ValueId PlanBuilder::add(const std::string& name, ValueId a, ValueId b) {
  require(columns(a) == columns(b), name, fmt::format("adds {} columns to {}", columns(a), columns(b)));
  return append({.kind = OpKind::add, .inputs = {a, b}, .outputs = {}}, prefix_ + name, columns(a));
}

ValueId PlanBuilder::add_layer_norm(const std::string& name, ValueId a, ValueId b, float epsilon) {
  require(columns(a) == columns(b), name, fmt::format("adds {} columns to {}", columns(a), columns(b)));
  const int norm =
      module(name, LayerNorm{.epsilon = epsilon, .size = columns(a)}, Role::norm, Component::norms);
  return append({.kind = OpKind::add_layer_norm, .inputs = {a, b}, .outputs = {}, .modules = {norm}},
                prefix_ + name, columns(a));
}

ValueId PlanBuilder::feed_forward(const std::string& up, const std::string& down, ValueId x, int64_t width,
                                  Activation activation) {
  const int64_t out = columns(x);
  const int first = module(up, Linear{.in = out, .out = width}, Role::linear, Component::feed_forward);
  const int second = module(down, Linear{.in = width, .out = out}, Role::linear, Component::feed_forward);
  return append({.kind = OpKind::feed_forward,
                 .inputs = {x},
                 .outputs = {},
                 .modules = {first, second},
                 .activation = activation},
                prefix_ + down, out);
}

ValueId PlanBuilder::gated_feed_forward(const std::string& gate_and_up, const std::string& down, ValueId x,
                                        int64_t width, Activation activation, Bias bias) {
  const int64_t out = columns(x);
  const int fused = module(gate_and_up, Linear{.in = out, .out = 2 * width, .has_bias = bias}, Role::linear,
                           Component::feed_forward);
  const int second =
      module(down, Linear{.in = width, .out = out, .has_bias = bias}, Role::linear, Component::feed_forward);
  return append({.kind = OpKind::feed_forward,
                 .inputs = {x},
                 .outputs = {},
                 .modules = {fused, second, fused},
                 .ranges = {{width, width}, {}, {0, width}},
                 .activation = activation},
                prefix_ + down, out);
}

void PlanBuilder::end_layer(ValueId output) {
  columns(output);
  plan_.whole.layers.push_back({.first_op = layer_start_, .output = output});
  layer_start_ = plan_.whole.ops.size();
  component_ = Component::attention;
}

Plan PlanBuilder::finish() {
  require(!plan_.whole.layers.empty() && layer_start_ == plan_.whole.ops.size(), "the model",
          "operations after the last layer");
  find_last_readers(plan_.whole);
  plan_.first_tokens = narrow_to_first_tokens(plan_.whole);
  plan_.hidden_size = columns(plan_.whole.result());
  plan_.of_encoder = plan_.parameters.size();
  return std::move(plan_);
}

ValueId PlanBuilder::append(PlanOp op, const std::string& name, int64_t columns) {
  op.outputs = {value(name, columns)};
  plan_.whole.ops.push_back(std::move(op));
  return plan_.whole.ops.back().outputs[0];
}

ValueId PlanBuilder::value(const std::string& name, int64_t columns) {
  plan_.whole.values.push_back({.columns = columns, .name = name});
  return static_cast<ValueId>(plan_.whole.values.size()) - 1;
}

int PlanBuilder::module(const std::string& name, std::variant<Embedding, Linear, LayerNorm> weights,
                        Role role, Component component) {
  const auto ended = static_cast<int64_t>(plan_.whole.layers.size());  // the embeddings are the first
  return plan_.add_module(prefix_ + name, std::move(weights), role, component,
                          ended > 0 ? std::optional(ended - 1) : std::nullopt);
}

int64_t PlanBuilder::columns(ValueId id) const {
  require(id >= 0 && static_cast<size_t>(id) < plan_.whole.values.size(), "the model",
          fmt::format("reads value {} of {}", id, plan_.whole.values.size()));
  return plan_.whole.values[static_cast<size_t>(id)].columns;
}

void PlanBuilder::require(bool fits, const std::string& module, const std::string& what) const {
  if (!fits) throw Error(ErrorCode::internal, fmt::format("plan: {}{}: {}", prefix_, module, what));
}

}  // namespace mlxe
