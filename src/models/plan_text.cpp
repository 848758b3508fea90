#include "models/plan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

namespace mlxe {
namespace {

constexpr std::array kIndexNames{"ids",
                                 "ids of next tokens",
                                 "ids of previous tokens",
                                 "ids shifted right",
                                 "ids shifted right, the last one first",
                                 "token types",
                                 "positions",
                                 "positions after padding"};

const char* name(NormKind kind) noexcept {
  constexpr std::array kNames{"layer norm", "rms norm", "rms norm, 1 + weight", "affine"};
  return kNames[static_cast<size_t>(kind)];
}

struct Row {
  std::string results, shape, op, inputs, modules;
};

struct LayerText {
  std::string prefix;  // of its modules' names: "encoder.layer.3."
  std::vector<Row> rows;
};

// "encoder.layer.3.attention.self.query" -> "encoder.layer.3."; empty without a number.
std::string layer_prefix(const std::string& module) {
  for (size_t dot = module.find('.'); dot != module.npos; dot = module.find('.', dot + 1)) {
    const size_t next = module.find('.', dot + 1);
    if (next == module.npos) return {};
    const std::string part = module.substr(dot + 1, next - dot - 1);
    if (!part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; }))
      return module.substr(0, next + 1);
  }
  return {};
}

class Writer {
 public:
  Writer(const Plan& plan, const PlanGraph& graph, const StoredAs& stored)
      : plan_(plan), graph_(graph), stored_(stored) {}

  std::string run() {
    std::vector<LayerText> layers;
    for (size_t i = 0; i < graph_.layers.size(); ++i) layers.push_back(layer(i));
    widths(layers);
    const std::vector<LayerText> of_heads = heads();
    widths(of_heads);
    std::string text;
    for (size_t first = 0, past; first < layers.size(); first = past) {
      past = first + 1;
      // A layer that shares the weights of the layer before it.
      const auto shares = [&](size_t i) { return layers[i].prefix == layers[i - 1].prefix; };
      while (first > 0 && past < layers.size() && same(layers[first], layers[past]) &&
             shares(past) == shares(first + 1))
        ++past;
      text += first == 0          ? "embeddings\n"
              : past == first + 1 ? fmt::format("layer {}: {}\n", first - 1, layers[first].prefix)
              : shares(first + 1)
                  ? fmt::format("layers {} to {}, the same: {}\n", first - 1, past - 2, layers[first].prefix)
                  : fmt::format("layers {} to {}: {} to {}\n", first - 1, past - 2, layers[first].prefix,
                                layers[past - 1].prefix);
      text += lines(layers[first]);
    }
    for (const LayerText& head : of_heads) text += head.prefix + "\n" + lines(head);
    return text;
  }

 private:
  static bool same(const LayerText& a, const LayerText& b) {
    return std::ranges::equal(a.rows, b.rows, [](const Row& x, const Row& y) {
      return x.results == y.results && x.shape == y.shape && x.op == y.op && x.inputs == y.inputs &&
             x.modules == y.modules;
    });
  }

  std::string lines(const LayerText& layer) const {
    std::string text;
    for (const Row& r : layer.rows) {
      std::string line = fmt::format("  {:<{}}  {:<{}}  {:<{}}  {:<{}}  {}", r.results, widths_[0], r.shape,
                                     widths_[1], r.op, widths_[2], r.inputs, widths_[3], r.modules);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

  LayerText layer(size_t index) {
    LayerText text;
    names_.clear();
    letters_ = 0;
    if (index > 0) names_[graph_.layers[index - 1].output] = "x";
    for (size_t i = graph_.layers[index].first_op; i < graph_.layer_end(index); ++i) {
      const PlanOp& op = graph_.ops[i];
      for (const int m : op.modules)
        if (text.prefix.empty()) text.prefix = layer_prefix(plan_.at(m).name);
      text.rows.push_back(row_of(op, graph_.layers[index].output, text.prefix));
    }
    return text;
  }

  // Of each output but the encoder's own, whose name is the prefix.
  std::vector<LayerText> heads() {
    std::vector<LayerText> all;
    for (const OutputEntry& o : kOutputTable) {
      if (o.output == Output::hidden || graph_.output(o.output) == kNoValue) continue;
      LayerText& text = all.emplace_back(LayerText{.prefix = o.name, .rows = {}});
      names_ = {{graph_.result(), "x"}};
      letters_ = 0;
      for (size_t i = graph_.first_head; i < graph_.ops.size(); ++i)
        if (const PlanOp& op = graph_.ops[i]; op.wanted_by.contains(o.output))
          text.rows.push_back(row_of(op, kNoValue, ""));
    }
    return all;
  }

  std::string op_name(const PlanOp& op) const {
    if (op.kind == OpKind::multi_linear && op.modules.size() > 1) return "linears";
    if (op.kind == OpKind::layer_norm) return name(plan_.norm(op.modules[0]).kind);
    if (op.kind == OpKind::add_layer_norm) return std::string("add, ") + name(plan_.norm(op.modules[0]).kind);
    return name(op.kind);
  }

  // `last`: the value that goes by x.
  Row row_of(const PlanOp& op, ValueId last, const std::string& prefix) {
    Row row{.op = op_name(op)};
    for (const ValueId id : op.inputs) row.inputs += (row.inputs.empty() ? "" : " ") + named(id);
    for (const ValueId id : op.outputs) {
      names_[id] = id == last ? "x" : letter();
      row.results += (row.results.empty() ? "" : " ") + names_[id];
    }
    const PlanValue& made = graph_.values[static_cast<size_t>(op.outputs[0])];
    row.shape = made.rows == RowKind::table    ? fmt::format("[{}, {}]", made.table_rows, made.columns)
                : made.rows == RowKind::tokens ? fmt::format("[T, {}]", made.columns)
                : made.rows == RowKind::texts  ? fmt::format("[B, {}]", made.columns)
                                               : fmt::format("[C, {}]", made.columns);
    row.modules = details(op, prefix);
    return row;
  }

  // An earlier layer's value goes by its module.
  std::string named(ValueId id) const {
    const auto it = names_.find(id);
    return it != names_.end() ? it->second : graph_.values[static_cast<size_t>(id)].name;
  }

  // a to w, then a2 to w2.
  std::string letter() {
    constexpr size_t kLetters = 23;
    const size_t n = letters_++;
    std::string text(1, static_cast<char>('a' + n % kLetters));
    return n < kLetters ? text : text + std::to_string(n / kLetters + 1);
  }

  std::string details(const PlanOp& op, const std::string& prefix) const {
    std::vector<std::string> parts;
    for (size_t i = 0; i < op.modules.size(); ++i) {
      const PlanModule& m = plan_.at(op.modules[i]);
      std::string part = m.name.starts_with(prefix) ? m.name.substr(prefix.size()) : m.name;
      if (!op.rows.empty()) part += fmt::format(" by {}", kIndexNames[static_cast<size_t>(op.rows[i])]);
      if (op.kind == OpKind::feed_forward && i == 2) part = "gate " + part;
      if (std::holds_alternative<Linear>(m.weights)) {
        const Linear l = plan_.linear(op, i);
        part += fmt::format(" [{}, {}]", l.out, l.in);
        if (l.out < l.rows()) part += fmt::format(" from row {} of {}", l.first_row, l.rows());
      }
      if (const auto* c = std::get_if<Convolution>(&m.weights))
        part += fmt::format(" of {} tokens in {} groups", c->kernel, c->groups);
      if (const auto* t = std::get_if<Embedding>(&m.weights))
        part += fmt::format(" [{}, {}]{}", t->rows, t->columns,
                            t->scale == 1 ? "" : fmt::format(" times {}", t->scale));
      if (const std::string how = stored_(plan_.parameter(m.weight).name); !how.empty()) part += " " + how;
      parts.push_back(std::move(part));
      if (op.kind == OpKind::feed_forward && i == 0) parts.push_back(name(op.activation));
    }
    if (op.kind == OpKind::activation) parts.push_back(name(op.activation));
    if (op.kind == OpKind::pool) parts.push_back(name(op.pooling));
    if (op.kind == OpKind::term_weights) parts.push_back(name(op.terms.pooling));
    if (op.kind == OpKind::attention) parts.push_back(fmt::format("{} heads", op.attention.heads));
    if (op.attention.kv_heads > 0)
      parts.push_back(fmt::format("{} of keys and values", op.attention.kv_heads));
    if (op.attention.scale) parts.push_back(fmt::format("scale {}", *op.attention.scale));
    if (op.attention.causal) parts.push_back("causal");
    if (op.attention.window > 0)
      parts.push_back(fmt::format("{} tokens to either side", op.attention.window));
    if (const auto& rotary = op.attention.rotary) {
      parts.push_back(fmt::format("rotary, base {}", rotary->base));
      if (rotary->scale != 1) parts.push_back(fmt::format("positions times {}", rotary->scale));
    }
    if (op.attention.relative_bias)
      parts.push_back(fmt::format("{} buckets of distances to {}", op.attention.relative_bias->buckets,
                                  op.attention.relative_bias->max_distance));
    if (op.attention.alibi) parts.push_back("linear biases of distances");
    if (const auto& d = op.attention.disentangled) {
      if (d->content_to_position) parts.push_back("content to position");
      if (d->position_to_content) parts.push_back("position to content");
      if (d->buckets > 0)
        parts.push_back(fmt::format("{} buckets of distances to {}", d->buckets, d->max_distance));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void widths(const std::vector<LayerText>& layers) {
    for (const LayerText& l : layers)
      for (const Row& r : l.rows) {
        const std::array columns{&r.results, &r.shape, &r.op, &r.inputs};
        for (size_t i = 0; i < columns.size(); ++i) widths_[i] = std::max(widths_[i], columns[i]->size());
      }
  }

  const Plan& plan_;
  const PlanGraph& graph_;
  const StoredAs& stored_;
  std::map<ValueId, std::string> names_;  // of the layer being written
  size_t letters_ = 0;
  std::array<size_t, 4> widths_{};
};

}  // namespace

std::string to_text(const Plan& plan, const PlanGraph& graph, const StoredAs& stored) {
  return Writer(plan, graph, stored).run();
}

}  // namespace mlxe
