// The op list of models/ops.h, run on the original and the changed (quantized) weights side by side, some texts at a
// time.
//
// Evaluation is lazy: a Tensor is a function that computes its rows. An ActivationFile stores
//   sums (add, add_layer_norm);
//   outputs of a layer norm whose input is not stored;
//   inputs, on the changed side, of a linear whose outputs are added to another value;
//   outputs of a convolution.
// Rows of tables are computed again whenever an attention reads them, with the weights as they are then. A matrix that
// tokens and tables share is rounded for its tokens: the attention's queries, keys and values come before its tables. A
// matrix that only tables read is rounded for their rows.
// When a sum needs the outputs of a linear, its inputs are read once to compute their moments, the Fitter rounds its
// matrix, and then the outputs are computed.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "calibrate/activation_file.h"
#include "calibrate/channel_fit.h"
#include "calibrate/moments.h"
#include "engine_cpu/ops.h"
#include "models/ops.h"

namespace mlxe::calibrate {

// Changes the weights when the run reaches them.
class Fitter {
 public:
  virtual ~Fitter() = default;
  // Called before the first rows of a sum of tables are computed. `norm`: the norm of that sum, or null.
  virtual void tables(std::span<const Lookup> lookups, const LayerNorm* norm) = 0;
  // Called before the first outputs of linears that share an input are computed, once for each such group. Returns
  // what the moments of all rows of the input are added to; null: nothing needs them. `outputs`: for Target::outputs,
  // the columns of the group's only linear; 0: Target::inputs.
  virtual std::unique_ptr<MomentSums> moments(std::span<const Linear> linears, int64_t outputs) = 0;
  // Called with the result of moments(), unless it was null, after the rows were added.
  virtual void round_linears(std::span<const Linear> linears, std::unique_ptr<MomentSums> sums) = 0;
  // Called after all rows of a norm were computed. `fit` pairs them with the original's rows. The returned affine
  // functions are applied to the rows.
  virtual std::vector<ChannelAffine> norm(const LayerNorm& norm, const ChannelFit& fit) = 0;
  // Called after rows were stored. The weights they were computed with are not needed for a while.
  virtual void stored() = 0;
};

class CalibrationOps {
 public:
  enum class Sides { original, changed, both };
  struct Part {  // rows of some texts; a side that was not requested is empty
    cpu::Tensor original, changed;
  };
  // Linears of one input, rounded together.
  struct Group;
  struct Node {
    std::function<void()> prepare = [] {};  // rounds the linears that the rows depend on
    std::function<Part(size_t part, Sides sides)> rows;
    std::shared_ptr<Group> group = nullptr;  // of a linear
    size_t index = 0;                        // in the group
    std::vector<Lookup> lookups = {};        // of a sum of tables
    bool table = false;   // the rows are the same for every part: they depend on weights alone
    bool stored = false;  // in a file
    std::vector<const ActivationFile*> reads = {};  // files of sums that rows() reads
  };
  using Tensor = std::shared_ptr<const Node>;

  // Both hold the same weights under the same handles. `scratch`: the folder of the activation files.
  CalibrationOps(const std::deque<cpu::Weight>& original, const std::deque<cpu::Weight>& changed,
                 const Batch& batch, const std::filesystem::path& scratch, ThreadPool& pool, Fitter& fitter);

  // From here on one token of each text, whose row of the batch `rows` names, has the weight `share`, and the text's
  // other tokens share the rest. All texts have the same weight.
  void weigh_tokens(const Batch& batch, std::span<const int32_t> rows, float share);
  // From here on all tokens have the same weight.
  void weigh_tokens_alike() { std::ranges::fill(weights_, 1.0f); }
  // Rounds the linears that x depends on. Computes no rows of x.
  void need(const Tensor& x) { x->prepare(); }

  Tensor embed(std::span<const Lookup> lookups);
  Tensor all_rows(const Embedding& table);
  Tensor linear(const Tensor& x, const Linear& l);
  std::vector<Tensor> multi_linear(const Tensor& x, std::span<const Linear> ls);
  Tensor attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch);
  // Values that are read after the next operation. It overwrites no file that their rows are read from.
  void keep(std::vector<Tensor> values) { kept_ = std::move(values); }
  // Stores its rows, because they are read after norms that overwrite x.
  Tensor convolution(const Tensor& x, const Convolution& c, const Batch& batch);
  // Each stored result overwrites an earlier one of the same width, which becomes unreadable, unless keep() named it.
  Tensor layer_norm(const Tensor& x, const LayerNorm& norm);
  Tensor add_layer_norm(const Tensor& a, const Tensor& b, const LayerNorm& norm);
  Tensor add(const Tensor& a, const Tensor& b);
  Tensor subtract(const Tensor& a, const Tensor& b);
  Tensor multiply(const Tensor& a, const Tensor& b);
  Tensor add_bias(const Tensor& x, const RowBias& bias);
  Tensor feed_forward(const Tensor& x, const FeedForward& f);
  Tensor activate(const Tensor& x, Activation activation);
  // take and pool return x: a head that reads first tokens or the mean of a text is fitted to all tokens, with
  // weights.
  Tensor take(const Tensor& x, std::span<const int32_t> rows);
  Tensor pool(const Tensor& x, PoolingKind kind, const Batch& batch);
  Tensor columns(const Tensor& x, int64_t first, int64_t count);
  Tensor weighted_rows(const Tensor& x, const Embedding& table);
  // The products: the linear is fitted to all tokens.
  Tensor term_weights(const Tensor& x, const Linear& l, TermWeighting weighting, const Batch& batch);
  Tensor concatenate(const std::vector<Tensor>& parts);
  Tensor normalize(const Tensor& x);
  Matrix to_host(const Tensor& x);  // of the changed model

 private:
  struct TextRange {
    Batch batch;
    int32_t first_token;
  };
  // For each part, the version of its slot in an activation file.
  using Versions = std::vector<int64_t>;
  size_t slot(size_t part, Sides side) const { return 2 * part + (side == Sides::changed); }
  // Where the next operation stores its result: a file that no value of keep() reads.
  ActivationFile& sums(int64_t columns);

  // Of the token rows of a part.
  std::span<const float> weights(size_t part) const {
    return std::span(weights_).subspan(static_cast<size_t>(parts_[part].first_token),
                                       parts_[part].batch.ids.size());
  }
  // Computes the moments of the group's inputs and rounds its linears. `beside`: the value to which the outputs of
  // the group's only linear are added, or null. `each` gets the original rows of both. Returns false if nothing needed
  // the moments.
  using Summands = std::function<void(size_t part, const cpu::Tensor& outputs, const cpu::Tensor& beside)>;
  bool round(Group& group, const Node* beside, const Summands& each);
  // Stores rows of the changed side of the group's input. Its linears then read the stored rows.
  void store_input(Group& group, size_t part, const cpu::Tensor& rows);
  Tensor pairwise(const Tensor& a, const Tensor& b,
                  std::function<cpu::Tensor(cpu::CpuOps& ops, const cpu::Tensor& a, const cpu::Tensor& b)> f);
  Tensor row_by_row(const Tensor& x, std::function<Part(const Part& in, size_t part, Sides sides)> f);
  // Stores a node's rows on disk. If the original side is stored already (`originals`), stores only the changed side.
  // The changed side is fitted to the original rows as computed (Fit::as_made) or as read back from disk
  // (Fit::as_stored). The latter gives the same fit whether or not the original side was stored before. `norm`: its
  // weight and bias take the fit; null: no fit.
  using Make = std::function<Part(size_t part, Sides sides)>;
  enum class Fit { as_made, as_stored };
  Tensor store(const Make& make, const LayerNorm* norm, Fit fit_to, std::shared_ptr<Versions> originals);
  // a + b, then the norm if it is not null.
  Tensor store_sum(const Tensor& a, const Tensor& b, const LayerNorm* norm);

  // Calls f(ops, side) for each requested side.
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
  std::map<int64_t, std::list<ActivationFile>> sums_;  // of sums and norms, by columns; two slots a part
  std::vector<Tensor> kept_;
  std::map<int64_t, ActivationFile> inputs_;  // of linears, by columns; a slot a part
};

}  // namespace mlxe::calibrate
