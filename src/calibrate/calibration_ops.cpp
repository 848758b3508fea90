#include "calibrate/calibration_ops.h"

#include <algorithm>
#include <array>
#include <utility>

#include "encoder/text_batches.h"

namespace mlxe::calibrate {

static_assert(EncoderOps<CalibrationOps>);

struct CalibrationOps::Group {
  Tensor input;
  std::vector<Linear> linears;
  bool done = false;
  std::vector<int64_t> stored;  // version of the input's changed side, for each part; empty: recomputed
};

namespace {

CalibrationOps::Tensor shared(CalibrationOps::Node node) {
  return std::make_shared<const CalibrationOps::Node>(std::move(node));
}

// The files that any of the values reads.
std::vector<const ActivationFile*> files_of(std::span<const CalibrationOps::Tensor> values) {
  std::vector<const ActivationFile*> files;
  for (const CalibrationOps::Tensor& x : values) files.insert(files.end(), x->reads.begin(), x->reads.end());
  return files;
}

}  // namespace

CalibrationOps::CalibrationOps(const std::deque<cpu::Weight>& original,
                               const std::deque<cpu::Weight>& changed, const Batch& batch,
                               const std::filesystem::path& scratch, ThreadPool& pool, Fitter& fitter)
    : pool_(pool),
      fitter_(fitter),
      weights_(batch.ids.size(), 1.0f),
      original_(original, workspace_, &pool, {}),
      changed_(changed, workspace_, &pool, {}),
      scratch_(scratch) {
  std::vector<size_t> lengths;
  for (int64_t text = 0; text < batch.texts(); ++text)
    lengths.push_back(static_cast<size_t>(batch.length(text)));
  for (const TextBatch& texts : batches_in_order(lengths, kPartTokens)) {
    parts_.push_back({.batch = {}, .first_token = batch.offsets[texts.front()]});
    for (const size_t text : texts) {
      const auto first = static_cast<size_t>(batch.offsets[text]);
      parts_.back().batch.append(std::span(batch.ids).subspan(first, lengths[text]),
                                 std::span(batch.token_types).subspan(first, lengths[text]));
    }
  }
}

void CalibrationOps::weigh_tokens(const Batch& batch, std::span<const int32_t> rows, float share) {
  for (int64_t text = 0; text < batch.texts(); ++text) {
    const int64_t others = batch.length(text) - 1;
    std::fill_n(weights_.begin() + batch.offsets[static_cast<size_t>(text)], batch.length(text),
                (1 - share) / static_cast<float>(std::max<int64_t>(others, 1)));
    weights_[static_cast<size_t>(rows[static_cast<size_t>(text)])] = share;
  }
}

bool CalibrationOps::round(Group& group, const Node* beside, const Summands& each) {
  if (std::exchange(group.done, true)) return false;
  group.input->prepare();
  std::unique_ptr<MomentSums> sums = fitter_.moments(group.linears, beside ? group.linears[0].out : 0);
  if (!sums) return false;
  for (size_t i = 0; i < (group.input->table ? 1 : parts_.size()); ++i) {
    const Part in = group.input->rows(i, Sides::both);
    if (!beside) {
      const std::vector<float> alike(static_cast<size_t>(in.changed.rows()), 1.0f);
      sums->add(in.changed, in.original, in.changed, group.input->table ? std::span(alike) : weights(i));
      continue;
    }
    store_input(group, i, in.changed);
    const Part others = beside->rows(i, Sides::both);
    cpu::Tensor sum = original_.linear(in.original, group.linears[0]);
    each(i, sum, others.original);
    pool_.parallel_for(sum.rows(), [&](int64_t r, int) {
      for (int64_t c = 0; c < sum.columns(); ++c) sum.row(r)[c] += others.original.row(r)[c];
    });
    sums->add(in.changed, sum, others.changed, weights(i));
  }
  workspace_.arena.trim();  // rounding needs the memory
  fitter_.round_linears(group.linears, std::move(sums));
  return true;
}

void CalibrationOps::store_input(Group& group, size_t part, const cpu::Tensor& rows) {
  group.stored.resize(parts_.size());
  auto file = inputs_.find(rows.columns());
  if (file == inputs_.end()) file = inputs_.try_emplace(rows.columns(), scratch_, parts_.size()).first;
  group.stored[part] = file->second.put(part, rows, pool_);
}

CalibrationOps::Tensor CalibrationOps::store(const Make& make, const LayerNorm* norm, Fit fit_to,
                                             std::shared_ptr<Versions> originals) {
  const bool have_originals = originals != nullptr;
  if (!have_originals) originals = std::make_shared<Versions>(parts_.size());
  auto changed = std::make_shared<Versions>(parts_.size());
  std::unique_ptr<ChannelFit> fit;
  ActivationFile* file = nullptr;
  for (size_t i = 0; i < parts_.size(); ++i) {
    Part part = make(i, have_originals ? Sides::changed : Sides::both);
    const size_t at = slot(i, Sides::original);
    file = &sums(part.changed.columns());
    if (!have_originals) (*originals)[i] = file->put(at, part.original, pool_);
    if (norm != nullptr && fit_to == Fit::as_stored)
      part.original = file->get(at, (*originals)[i], workspace_.arena, pool_);
    (*changed)[i] = file->put(slot(i, Sides::changed), part.changed, pool_);
    if (norm == nullptr) continue;
    if (!fit) fit = std::make_unique<ChannelFit>(part.changed.columns());
    fit->add(part.changed, part.original, weights(i), pool_);
  }
  std::vector<ChannelAffine> lines;
  if (norm != nullptr) lines = fitter_.norm(*norm, *fit);
  fitter_.stored();
  const auto rows = [this, file, originals, changed, lines](size_t part, Sides sides) {
    Part kept;
    if (sides != Sides::changed)
      kept.original = file->get(slot(part, Sides::original), (*originals)[part], workspace_.arena, pool_);
    if (sides == Sides::original) return kept;
    kept.changed = file->get(slot(part, Sides::changed), (*changed)[part], workspace_.arena, pool_);
    if (!lines.empty())
      pool_.parallel_for(kept.changed.rows(), [&](int64_t r, int) {
        float* row = kept.changed.row(r);
        for (size_t c = 0; c < lines.size(); ++c) row[c] = lines[c].slope * row[c] + lines[c].offset;
      });
    return kept;
  };
  return shared({.rows = rows, .stored = true, .reads = {file}});
}

ActivationFile& CalibrationOps::sums(int64_t columns) {
  std::list<ActivationFile>& files = sums_[columns];
  const std::vector<const ActivationFile*> needed = files_of(kept_);
  for (ActivationFile& file : files)
    if (std::ranges::find(needed, &file) == needed.end()) return file;
  return files.emplace_back(scratch_, 2 * parts_.size());
}

CalibrationOps::Tensor CalibrationOps::embed(std::span<const Lookup> lookups) {
  const auto rows = [this, all = std::vector<Lookup>(lookups.begin(), lookups.end())](size_t part,
                                                                                      Sides sides) {
    std::vector<Lookup> here;
    for (const Lookup& l : all)
      here.push_back(
          {l.table,
           l.rows.subspan(static_cast<size_t>(parts_[part].first_token), parts_[part].batch.ids.size()),
           l.gaps});
    return on(sides, [&](auto& ops, auto) { return ops.embed(here); });
  };
  return shared({.rows = rows, .lookups = {lookups.begin(), lookups.end()}});
}

CalibrationOps::Tensor CalibrationOps::all_rows(const Embedding& table) {
  const auto rows = [this, table](size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto) { return ops.all_rows(table); });
  };
  return shared({.rows = rows, .lookups = {Lookup{.table = table, .rows = {}}}, .table = true});
}

CalibrationOps::Tensor CalibrationOps::linear(const Tensor& x, const Linear& l) {
  return multi_linear(x, {&l, 1})[0];
}

std::vector<CalibrationOps::Tensor> CalibrationOps::multi_linear(const Tensor& x,
                                                                 std::span<const Linear> ls) {
  if (!x->lookups.empty()) fitter_.tables(x->lookups, nullptr);
  const auto group = std::make_shared<Group>(Group{.input = x, .linears = {ls.begin(), ls.end()}});
  std::vector<Tensor> ys;
  for (size_t i = 0; i < ls.size(); ++i) {
    const auto rows = [this, group, x, l = ls[i]](size_t part, Sides sides) {
      Part in;
      if (group->stored.empty() || sides == Sides::original) {
        in = x->rows(part, sides);
      } else {
        if (sides == Sides::both) in = x->rows(part, Sides::original);
        in.changed = inputs_.at(l.in).get(part, group->stored[part], workspace_.arena, pool_);
      }
      return on(sides, [&](auto& ops, auto side) { return ops.linear(in.*side, l); });
    };
    const auto prepare = [this, group] { round(*group, nullptr, {}); };
    ys.push_back(shared({.prepare = prepare,
                         .rows = rows,
                         .group = group,
                         .index = i,
                         .table = x->table,
                         .reads = x->reads}));
  }
  return ys;
}

CalibrationOps::Tensor CalibrationOps::attention(const std::vector<Tensor>& qkv, AttentionSpec spec,
                                                 const Batch&) {
  const auto prepare = [qkv] {
    for (const Tensor& t : qkv) t->prepare();
  };
  const auto rows = [this, qkv, spec](size_t part, Sides sides) {
    std::vector<Part> in;
    for (const Tensor& t : qkv) in.push_back(t->rows(part, sides));
    return on(sides, [&](auto& ops, auto side) {
      std::vector<cpu::Tensor> own;
      for (const Part& p : in) own.push_back(p.*side);
      return ops.attention(own, spec, parts_[part].batch);
    });
  };
  return shared({.prepare = prepare, .rows = rows, .reads = files_of(qkv)});
}

CalibrationOps::Tensor CalibrationOps::convolution(const Tensor& x, const Convolution& c, const Batch&) {
  x->prepare();
  const auto file = std::make_shared<ActivationFile>(scratch_, 2 * parts_.size());
  auto versions = std::make_shared<Versions>(2 * parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part in = x->rows(i, Sides::both);
    for (const Sides side : {Sides::original, Sides::changed}) {
      const Part made =
          on(side, [&](auto& ops, auto of) { return ops.convolution(in.*of, c, parts_[i].batch); });
      (*versions)[slot(i, side)] =
          file->put(slot(i, side), side == Sides::original ? made.original : made.changed, pool_);
    }
  }
  const auto rows = [this, file, versions](size_t part, Sides sides) {
    const auto get = [&](Sides side) {
      return file->get(slot(part, side), (*versions)[slot(part, side)], workspace_.arena, pool_);
    };
    Part kept;
    if (sides != Sides::changed) kept.original = get(Sides::original);
    if (sides != Sides::original) kept.changed = get(Sides::changed);
    return kept;
  };
  return shared({.rows = rows, .stored = true});
}

CalibrationOps::Tensor CalibrationOps::layer_norm(const Tensor& x, const LayerNorm& norm) {
  if (x->table && !x->lookups.empty()) fitter_.tables(x->lookups, &norm);
  // The sum that reads the norm of a linear (Gemma 3) is stored, and still has to read the earlier sum.
  if (x->stored || x->table || x->group)
    return row_by_row(x, [this, norm](const Part& in, size_t, Sides sides) {
      return on(sides, [&](auto& ops, auto side) { return ops.layer_norm(in.*side, norm); });
    });
  x->prepare();
  if (!x->lookups.empty()) fitter_.tables(x->lookups, &norm);
  const auto make = [&](size_t part, Sides sides) {
    const Part in = x->rows(part, sides);
    return on(sides, [&](auto& ops, auto side) { return ops.layer_norm(in.*side, norm); });
  };
  return store(make, &norm, Fit::as_made, nullptr);
}

CalibrationOps::Tensor CalibrationOps::add_layer_norm(const Tensor& a, const Tensor& b,
                                                      const LayerNorm& norm) {
  return store_sum(a, b, &norm);
}

CalibrationOps::Tensor CalibrationOps::store_sum(const Tensor& a, const Tensor& b, const LayerNorm* norm) {
  const auto sum = [norm](cpu::CpuOps& ops, const cpu::Tensor& x, const cpu::Tensor& y) {
    return norm != nullptr ? ops.add_layer_norm(x, y, *norm) : ops.add(x, y);
  };
  if (!b->lookups.empty()) fitter_.tables(b->lookups, nullptr);
  b->prepare();
  std::shared_ptr<Versions> originals;
  const bool alone = a->group && a->group->linears.size() == 1;
  if (alone) {
    // The original sum does not depend on rounding. It is computed now, because its summands are in memory.
    auto made = std::make_shared<Versions>(parts_.size());
    const auto each = [&](size_t part, const cpu::Tensor& y, const cpu::Tensor& beside) {
      (*made)[part] = sums(y.columns()).put(slot(part, Sides::original), sum(original_, y, beside), pool_);
    };
    if (round(*a->group, b.get(), each)) originals = made;
    // No moments were computed: an earlier run or an earlier use of its weights rounded the linear. Its inputs are
    // stored all the same, so that the outputs have the same bits as in the earlier run.
    if (a->group->stored.empty())
      for (size_t i = 0; i < parts_.size(); ++i)
        store_input(*a->group, i, a->group->input->rows(i, Sides::changed).changed);
  }
  a->prepare();
  const auto make = [&](size_t part, Sides sides) {
    const Part left = a->rows(part, sides), right = b->rows(part, sides);
    return on(sides, [&](auto& ops, auto side) { return sum(ops, left.*side, right.*side); });
  };
  return store(make, norm, alone ? Fit::as_stored : Fit::as_made, originals);
}

CalibrationOps::Tensor CalibrationOps::add(const Tensor& a, const Tensor& b) {
  return store_sum(a, b, nullptr);
}

CalibrationOps::Tensor CalibrationOps::add_bias(const Tensor& x, const RowBias& bias) {
  return row_by_row(x, [=, this](const Part& in, size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto side) { return ops.add_bias(in.*side, bias); });
  });
}

CalibrationOps::Tensor CalibrationOps::feed_forward(const Tensor& x, const FeedForward& f) {
  if (!f.gate) return linear(activate(linear(x, f.up), f.activation), f.down);
  const std::array both{*f.gate, f.up};
  const std::vector<Tensor> made = multi_linear(x, both);
  return linear(multiply(activate(made[0], f.activation), made[1]), f.down);
}

CalibrationOps::Tensor CalibrationOps::subtract(const Tensor& a, const Tensor& b) {
  return pairwise(
      a, b, [](cpu::CpuOps& ops, const cpu::Tensor& x, const cpu::Tensor& y) { return ops.subtract(x, y); });
}

CalibrationOps::Tensor CalibrationOps::multiply(const Tensor& a, const Tensor& b) {
  return pairwise(
      a, b, [](cpu::CpuOps& ops, const cpu::Tensor& x, const cpu::Tensor& y) { return ops.multiply(x, y); });
}

CalibrationOps::Tensor CalibrationOps::pairwise(
    const Tensor& a, const Tensor& b,
    std::function<cpu::Tensor(cpu::CpuOps& ops, const cpu::Tensor& a, const cpu::Tensor& b)> f) {
  const auto prepare = [a, b] {
    a->prepare();
    b->prepare();
  };
  const auto rows = [this, a, b, f](size_t part, Sides sides) {
    const Part left = a->rows(part, sides), right = b->rows(part, sides);
    return on(sides, [&](auto& ops, auto side) { return f(ops, left.*side, right.*side); });
  };
  return shared({.prepare = prepare, .rows = rows, .reads = files_of(std::array{a, b})});
}

CalibrationOps::Tensor CalibrationOps::row_by_row(
    const Tensor& x, std::function<Part(const Part& in, size_t part, Sides sides)> f) {
  const auto rows = [x, f](size_t part, Sides sides) { return f(x->rows(part, sides), part, sides); };
  return shared({.prepare = [x] { x->prepare(); }, .rows = rows, .table = x->table, .reads = x->reads});
}

CalibrationOps::Tensor CalibrationOps::activate(const Tensor& x, Activation activation) {
  return row_by_row(x, [=, this](const Part& in, size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto side) { return ops.activate(in.*side, activation); });
  });
}

CalibrationOps::Tensor CalibrationOps::columns(const Tensor& x, int64_t first, int64_t count) {
  return row_by_row(x, [=, this](const Part& in, size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto side) { return ops.columns(in.*side, first, count); });
  });
}

CalibrationOps::Tensor CalibrationOps::weighted_rows(const Tensor& x, const Embedding& table) {
  return row_by_row(x, [=, this](const Part& in, size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto side) { return ops.weighted_rows(in.*side, table); });
  });
}

CalibrationOps::Tensor CalibrationOps::take(const Tensor& x, std::span<const int32_t>) {
  return x;
}

CalibrationOps::Tensor CalibrationOps::pool(const Tensor& x, PoolingKind, const Batch&) {
  return x;
}

CalibrationOps::Tensor CalibrationOps::term_weights(const Tensor& x, const Linear& l, TermWeighting,
                                                    const Batch&) {
  return linear(x, l);
}

CalibrationOps::Tensor CalibrationOps::concatenate(const std::vector<Tensor>& xs) {
  for (const Tensor& x : xs)
    if (!x->lookups.empty()) fitter_.tables(x->lookups, nullptr);
  const auto rows = [this, xs](size_t part, Sides sides) {
    std::vector<Part> in;
    for (const Tensor& x : xs) in.push_back(x->rows(part, sides));
    return on(sides, [&](auto& ops, auto side) {
      std::vector<cpu::Tensor> own;
      for (const Part& p : in) own.push_back(p.*side);
      return ops.concatenate(own);
    });
  };
  const auto prepare = [xs] {
    for (const Tensor& x : xs) x->prepare();
  };
  return shared({.prepare = prepare, .rows = rows, .reads = files_of(xs)});
}

CalibrationOps::Tensor CalibrationOps::normalize(const Tensor& x) {
  return row_by_row(x, [this](const Part& in, size_t, Sides sides) {
    return on(sides, [&](auto& ops, auto side) { return ops.normalize(in.*side); });
  });
}

Matrix CalibrationOps::to_host(const Tensor& x) {
  x->prepare();
  Matrix all;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Matrix part = changed_.to_host(x->rows(i, Sides::changed).changed);
    all.rows += part.rows;
    all.columns = part.columns;
    all.values.insert(all.values.end(), part.values.begin(), part.values.end());
  }
  return all;
}

}  // namespace mlxe::calibrate
