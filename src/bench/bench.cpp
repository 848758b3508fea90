#include "bench/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "base/sample.h"
#include "base/thread_pool.h"
#include "bench/process_memory.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMaxTokens = int64_t{1} << 20;
constexpr int64_t kFirstTokens = 16;
constexpr int kWarmUpRuns = 2;
constexpr double kWarmUpShare = 0.1;  // of the seconds
constexpr size_t kMinRuns = 5;

// Bytes of the encoder's matrices, which every token is multiplied with. Heads are not run.
uint64_t matrix_bytes(const Checkpoint& checkpoint, const Plan& plan) {
  uint64_t bytes = 0;
  for (const Parameter& p : plan.encoder_parameters())
    if (p.role == Role::linear) bytes += checkpoint.stored(p.name).bytes();
  return bytes;
}

// The results to compute for each batch.
RunRequest wanted(const Model& model, bool first_token, const std::filesystem::path& folder) {
  if (!first_token) return {.wanted = {Output::hidden}};
  for (const Output o : {Output::text_logits, Output::choice_logits, Output::pooled})
    if (model.plan.first_tokens.output(o) != kNoValue) return {.wanted = {o}};
  throw Error(ErrorCode::usage,
              fmt::format("{}: has neither a classifier nor a pooler that reads the first token alone; leave "
                          "out --first-token",
                          folder.string()));
}

// Of the encoder's matrices.
double operations(const Model& model, BatchShape shape, bool first_token) {
  const double texts = static_cast<double>(shape.texts);
  const Plan& plan = model.plan;
  return linear_operations(plan, first_token ? plan.first_tokens : plan.whole,
                           texts * static_cast<double>(shape.tokens), texts);
}

RunRequest random_request(const Model& model, BatchShape shape, RunRequest request) {
  std::mt19937 generator(0);
  for (int64_t text = 0; text < shape.texts; ++text) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < shape.tokens; ++i)
      ids.push_back(static_cast<int32_t>(generator() % static_cast<uint64_t>(model.vocab_size())));
    request.batch.append(ids);
  }
  return request;
}

using Pointer = nlohmann::ordered_json::json_pointer;

// Calls visit(place in the JSON, value) for each value of a BatchTime, const or not.
template <class T, class Visit>
void each_bench_field(T& t, const Visit& visit) {
  visit("/engine", t.engine);
  visit("/variant", t.variant);
  visit("/activations", t.activations);
  visit("/threads", t.threads);
  visit("/runs", t.runs);
  visit("/p50_ms", t.p50);
  visit("/p95_ms", t.p95);
  visit("/p99_ms", t.p99);
  visit("/min_ms", t.min);
  visit("/cold_start_ms", t.cold_start);
  visit("/loaded_bytes", t.loaded_bytes);
  visit("/peak_bytes", t.peak_bytes);
  visit("/weight_bytes", t.weight_bytes);
  visit("/operations", t.operations);
}

}  // namespace

std::string BatchShape::name() const {
  return fmt::format("{}x{}", texts, tokens);
}

BatchShape parse_batch_shape(std::string_view text) {
  BatchShape shape;
  const char* const end = text.data() + text.size();
  const auto [cross, first] = std::from_chars(text.data(), end, shape.texts);
  bool good = first == std::errc() && cross != end && *cross == 'x';
  if (good) {
    const auto [stop, second] = std::from_chars(cross + 1, end, shape.tokens);
    good = second == std::errc() && stop == end;
  }
  if (!good || shape.texts < 1 || shape.tokens < 1 || shape.texts > kMaxTokens / shape.tokens)
    throw Error(ErrorCode::usage,
                fmt::format("shape \"{}\": expected TEXTSxTOKENS, such as 8x32, of at most {} tokens in all",
                            text, kMaxTokens));
  return shape;
}

BatchTime bench(const std::filesystem::path& folder, BatchShape shape, const BenchOptions& options) {
  const TextRunner runner(folder, options.encoder);
  if (shape.tokens > runner.model().max_tokens())
    throw Error(ErrorCode::usage, fmt::format("shape {}: {} takes texts of at most {} tokens", shape.name(),
                                              folder.string(), runner.model().max_tokens()));
  BatchTime t;
  const RunRequest results = wanted(runner.model(), options.first_token, folder);
  runner.run(random_request(runner.model(), {1, std::min(shape.tokens, kFirstTokens)}, results));
  t.cold_start = milliseconds_since(options.started);
  t.loaded_bytes = resident_bytes();

  const EngineInfo info = runner.engine_info();
  t.engine = info.engine;
  t.variant = info.variant;
  t.activations = name(info.activations);
  if (info.engine == "cpu")
    t.threads = options.encoder.threads > 0 ? options.encoder.threads : available_cores();

  const RunRequest request = random_request(runner.model(), shape, results);
  t.operations = operations(runner.model(), shape, options.first_token);
  t.weight_bytes = matrix_bytes(runner.checkpoint(), runner.model().plan);
  const auto another = [&](Clock::time_point since, size_t done, size_t least, double seconds) {
    return done < least || milliseconds_since(since) < seconds * 1000;
  };
  Clock::time_point start = Clock::now();
  RunResult result;
  for (size_t i = 0; another(start, i, kWarmUpRuns, kWarmUpShare * options.seconds); ++i)
    runner.run(request, result);
  std::vector<double> times;
  start = Clock::now();
  while (another(start, times.size(), kMinRuns, options.seconds)) {
    const Clock::time_point begin = Clock::now();
    runner.run(request, result);
    times.push_back(milliseconds_since(begin));
  }
  t.runs = static_cast<int64_t>(times.size());
  t.p50 = percentile(times, 50);
  t.p95 = percentile(times, 95);
  t.p99 = percentile(times, 99);
  t.min = std::ranges::min(times);
  t.peak_bytes = peak_bytes();
  return t;
}

nlohmann::ordered_json batch_time_json(const BatchTime& t) {
  nlohmann::ordered_json json;
  each_bench_field(t, [&](const char* path, const auto& value) { json[Pointer(path)] = value; });
  return json;
}

BatchTime parse_batch_time(const nlohmann::ordered_json& json) try {
  BatchTime t;
  each_bench_field(t, [&](const char* path, auto& value) { json.at(Pointer(path)).get_to(value); });
  return t;
} catch (const nlohmann::json::exception&) {
  throw Error(ErrorCode::internal, "bench: the measuring process printed something else than times");
}

}  // namespace mlxe
