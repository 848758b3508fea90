#include "engine_cpu/call_queue.h"

#include <iterator>

#include "mlx_encoder/error.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kMostTokens = 512;  // of all calls in one batch

bool same_kind(const RunRequest& a, const RunRequest& b) {
  return a.wanted == b.wanted && a.batch.parts.empty() == b.batch.parts.empty();
}

void append(Batch& to, const Batch& from) {
  for (const int32_t token : from.chosen) to.chosen.push_back(token + static_cast<int32_t>(to.tokens()));
  for (const PooledTokens& part : from.parts) {
    const auto text = static_cast<int32_t>(to.texts()), token = static_cast<int32_t>(to.tokens());
    to.parts.push_back({text + part.text, token + part.begin, token + part.end});
  }
  for (int64_t b = 0; b < from.texts(); ++b) {
    const auto first = static_cast<size_t>(from.offsets[static_cast<size_t>(b)]);
    const auto length = static_cast<size_t>(from.length(b));
    to.append(std::span(from.ids).subspan(first, length), std::span(from.token_types).subspan(first, length),
              from.pool_from[static_cast<size_t>(b)], from.length(b) - from.key_count(b));
  }
}

// Rows [first, first + count) of `m`. Empty if `m` is empty: that result was not requested.
Matrix rows_of(const Matrix& m, int64_t first, int64_t count) {
  if (m.rows == 0) return {};
  const auto begin = m.values.begin() + first * m.columns;
  return {count, m.columns, {begin, begin + count * m.columns}};
}

}  // namespace

// A condition variable that had waiters at the fork would wait for them forever.
CallQueue::~CallQueue() {
  if (interrupted()) (void)shared_.release();
}

void CallQueue::call(const Model& model, const RunRequest& request, RunResult& result) {
  if (interrupted())
    throw Error(ErrorCode::usage,
                "the process was forked while the model was running; load the model in the child");
  if (forks_ != fork_count()) return run_(model, request, result);
  struct UnderWay {
    explicit UnderWay(std::atomic<int>& calls) : count(calls) { count.fetch_add(1); }
    ~UnderWay() { count.fetch_sub(1); }
    std::atomic<int>& count;
  } const under_way(under_way_);
  call_counted(model, request, result);
}

void CallQueue::call_counted(const Model& model, const RunRequest& request, RunResult& result) {
  // A large request is a good batch by itself.
  if (2 * request.batch.tokens() > kMostTokens || request.batch.texts() == 0)
    return run_(model, request, result);
  Call own{model, request, result};
  Shared& s = *shared_;
  std::unique_lock lock(s.mutex);
  s.waiting.push_back(&own);
  while (!own.done) {
    if (s.running == at_once_ || s.waiting.empty()) {
      s.changed.wait(lock);
      continue;
    }
    const std::vector<Call*> calls = take();
    ++s.running;
    lock.unlock();
    serve(calls);
    lock.lock();
    --s.running;
    for (Call* c : calls) c->done = true;
    s.changed.notify_all();
  }
  lock.unlock();
  if (own.error) std::rethrow_exception(own.error);
}

std::vector<CallQueue::Call*> CallQueue::take() {
  std::deque<Call*>& waiting = shared_->waiting;
  std::vector<Call*> calls{waiting.front()};
  waiting.pop_front();
  int64_t tokens = calls[0]->request.batch.tokens();
  for (auto next = waiting.begin(); next != waiting.end();) {
    const Call& c = **next;
    const int64_t sum = tokens + c.request.batch.tokens();
    const bool joins = &c.model == &calls[0]->model && same_kind(c.request, calls[0]->request);
    if (!joins || sum > kMostTokens) {
      ++next;
      continue;
    }
    tokens = sum;
    calls.push_back(*next);
    next = waiting.erase(next);
  }
  return calls;
}

void CallQueue::serve_one(Call& call) {
  try {
    run_(call.model, call.request, call.result);
  } catch (...) {
    call.error = std::current_exception();
  }
}

void CallQueue::serve(const std::vector<Call*>& calls) {
  if (calls.size() == 1) return serve_one(*calls[0]);
  try {
    RunRequest all{.wanted = calls[0]->request.wanted};
    for (const Call* c : calls) append(all.batch, c->request.batch);
    RunResult results;
    run_(calls[0]->model, all, results);
    int64_t text = 0;
    for (Call* c : calls) {
      const int64_t next = text + c->request.batch.texts();
      c->result = {};
      results.each([&](Output output, const Matrix& m) {
        const OutputRows kind = entry(output).rows;
        const int64_t first = all.batch.rows_before(kind, text);
        Matrix own = rows_of(m, first, all.batch.rows_before(kind, next) - first);
        if (output == Output::layers)
          c->result.layers.push_back(std::move(own));
        else
          c->result[output] = std::move(own);
      });
      text = next;
    }
  } catch (...) {
    // Running each call alone shows which one fails.
    for (Call* c : calls) serve_one(*c);
  }
}

}  // namespace mlxe::cpu
