// The cpu engine: weights, workspaces, and the distribution of a batch over threads.
//
// A batch of many texts is cut into chunks of whole texts. A thread runs a chunk through all layers: its
// activations stay in the core's cache, and threads synchronize only at the end. A smaller batch runs as
// one chunk; the threads then share each op.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "base/cpu_features.h"
#include "base/memory_block.h"
#include "base/thread_pool.h"
#include "engine_cpu/call_queue.h"
#include "engine_cpu/ops.h"
#include "engine_cpu/weight.h"
#include "kernels/quantize_table.h"
#include "models/engine.h"
#include "models/forward.h"

namespace mlxe {
namespace cpu {
namespace {

// Most tokens of a chunk. Larger with bfloat16 activations, because weights are decoded once for each chunk.
constexpr int64_t kChunkTokens = 256, kBf16ChunkTokens = 512;

struct Chunk {  // texts [first, last)
  int64_t first, last;
};

int64_t tokens_of(const Batch& batch, const Chunk& c) {
  return batch.offsets[static_cast<size_t>(c.last)] - batch.offsets[static_cast<size_t>(c.first)];
}

std::vector<Chunk> cut(const Batch& batch, int64_t target) {
  std::vector<Chunk> chunks;
  for (int64_t b = 0; b < batch.texts(); ++b) {
    const bool joins = !chunks.empty() && tokens_of(batch, {chunks.back().first, b + 1}) <= target;
    if (joins)
      chunks.back().last = b + 1;
    else
      chunks.push_back({b, b + 1});
  }
  return chunks;
}

// Chunks for `threads` threads. One chunk if chunks of whole texts would leave threads idle.
std::vector<Chunk> plan(const Batch& batch, int threads, int64_t most) {
  const std::vector<Chunk> all{{0, batch.texts()}};
  if (threads == 1) return cut(batch, most);
  const int64_t share = (batch.tokens() + threads - 1) / threads;
  std::vector<Chunk> chunks = cut(batch, std::min(most, share));
  int64_t largest = 0;
  for (const Chunk& c : chunks) largest = std::max(largest, tokens_of(batch, c));
  // In the worst case, one thread gets its share plus the largest chunk.
  const bool balanced = static_cast<int64_t>(chunks.size()) >= threads && 4 * largest <= 5 * share;
  return balanced ? chunks : all;
}

Batch part_of(const Batch& batch, const Chunk& c) {
  Batch part;
  const auto first = static_cast<size_t>(c.first), last = static_cast<size_t>(c.last);
  const int32_t start = batch.offsets[first], end = batch.offsets[last];
  part.ids.assign(batch.ids.begin() + start, batch.ids.begin() + end);
  part.token_types.assign(batch.token_types.begin() + start, batch.token_types.begin() + end);
  part.pool_from.assign(batch.pool_from.begin() + c.first, batch.pool_from.begin() + c.last);
  if (!batch.keys.empty()) part.keys.assign(batch.keys.begin() + c.first, batch.keys.begin() + c.last);
  part.offsets.assign(batch.offsets.begin() + c.first, batch.offsets.begin() + c.last + 1);
  for (int32_t& o : part.offsets) o -= start;
  for (const int32_t token : batch.chosen)
    if (token >= start && token < end) part.chosen.push_back(token - start);
  for (const PooledTokens& p : batch.parts)
    if (p.text >= c.first && p.text < c.last)
      part.parts.push_back({p.text - static_cast<int32_t>(c.first), p.begin - start, p.end - start});
  return part;
}

// Assembles the results of a call from the parts that several threads compute.
class ResultAssembler {
 public:
  // `spare`: memory to reuse, the largest last.
  ResultAssembler(const Batch& batch, std::vector<Matrix::Values> spare, RunResult& all)
      : batch_(batch), spare_(std::move(spare)), all_(all) {}

  // Copies the results `part` of `chunk` to their place. The memory of `part` then goes to `spare`.
  void add(const Chunk& chunk, RunResult& part, std::vector<Matrix::Values>& spare) {
    const auto place = [&](Matrix& to, Matrix& from, OutputRows rows) {
      const int64_t first = batch_.rows_before(rows, chunk.first);
      std::ranges::copy(from.values, to.values.begin() + first * from.columns);
      if (quantize_kernels().find_not_finite(from.values.data(), from.values.size()) < from.values.size())
        finite_.store(false, std::memory_order_relaxed);
      spare.push_back(std::move(from.values));
    };
    // The first thread allocates the rows of all chunks.
    std::call_once(sized_, [&] {
      all_.layers.resize(part.layers.size());
      each(part, [&](Matrix& to, const Matrix& from, OutputRows rows) {
        to.rows = batch_.rows(rows), to.columns = from.columns;
        if (!spare_.empty()) {
          to.values = std::move(spare_.back());
          spare_.pop_back();
        }
        to.values.resize(static_cast<size_t>(to.rows * to.columns));
      });
    });
    each(part, place);
  }
  bool finite() const noexcept { return finite_.load(); }

 private:
  // Calls visit(matrix of all, matrix of the part, kind of its rows) for each result.
  template <class Visit>
  void each(RunResult& part, const Visit& visit) {
    size_t layer = 0;
    part.each([&](Output output, Matrix& from) {
      Matrix& to = output == Output::layers ? all_.layers[layer++] : all_[output];
      if (from.columns > 0) visit(to, from, entry(output).rows);
    });
  }

  const Batch& batch_;
  std::vector<Matrix::Values> spare_;
  RunResult& all_;
  std::once_flag sized_;
  std::atomic<bool> finite_{true};
};

// Fused matrices with a part that begins within a panel. Products with packed weights cannot begin there.
std::vector<WeightId> parted_within_panels(const Plan& plan) {
  std::vector<WeightId> ids;
  for (const PlanOp& op : plan.whole.ops)
    for (size_t i = 0; i < op.ranges.size(); ++i)
      if (op.ranges[i].first % kInt8Panel != 0) ids.push_back(plan.linear(op, i).weight);
  return ids;
}

// The weights of all linears, each once even if several linears share it.
std::vector<WeightId> linear_weights(const Model& model) {
  std::vector<WeightId> ids;
  for (const Parameter& p : model.plan.parameters)
    if (p.role == Role::linear || p.role == Role::classifier) ids.push_back(p.handle);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const WeightId id : parted_within_panels(model.plan)) std::erase(ids, id);
  return ids;
}

class CpuEngine : public Engine {
 public:
  CpuEngine(const EngineOptions& options, std::shared_ptr<ThreadPool> pool)
      : isa_(active_variant()),
        activations_(chosen(options.activations)),
        shared_pool_(pool ? std::move(pool) : std::make_shared<ThreadPool>(options.threads)),
        pool_(*shared_pool_),
        queue_(std::max(1, available_cores() / pool_.threads()),
               [this](const Model& m, const RunRequest& q, RunResult& r) { run_now(m, q, r); }) {}

  ~CpuEngine() override {
    if (queue_.interrupted()) (void)idle_.release();
  }

  WeightId add(const StoredWeight& weight) override {
    weights_.emplace_back(weight);
    has_codes_ |= weights_.back().code_group() > 0;
    return static_cast<WeightId>(weights_.size()) - 1;
  }

  void run(const Model& model, const RunRequest& request, RunResult& result) override {
    queue_.call(model, request, result);
  }

  EngineInfo info() const override {
    const int n = pool_.threads();
    return {"cpu", fmt::format("{}, {} {}", name(isa_), n, n == 1 ? "thread" : "threads"), notes(), in_use()};
  }

 private:
  // Runs on the calling thread and the pool.
  void run_now(const Model& model, const RunRequest& request, RunResult& result) {
    // Reuse the memory that an earlier call left in `result`, the largest for the largest matrix.
    std::vector<Matrix::Values> spare = result.take_values();
    std::ranges::sort(spare, {}, [](const Matrix::Values& v) { return v.capacity(); });
    if (request.batch.texts() == 0) return;
    std::call_once(prepared_once_, [&] {
      compute_tables(model.plan);
      pack(model);
    });
    const std::vector<Chunk> chunks = plan(
        request.batch, pool_.threads(), format_.kind == Activations::bf16 ? kBf16ChunkTokens : kChunkTokens);
    if (chunks.size() == 1) {
      const Loan workspace(*this);
      std::swap((*workspace).read, spare);
      CpuOps ops(weights_, *workspace, &pool_, format_);
      forward(ops, model, tables_, request, result);
      std::swap((*workspace).read, spare);
    } else {
      ResultAssembler joined(request.batch, std::move(spare), result);
      pool_.parallel_for(static_cast<int64_t>(chunks.size()), [&](int64_t i, int) {
        const Chunk& chunk = chunks[static_cast<size_t>(i)];
        const Loan workspace(*this);
        CpuOps ops(weights_, *workspace, nullptr, format_);
        RunRequest part{.batch = part_of(request.batch, chunk), .wanted = request.wanted};
        for (int64_t text = chunk.first; text < chunk.last; ++text)
          part.numbers.push_back(number_of(request.numbers, static_cast<size_t>(text)));
        RunResult found;
        forward(ops, model, tables_, part, found);
        joined.add(chunk, found, (*workspace).read);
      });
      if (joined.finite()) return;
    }
    check_finite(request, result);
  }

  // bf16 is never chosen automatically; a caller that requests it wants it for all matrices.
  bool packs_floats() const { return activations_ == Activations::bf16; }
  Activations in_use() const { return has_codes_ || packs_floats() ? activations_ : Activations::float32; }
  std::vector<std::string> notes() const {
    std::vector<std::string> notes;
    if (std::string fewer = pool_.shortfall(); !fewer.empty()) notes.push_back(std::move(fewer));
    const Activations activations = in_use();
    const bool int8 = activations == Activations::int8 && !has_int8_kernels(isa_);
    const bool bf16 = activations == Activations::bf16 && !has_bf16_kernels(isa_);
    if (int8 || bf16)
      notes.push_back(
          fmt::format("the kernel variant {} has no kernels for {} activations; scalar loops are used, which "
                      "are far slower than f32",
                      name(isa_), int8 ? "int8" : "bf16"));
    return notes;
  }
  Activations chosen(Activations asked) const {
    if (asked != Activations::automatic) return asked;
    return has_int8_kernels(isa_) ? Activations::int8 : Activations::float32;
  }

  // Computes what depends on weights alone. It is computed once, so activations are float32.
  void compute_tables(const Plan& plan) {
    if (plan.whole.tables.empty()) return;
    CpuOps ops(weights_, table_workspace_, &pool_, {});
    table_values_ = run_tables(ops, plan, plan.whole);
    table_workspace_.arena.trim();
    tables_.clear();
    for (const Tensor& t : table_values_) tables_.push_back(t.borrowed());
  }

  // Packs the matrices of the model's linears unless activations are float32: matrices with codes, and for
  // bf16 float matrices too. One group size serves the whole model.
  void pack(const Model& model) {
    if (in_use() == Activations::float32) return;
    std::vector<Weight*> linears;
    int smallest = 0;
    for (WeightId id : linear_weights(model)) {
      if (id < 0 || static_cast<size_t>(id) >= weights_.size()) continue;  // using it is the error
      Weight& w = weights_[static_cast<size_t>(id)];
      const int own = w.code_group();
      if (w.is_vector() || (own == 0 && !packs_floats())) continue;
      linears.push_back(&w);
      if (own > 0) smallest = smallest == 0 ? own : std::min(smallest, own);
    }
    if (linears.empty()) return;
    const bool int8 = activations_ == Activations::int8;
    size_t bytes = 0;
    for (Weight* w : linears)
      bytes += w->start_packing(int8 ? smallest : w->code_group(), activations_).bytes();
    packed_memory_ = MemoryBlock(bytes);
    std::byte* memory = packed_memory_.data();
    for (Weight* w : linears) {
      PackedWeight& packed = *w->packed();
      packed.place(memory);
      memory += packed.bytes();
      pool_.parallel_for(packed.panels(), [&](int64_t panel, int) { packed.fill(panel); });
      w->release_stored();
    }
    format_ = {activations_, int8 ? smallest : 0};
  }

  struct IdleWorkspaces {
    std::mutex mutex;
    std::vector<std::unique_ptr<Workspace>> workspaces;
  };

  // Borrows a workspace. The pool grows to the peak number of concurrent calls.
  class Loan {
   public:
    explicit Loan(CpuEngine& engine) : idle_(*engine.idle_) {
      const std::lock_guard lock(idle_.mutex);
      if (idle_.workspaces.empty()) {
        workspace_ = std::make_unique<Workspace>();
      } else {
        workspace_ = std::move(idle_.workspaces.back());
        idle_.workspaces.pop_back();
      }
    }
    ~Loan() {
      const std::lock_guard lock(idle_.mutex);
      idle_.workspaces.push_back(std::move(workspace_));
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Workspace& operator*() const { return *workspace_; }

   private:
    IdleWorkspaces& idle_;
    std::unique_ptr<Workspace> workspace_;
  };

  Isa isa_;
  Activations activations_;
  bool has_codes_ = false;  // some matrix is quantized
  std::shared_ptr<ThreadPool> shared_pool_;
  ThreadPool& pool_;
  std::deque<Weight> weights_;
  std::once_flag prepared_once_;
  Workspace table_workspace_;
  std::vector<Tensor> table_values_, tables_;  // of the plan's tables; tables_ borrows them for all threads
  MemoryBlock packed_memory_;
  ActivationFormat format_;  // format of activations; float32 until weights are packed
  std::unique_ptr<IdleWorkspaces> idle_ = std::make_unique<IdleWorkspaces>();
  CallQueue queue_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Engine> make_cpu_engine(const EngineOptions& options, std::shared_ptr<ThreadPool> pool) {
  return std::make_unique<cpu::CpuEngine>(options, std::move(pool));
}

}  // namespace mlxe
