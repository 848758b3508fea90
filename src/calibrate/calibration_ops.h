// The op list of models/ops.h, run on the original and the changed weights side by side, some texts at a
// time.
//
// Nothing is computed before it is needed: a Tensor is a recipe for its rows. Stored in an ActivationFile are: sums
// (add, add_layer_norm), what a layer norm makes of rows that are not stored, and what flows into a linear whose
// outputs are added to something (the changed model's side). When a sum needs a linear, the linear's inputs are gone
// through once to gather what rounding its matrix needs, the Fitter rounds it, and then the rows are made.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "calibrate/activation_file.h"
#include "calibrate/channel_fit.h"
#include "calibrate/moments.h"
#include "engine_cpu/ops.h"
#include "models/ops.h"

namespace mlxe::calibrate {

// Changes the weights as the run comes to them.
class Fitter {
 public:
  virtual ~Fitter() = default;
  // Before the first rows of a sum of tables are made. `norm` is what they go through.
  virtual void tables(std::span<const Lookup> lookups, const LayerNorm& norm) = 0;
  // Whether one of these linears is still to be rounded.
  virtual bool wants(std::span<const Linear> linears) const = 0;
  // Before the first rows of linears that share an input are made, and one is wanted. `sums` is of all rows.
  virtual void linears(std::span<const Linear> linears, MomentSums& sums) = 0;
  // After all rows of a norm were made. `fit` pairs them with the original's; the lines that are returned are
  // applied to the rows.
  virtual std::vector<ChannelAffine> norm(const LayerNorm& norm, const ChannelFit& fit) = 0;
  // After rows were stored: what they were made with is not needed for a while.
  virtual void stored() = 0;
};

class CalibrationOps {
 public:
  enum class Sides { original, changed, both };
  struct Part {  // the rows of some texts; a side that was not asked for is empty
    cpu::Tensor original, changed;
  };
  // Linears of one input, rounded together.
  struct Group;
  struct Node {
    std::function<void()> prepare = [] {};  // has the linears the rows depend on rounded
    std::function<Part(size_t part, Sides sides)> rows;
    std::shared_ptr<Group> group = nullptr;  // of a linear
    size_t index = 0;                        // in the group
    std::vector<Lookup> lookups = {};        // of a sum of tables
    bool stored = false;                     // rows() reads them from a file
  };
  using Tensor = std::shared_ptr<const Node>;

  // Both hold the same weights under the same handles. `scratch`: the folder of the activations' file.
  CalibrationOps(const std::deque<cpu::Weight>& original, const std::deque<cpu::Weight>& changed,
                 const Batch& batch, const std::filesystem::path& scratch, ThreadPool& pool, Fitter& fitter);

  // From here on a text's first token counts as much as `share` of its text, and all texts alike.
  void weigh_first_tokens(float share);
  // Has what x depends on rounded; its rows are not made.
  void need(const Tensor& x) { x->prepare(); }

  Tensor embed(std::span<const Lookup> lookups);
  Tensor linear(const Tensor& x, const Linear& l);
  std::vector<Tensor> linears(const Tensor& x, std::span<const Linear> ls);
  Tensor attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch);
  // What is stored overwrites the stored rows of the same width from before; they become unreadable.
  Tensor layer_norm(const Tensor& x, const LayerNorm& norm);
  Tensor add_layer_norm(const Tensor& a, const Tensor& b, const LayerNorm& norm);
  Tensor add(const Tensor& a, const Tensor& b);
  Tensor feed_forward(const Tensor& x, const FeedForward& f);
  Tensor activate(const Tensor& x, Activation activation);
  // x itself: heads that read first tokens, or a text's mean, are fitted to all tokens, weighed.
  Tensor take(const Tensor& x, std::span<const int32_t> rows);
  Tensor pool(const Tensor& x, PoolingKind kind, const Batch& batch);
  Tensor concatenate(const std::vector<Tensor>& parts);
  Tensor normalize(const Tensor& x);
  Matrix read(const Tensor& x);  // of the changed model

 private:
  struct TextRange {
    Batch batch;
    int32_t first_token;
  };
  // A place in the activations' file, a version for each side of each part.
  using Versions = std::vector<int64_t>;
  size_t slot(size_t part, Sides side) const { return 2 * part + (side == Sides::changed); }
  ActivationFile& sums(int64_t columns) {
    return sums_.try_emplace(columns, scratch_, 2 * parts_.size()).first->second;
  }

  std::span<const float> weights(size_t part) const {
    return std::span(weights_).subspan(static_cast<size_t>(parts_[part].first_token),
                                       parts_[part].batch.ids.size());
  }
  // Gathers what flows into the group and has it rounded. `beside`: what the outputs of its only linear are
  // added to, or null; `each` gets the original's rows of both. False where nothing of it was to be rounded.
  using Summands = std::function<void(size_t part, const cpu::Tensor& outputs, const cpu::Tensor& beside)>;
  bool round(Group& group, const Node* beside, const Summands& each);
  // Stores rows of the changed side of the group's input. They are what its linears are fed from then on.
  void store_input(Group& group, size_t part, const cpu::Tensor& rows);
  Tensor row_by_row(const Tensor& x, std::function<Part(const Part& in, size_t part, Sides sides)> f);
  // Stores a node's rows on disk. If the original side is stored already, stores only the quantized side. The
  // quantized side is fitted to the original rows as computed (Fit::as_made) or as stored (Fit::as_kept); the
  // latter gives the same fit whether or not the original side was stored before. `norm`: what can take up the fit;
  // null: no fit is made.
  using Make = std::function<Part(size_t part, Sides sides)>;
  enum class Fit { as_made, as_stored };
  Tensor store(const Make& make, const LayerNorm* norm, Fit fit_to, std::shared_ptr<Versions> originals);
  // a + b, through the norm if there is one.
  Tensor store_sum(const Tensor& a, const Tensor& b, const LayerNorm* norm);

  // f(ops, side) on the sides.
  template <class F>
  Part on(Sides sides, F&& f) {
    Part part;
    if (sides != Sides::changed) part.original = f(original_, &Part::original);
    if (sides != Sides::original) part.changed = f(changed_, &Part::changed);
    return part;
  }

  ThreadPool& pool_;
  Fitter& fitter_;
  std::vector<TextRange> parts_;
  std::vector<float> weights_;  // of each token
  cpu::Workspace workspace_;
  cpu::CpuOps original_, changed_;
  std::filesystem::path scratch_;
  std::map<int64_t, ActivationFile> sums_;    // and what norms made, by columns; two slots a part
  std::map<int64_t, ActivationFile> inputs_;  // of linears, by columns; a slot a part
};

}  // namespace mlxe::calibrate
