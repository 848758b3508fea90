#include "models/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "mlx_encoder/error.h"
#include "models/fuse.h"

namespace mlxe {

PlanBuilder::PlanBuilder(Plan encoder)
    : plan_(std::move(encoder)), component_(Component::head), heads_(true) {}

int PlanBuilder::table(const std::string& name, int64_t rows, int64_t columns, Role role, float scale) {
  return module(name, Embedding{.rows = rows, .columns = columns, .scale = scale}, role,
                role == Role::relative_bias ? Component::attention : Component::embeddings);
}

ValueId PlanBuilder::lookup(std::span<const std::pair<int, RowIndex>> tables) {
  PlanOp op{.kind = OpKind::lookup, .inputs = {}, .outputs = {}};
  const int64_t width = plan_.table(tables[0].first).columns;
  for (const auto& [table, by] : tables) {
    const Embedding sizes = plan_.table(table);
    require(sizes.columns == width, plan_.at(table).name,
            fmt::format("adds {} columns to {}", sizes.columns, width));
    if (by == RowIndex::ids) plan_.vocab_size = sizes.rows;
    if (by == RowIndex::token_types) plan_.token_types = sizes.rows;
    op.modules.push_back(table);
    op.rows.push_back(by);
  }
  return append(std::move(op), plan_.at(tables[0].first).name, width);
}

ValueId PlanBuilder::all_rows(int table) {
  const Embedding sizes = plan_.table(table);
  require(sizes.scale == 1, plan_.at(table).name, "all rows of a scaled table");
  const ValueId all = append({.kind = OpKind::all_rows, .inputs = {}, .outputs = {}, .modules = {table}},
                             plan_.at(table).name, sizes.columns);
  PlanValue& made = plan_.whole.values.back();
  made.rows = RowKind::table, made.table_rows = sizes.rows;
  return all;
}

ValueId PlanBuilder::linear(const std::string& name, ValueId x, int64_t out, Bias bias, Role role) {
  return multi_linear({&name, 1}, x, out, bias, role)[0];
}

ValueId PlanBuilder::linear_of_table(int table, ValueId x) {
  return product(matrix_of_table(table, x), x);
}

int PlanBuilder::matrix_of_table(int table, ValueId x) {
  const Embedding sizes = plan_.table(table);
  const std::string name = plan_.at(table).name;
  require(columns(x) == sizes.columns && sizes.scale == 1, name,
          fmt::format("a table of {} columns times {} multiplied with {} columns", sizes.columns, sizes.scale,
                      columns(x)));
  plan_.modules.push_back({.name = name,
                           .weights = Linear{.in = sizes.columns, .out = sizes.rows, .has_bias = Bias::no},
                           .weight = plan_.at(table).weight});
  return static_cast<int>(plan_.modules.size()) - 1;
}

std::vector<ValueId> PlanBuilder::single_rows(const std::string& name, int64_t of, ValueId x,
                                              std::span<const int64_t> rows) {
  const Linear matrix{.in = columns(x), .out = of, .has_bias = Bias::no};
  return single_rows(module(name, matrix, Role::linear, component_), x, rows);
}

std::vector<ValueId> PlanBuilder::single_rows_of_table(int table, ValueId x, std::span<const int64_t> rows) {
  return single_rows(matrix_of_table(table, x), x, rows);
}

std::vector<ValueId> PlanBuilder::single_rows(int linear, ValueId x, std::span<const int64_t> rows) {
  PlanOp op{.kind = OpKind::multi_linear, .inputs = {x}, .outputs = {}};
  for (const int64_t row : rows) {
    require(row >= 0 && row < plan_.linear(linear).out, plan_.at(linear).name,
            fmt::format("row {} of {}", row, plan_.linear(linear).out));
    op.modules.push_back(linear);
    op.ranges.push_back({row, 1});
    op.outputs.push_back(value(fmt::format("{} row {}", plan_.at(linear).name, row), 1, x));
  }
  plan_.whole.ops.push_back(op);
  return op.outputs;
}

ValueId PlanBuilder::term_weights(int table, const std::string& decoder, const std::string& bias, ValueId x,
                                  TermWeighting weighting) {
  require(rows(x) == RowKind::tokens, "term weights", "of rows of texts");
  const int64_t terms = plan_.table(table).rows;
  const int linear = decoder.empty()
                         ? matrix_of_table(table, x)
                         : module(decoder, Linear{.in = columns(x), .out = terms, .has_bias = Bias::no},
                                  Role::linear, component_);
  if (!bias.empty()) {
    PlanModule& made = plan_.modules[static_cast<size_t>(linear)];
    std::get<Linear>(made.weights).has_bias = Bias::yes;
    made.bias = parameter(bias, {terms}, Role::bias, component_);
  }
  return append(
      {.kind = OpKind::term_weights, .inputs = {x}, .outputs = {}, .modules = {linear}, .terms = weighting},
      "term weights", terms);
}

int PlanBuilder::words() const {
  for (const PlanOp& op : plan_.whole.ops)
    for (size_t i = 0; i < op.rows.size(); ++i)
      if (op.rows[i] == RowIndex::ids) return op.modules[i];
  throw Error(ErrorCode::internal, "plan: the model looks up no ids");
}

std::vector<ValueId> PlanBuilder::multi_linear(std::span<const std::string> names, ValueId x, int64_t out,
                                               Bias bias, Role role) {
  return multi_linear(names, x, std::vector<int64_t>(names.size(), out), bias, role);
}

std::vector<ValueId> PlanBuilder::multi_linear(std::span<const std::string> names, ValueId x,
                                               std::span<const int64_t> outs, Bias bias, Role role) {
  std::vector<ValueId> outputs;
  for (size_t i = 0; i < names.size(); ++i)
    outputs.push_back(product(
        module(names[i], Linear{.in = columns(x), .out = outs[i], .has_bias = bias}, role, component_), x));
  return outputs;
}

std::vector<ValueId> PlanBuilder::fused_linears(const std::string& name, int count, ValueId x, int64_t out,
                                                Bias bias) {
  const int fused =
      module(name, Linear{.in = columns(x), .out = count * out, .has_bias = bias}, Role::linear, component_);
  std::vector<ValueId> outputs;
  for (int i = 0; i < count; ++i) outputs.push_back(product(fused, x, {i * out, out}));
  return outputs;
}

ValueId PlanBuilder::attention(const std::string& name, const std::vector<ValueId>& qkv, AttentionSpec spec,
                               std::optional<int> bias_table, std::span<const std::string> norms) {
  require_disentangled(name, qkv, spec);
  const int64_t width = columns(qkv[0]);
  require(spec.kv_heads == 0 || (spec.kv_heads > 0 && spec.heads % spec.kv_heads == 0), name,
          fmt::format("{} heads of keys do not divide {} of queries", spec.kv_heads, spec.heads));
  const std::string share =
      spec.kv_heads == 0 ? "" : fmt::format(" for {} of {} heads", spec.kv_heads, spec.heads);
  for (const ValueId x : {qkv[1], qkv[2]})
    require(columns(x) * spec.group() == width, name,
            fmt::format("queries have {} columns, keys or values {}{}", width, columns(x), share));
  require(spec.heads > 0 && width % spec.heads == 0, name,
          fmt::format("{} heads do not divide {} columns", spec.heads, width));
  require(!spec.rotary || width / spec.heads % 2 == 0, name,
          fmt::format("rotary positions in heads of {} columns", width / spec.heads));
  require(!spec.alibi || (!spec.rotary && !spec.relative_bias && !spec.disentangled), name,
          "linear biases beside another kind of position");
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
  require(norms.size() == (spec.norms ? 2 : 0), name, "the norms of queries and keys have a name each");
  if (spec.norms)
    for (LayerNorm* norm : {&op.attention.norms->query, &op.attention.norms->key}) {
      norm->size = width / spec.heads;
      op.modules.push_back(
          module(norms[norm == &op.attention.norms->key], *norm, Role::norm, Component::norms));
    }
  return append(std::move(op), prefix_ + name, width);
}

void PlanBuilder::require_disentangled(const std::string& name, const std::vector<ValueId>& qkv,
                                       const AttentionSpec& spec) const {
  const auto& d = spec.disentangled;
  const size_t tables = d ? size_t{d->content_to_position} + size_t{d->position_to_content} : 0;
  require(qkv.size() == 3 + tables, name, fmt::format("attention of {} values", qkv.size()));
  if (!d) return;
  require(tables > 0 && spec.kv_heads == 0 && !spec.rotary && !spec.norms && !spec.relative_bias, name,
          "disentangled terms beside another kind of position");
  for (size_t i = 3; i < qkv.size(); ++i) {
    const PlanValue& table = plan_.whole.values[static_cast<size_t>(qkv[i])];
    require(
        table.rows == RowKind::table && table.table_rows == 2 * d->span && table.columns == columns(qkv[0]),
        name,
        fmt::format("positions are [{}, {}], expected a table of [{}, {}]", table.table_rows, table.columns,
                    2 * d->span, columns(qkv[0])));
  }
}

ValueId PlanBuilder::convolution(const std::string& name, ValueId x, int64_t kernel, int64_t groups) {
  const int64_t channels = columns(x);
  require(rows(x) == RowKind::tokens, name, "a convolution of other rows than tokens");
  require(kernel % 2 == 1, name, fmt::format("a kernel of {} tokens, expected an odd number", kernel));
  require(groups > 0 && channels % groups == 0, name,
          fmt::format("{} groups do not divide {} channels", groups, channels));
  const int weights = module(name, Convolution{.channels = channels, .kernel = kernel, .groups = groups},
                             Role::convolution, component_);
  return append({.kind = OpKind::convolution, .inputs = {x}, .outputs = {}, .modules = {weights}},
                prefix_ + name, channels);
}

ValueId PlanBuilder::norm(const std::string& name, ValueId x, LayerNorm weights) {
  weights.size = columns(x);
  const int norm = module(name, weights, Role::norm, Component::norms);
  return append({.kind = OpKind::layer_norm, .inputs = {x}, .outputs = {}, .modules = {norm}}, prefix_ + name,
                columns(x));
}

ValueId PlanBuilder::layer_norm(const std::string& name, ValueId x, float epsilon, Bias bias) {
  return norm(name, x, {.epsilon = epsilon, .has_bias = bias});
}

ValueId PlanBuilder::rms_norm(const std::string& name, ValueId x, float epsilon, NormKind kind) {
  return norm(name, x, {.epsilon = epsilon, .has_bias = Bias::no, .kind = kind});
}

ValueId PlanBuilder::affine(const std::string& name, ValueId x) {
  return norm(name, x, {.kind = NormKind::affine});
}

ValueId PlanBuilder::add(const std::string& name, ValueId a, ValueId b) {
  require(columns(a) == columns(b), name, fmt::format("adds {} columns to {}", columns(a), columns(b)));
  require(rows(a) == rows(b), name, "adds rows of tokens to rows of texts");
  return append({.kind = OpKind::add, .inputs = {a, b}, .outputs = {}}, prefix_ + name, columns(a));
}

ValueId PlanBuilder::subtract(const std::string& name, ValueId a, ValueId b) {
  require(columns(a) == columns(b), name,
          fmt::format("subtracts {} columns from {}", columns(b), columns(a)));
  require(rows(a) == rows(b), name, "subtracts rows of tokens from rows of texts");
  return append({.kind = OpKind::subtract, .inputs = {a, b}, .outputs = {}}, prefix_ + name, columns(a));
}

ValueId PlanBuilder::multiply(const std::string& name, ValueId a, ValueId b) {
  require(columns(a) == columns(b), name, fmt::format("multiplies {} columns by {}", columns(a), columns(b)));
  require(rows(a) == rows(b), name, "multiplies rows of tokens by rows of texts");
  return append({.kind = OpKind::multiply, .inputs = {a, b}, .outputs = {}}, prefix_ + name, columns(a));
}

ValueId PlanBuilder::add_bias(const std::string& name, ValueId x) {
  const int bias = module(name, RowBias{.size = columns(x)}, Role::bias, component_);
  return append({.kind = OpKind::add_bias, .inputs = {x}, .outputs = {}, .modules = {bias}}, prefix_ + name,
                columns(x));
}

ValueId PlanBuilder::feed_forward(const std::string& up, const std::string& down, ValueId x, int64_t width,
                                  Activation act, Bias bias) {
  const int first = feed_forward_module(up, columns(x), width, bias),
            second = feed_forward_module(down, width, columns(x), bias);
  return product(second, activation(product(first, x), act));
}

ValueId PlanBuilder::gated_feed_forward(const std::string& gate_and_up, const std::string& down, ValueId x,
                                        int64_t width, Activation act, Bias bias, Bias down_bias,
                                        GateOrder order) {
  const int both = feed_forward_module(gate_and_up, columns(x), 2 * width, bias),
            second = feed_forward_module(down, width, columns(x), down_bias);
  const RowRange first{0, width}, last{width, width};
  const bool gate_first = order == GateOrder::gate_first;
  const ValueId gate = activation(product(both, x, gate_first ? first : last), act),
                up = product(both, x, gate_first ? last : first);
  return product(second, multiply(gate_and_up, gate, up));
}

ValueId PlanBuilder::gated_feed_forward(const std::string& gate, const std::string& up,
                                        const std::string& down, ValueId x, int64_t width, Activation act,
                                        Bias bias) {
  const int first = feed_forward_module(gate, columns(x), width, bias),
            second = feed_forward_module(up, columns(x), width, bias),
            third = feed_forward_module(down, width, columns(x), bias);
  const ValueId active = activation(product(first, x), act);
  return product(third, multiply(up, active, product(second, x)));
}

ValueId PlanBuilder::take_first(ValueId x) {
  require(rows(x) == RowKind::tokens, "first tokens", "taken of rows of texts");
  return append({.kind = OpKind::take_first, .inputs = {x}, .outputs = {}}, "first tokens", columns(x));
}

ValueId PlanBuilder::take_end(ValueId x) {
  require(rows(x) == RowKind::tokens, "end tokens", "taken of rows of texts");
  return append({.kind = OpKind::take_end, .inputs = {x}, .outputs = {}}, "end tokens", columns(x));
}

ValueId PlanBuilder::take_last(ValueId x) {
  require(rows(x) == RowKind::tokens, "last tokens", "taken of rows of texts");
  return append({.kind = OpKind::take_last, .inputs = {x}, .outputs = {}}, "last tokens", columns(x));
}

ValueId PlanBuilder::take_chosen(ValueId x) {
  require(rows(x) == RowKind::tokens, "chosen tokens", "taken of rows of texts");
  return append({.kind = OpKind::take_chosen, .inputs = {x}, .outputs = {}}, "chosen tokens", columns(x));
}

ValueId PlanBuilder::pool(ValueId x, PoolingKind kind) {
  require(rows(x) == RowKind::tokens, "pooling", "of rows of texts");
  return append({.kind = OpKind::pool, .inputs = {x}, .outputs = {}, .pooling = kind}, "pooling", columns(x));
}

ValueId PlanBuilder::activation(ValueId x, Activation activation) {
  return append({.kind = OpKind::activation, .inputs = {x}, .outputs = {}, .activation = activation},
                mlxe::name(activation), columns(x));
}

ValueId PlanBuilder::columns_of(ValueId x, int64_t first, int64_t count) {
  require(first >= 0 && count > 0 && first + count <= columns(x), "columns",
          fmt::format("{} from {} on, of {}", count, first, columns(x)));
  return append({.kind = OpKind::columns, .inputs = {x}, .outputs = {}, .first_column = first}, "columns",
                count);
}

ValueId PlanBuilder::weighted_rows(int table, ValueId x) {
  const Embedding sizes = plan_.table(table);
  require(sizes.rows == columns(x) && sizes.scale == 1, plan_.at(table).name,
          fmt::format("{} rows times {} weighted by {} columns", sizes.rows, sizes.scale, columns(x)));
  return append({.kind = OpKind::weighted_rows, .inputs = {x}, .outputs = {}, .modules = {table}},
                plan_.at(table).name, sizes.columns);
}

ValueId PlanBuilder::concatenate(const std::vector<ValueId>& parts) {
  require(!parts.empty(), "concatenation", "of nothing");
  int64_t width = 0;
  for (const ValueId x : parts) {
    require(rows(x) == rows(parts[0]), "concatenation", "rows of tokens beside rows of texts");
    width += columns(x);
  }
  return append({.kind = OpKind::concatenate, .inputs = parts, .outputs = {}}, "concatenation", width);
}

ValueId PlanBuilder::normalize(ValueId x) {
  return append({.kind = OpKind::normalize, .inputs = {x}, .outputs = {}}, "normalization", columns(x));
}

void PlanBuilder::end_layer(ValueId output) {
  columns(output);
  plan_.whole.layers.push_back({.first_op = layer_start_, .output = output});
  layer_start_ = plan_.whole.ops.size();
  component_ = Component::attention;
}

void PlanBuilder::output(Output output, ValueId x) {
  constexpr std::array kKinds{RowKind::tokens, RowKind::texts, RowKind::chosen};  // of OutputRows
  const RowKind wanted = kKinds[static_cast<size_t>(entry(output).rows)];
  require(rows(x) == wanted, entry(output).name,
          fmt::format("has rows of kind {}, not {}", mlxe::name(wanted), mlxe::name(rows(x))));
  plan_.whole.outputs[index_of(output)] = x;
}

Plan PlanBuilder::finish(Fused fused) {
  if (!heads_) {
    require(!plan_.whole.layers.empty() && layer_start_ == plan_.whole.ops.size(), "the model",
            "operations after the last layer");
    plan_.whole.first_head = plan_.whole.ops.size();
    plan_.hidden_size = columns(hidden());
    plan_.of_encoder = plan_.parameters.size();
    output(Output::hidden, hidden());
    require_layered();
    if (fused == Fused::yes) plan_.whole = fuse(std::move(plan_.whole));
  }
  find_readers(plan_.whole);
  plan_.first_tokens = narrow_to_first_tokens(plan_.whole);
  require(plan_.first_tokens.tables.size() == plan_.whole.tables.size(), "the model",
          "a table that the rows of first tokens do not depend on");
  return std::move(plan_);
}

void PlanBuilder::require_layered() const {
  const PlanGraph& graph = plan_.whole;
  std::vector<bool> readable(graph.values.size());
  for (size_t layer = 0; layer < graph.layers.size(); ++layer) {
    for (size_t i = graph.layers[layer].first_op; i < graph.layer_end(layer); ++i) {
      const PlanOp& op = graph.ops[i];
      for (const ValueId id : op.inputs)
        require(readable[static_cast<size_t>(id)], graph.values[static_cast<size_t>(id)].name,
                "read by a later layer, but no output of its own");
      for (const ValueId id : op.outputs) readable[static_cast<size_t>(id)] = true;
    }
    for (size_t i = graph.layers[layer].first_op; i < graph.layer_end(layer); ++i)
      for (const ValueId id : graph.ops[i].outputs)
        readable[static_cast<size_t>(id)] = id == graph.layers[layer].output || graph.is_table(graph.ops[i]);
  }
}

int PlanBuilder::feed_forward_module(const std::string& name, int64_t in, int64_t out, Bias bias) {
  return module(name, Linear{.in = in, .out = out, .has_bias = bias}, Role::linear, Component::feed_forward);
}

ValueId PlanBuilder::product(int linear, ValueId x, RowRange range) {
  return append(
      {.kind = OpKind::multi_linear, .inputs = {x}, .outputs = {}, .modules = {linear}, .ranges = {range}},
      plan_.at(linear).name, range.count > 0 ? range.count : plan_.linear(linear).out);
}

ValueId PlanBuilder::append(PlanOp op, const std::string& name, int64_t columns) {
  op.outputs = {value(name, columns, op.inputs.empty() ? kNoValue : op.inputs[0])};
  if (op.kind == OpKind::take_first || op.kind == OpKind::take_end || op.kind == OpKind::take_last ||
      op.kind == OpKind::pool || op.kind == OpKind::term_weights)
    plan_.whole.values.back().rows = RowKind::texts;
  if (op.kind == OpKind::take_chosen) plan_.whole.values.back().rows = RowKind::chosen;
  plan_.whole.ops.push_back(std::move(op));
  return plan_.whole.ops.back().outputs[0];
}

ValueId PlanBuilder::value(const std::string& name, int64_t columns, ValueId like) {
  PlanValue made{.columns = columns, .name = name};
  if (like != kNoValue) {
    made.rows = rows(like);
    made.table_rows = plan_.whole.values[static_cast<size_t>(like)].table_rows;
  }
  plan_.whole.values.push_back(std::move(made));
  return static_cast<ValueId>(plan_.whole.values.size()) - 1;
}

int PlanBuilder::module(const std::string& name, Weights weights, Role role, Component component) {
  PlanModule module{.name = prefix_ + name, .weights = std::move(weights)};
  const auto parameters = [&](const Shape& weight, Role weight_role, std::optional<Role> bias_role) {
    module.weight = parameter(name + ".weight", weight, weight_role, component);
    if (bias_role) module.bias = parameter(name + ".bias", {weight[0]}, *bias_role, component);
  };
  const auto if_any = [](Bias bias, Role its) {
    return bias == Bias::yes ? std::optional(its) : std::nullopt;
  };
  if (const auto* table = std::get_if<Embedding>(&module.weights))
    parameters({table->rows, table->columns}, role, {});
  else if (const auto* linear = std::get_if<Linear>(&module.weights))
    parameters({linear->rows(), linear->in}, role, if_any(linear->has_bias, Role::bias));
  else if (const auto* norm = std::get_if<LayerNorm>(&module.weights))
    parameters({norm->size}, role, if_any(norm->has_bias, role));
  else if (const auto* conv = std::get_if<Convolution>(&module.weights))
    parameters({conv->channels, conv->channels / conv->groups, conv->kernel}, role, Role::bias);
  else if (const auto* bias = std::get_if<RowBias>(&module.weights))
    module.weight = parameter(name, {bias->size}, role, component);
  plan_.modules.push_back(std::move(module));
  return static_cast<int>(plan_.modules.size()) - 1;
}

ParameterId PlanBuilder::parameter(const std::string& name, const Shape& shape, Role role,
                                   Component component) {
  std::vector<Parameter>& all = plan_.parameters;
  const auto known = std::ranges::find(all, prefix_ + name, &Parameter::name);
  if (known != all.end()) {
    require(known->shape == shape, name,
            fmt::format("is {}, now {}", to_string(known->shape), to_string(shape)));
    return static_cast<ParameterId>(known - all.begin());
  }
  require(all.empty() || all.back().file <= file_, name, "of the checkpoint, after those of other files");
  Parameter& p = all.emplace_back(
      Parameter{.name = prefix_ + name, .shape = shape, .role = role, .component = component, .file = file_});
  const auto ended = static_cast<int64_t>(plan_.whole.layers.size());  // the embeddings are the first
  if (!heads_ && ended > 0) p.layer = ended - 1;
  return static_cast<ParameterId>(all.size()) - 1;
}

int64_t PlanBuilder::columns(ValueId id) const {
  require(id >= 0 && static_cast<size_t>(id) < plan_.whole.values.size(), "the model",
          fmt::format("reads value {} of {}", id, plan_.whole.values.size()));
  return plan_.whole.values[static_cast<size_t>(id)].columns;
}

RowKind PlanBuilder::rows(ValueId id) const {
  columns(id);
  return plan_.whole.values[static_cast<size_t>(id)].rows;
}

void PlanBuilder::require(bool fits, const std::string& module, const std::string& what) const {
  if (!fits) throw Error(ErrorCode::internal, fmt::format("plan: {}{}: {}", prefix_, module, what));
}

}  // namespace mlxe
