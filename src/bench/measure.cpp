#include "bench/measure.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sample.h"
#include "base/thread_pool.h"
#include "bench/process_memory.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUpPasses = 1;
constexpr int kMaxPasses = 20;
constexpr size_t kLatencyTexts = 50;

class Measuring {
 public:
  Measuring(const std::filesystem::path& folder, std::span<const TextInput> texts,
            const MeasureOptions& options)
      : options_(options), texts_(texts.begin(), texts.end()), runner_(folder, options.encoder) {
    const bool pairs = runner_.model().reads_pairs();
    job_.wanted = {pairs ? *runner_.model().task_logits() : Output::sentence};
    job_.rules.prompt =
        runner_.texts().default_prompt(pairs ? PromptUse::classification : PromptUse::embedding);
    if (pairs) return;
    // An embedding model makes one vector of each text of a pair.
    for (size_t i = 0, n = texts_.size(); i < n; ++i)
      if (texts_[i].pair) texts_.push_back({*std::exchange(texts_[i].pair, std::nullopt), std::nullopt});
  }

  Measurement result() {
    run(std::span(texts_).first(1));
    m_.cold_start = {.median = milliseconds_since(options_.started), .repeats = 1};
    m_.cold_start.min = m_.cold_start.max = m_.cold_start.median;
    m_.loaded_bytes = resident_bytes();
    const EngineInfo info = runner_.engine_info();
    m_.engine = info.engine;
    m_.variant = info.variant;
    if (info.engine == "cpu")
      m_.threads = options_.encoder.threads > 0 ? options_.encoder.threads : available_cores();
    if (!options_.only_start) {
      latency();
      throughput();
    }
    m_.peak_bytes = peak_bytes();
    return m_;
  }

 private:
  void run(std::span<const TextInput> texts) {
    runner_.run(texts, job_, [](const TextRunner::TextResult&) {});
  }

  // `count` texts spread evenly over all.
  std::vector<TextInput> sample(size_t count) const {
    std::vector<TextInput> chosen;
    count = std::min(count, texts_.size());
    for (size_t i = 0; i < count; ++i) chosen.push_back(texts_[i * texts_.size() / count]);
    return chosen;
  }

  // Fewer texts if a pass over all would take longer than half of the time limit.
  size_t affordable(size_t count) {
    const Clock::time_point start = Clock::now();
    size_t tried = 0;
    for (; tried < std::min<size_t>(count, 4); ++tried) run(std::span(texts_).subspan(tried, 1));
    const double each = milliseconds_since(start) / 1000 / static_cast<double>(tried);
    return std::clamp<size_t>(static_cast<size_t>(options_.seconds / 2 / each), 1, count);
  }

  void latency() {
    const std::vector<TextInput> chosen = sample(affordable(std::min(kLatencyTexts, texts_.size())));
    for (int pass = 0; pass < kWarmUpPasses; ++pass)
      for (const TextInput& text : chosen) run({&text, 1});
    std::vector<double> samples, medians;
    const Clock::time_point start = Clock::now();
    do {
      std::vector<double> pass;
      for (const TextInput& text : chosen) {
        const Clock::time_point begin = Clock::now();
        run({&text, 1});
        pass.push_back(milliseconds_since(begin));
      }
      medians.push_back(percentile(pass, 50));
      samples.insert(samples.end(), pass.begin(), pass.end());
    } while (medians.size() < kMaxPasses && milliseconds_since(start) < options_.seconds * 1000);
    m_.latency = {.p50 = percentile(samples, 50),
                  .p95 = percentile(samples, 95),
                  .p99 = percentile(samples, 99),
                  .pass_min = std::ranges::min(medians),
                  .pass_max = std::ranges::max(medians),
                  .texts = static_cast<int64_t>(chosen.size()),
                  .warm_up = kWarmUpPasses,
                  .passes = static_cast<int>(medians.size())};
  }

  void throughput() {
    const std::vector<TextInput> chosen = sample(affordable(texts_.size()));
    int64_t tokens = 0;
    for (const TextInput& text : chosen)
      tokens += static_cast<int64_t>(runner_.texts().encode(view_of(text), job_.rules).ids.size());
    std::vector<double> rates;
    const Clock::time_point start = Clock::now();
    do {
      const Clock::time_point begin = Clock::now();
      run(chosen);
      rates.push_back(1000 * static_cast<double>(chosen.size()) / milliseconds_since(begin));
    } while (rates.size() < kMaxPasses && milliseconds_since(start) < options_.seconds * 1000);
    const double median = percentile(rates, 50);
    m_.throughput = {
        .texts_per_second = median,
        .tokens_per_second = median * static_cast<double>(tokens) / static_cast<double>(chosen.size()),
        .min = std::ranges::min(rates),
        .max = std::ranges::max(rates),
        .texts = static_cast<int64_t>(chosen.size()),
        .passes = static_cast<int>(rates.size())};
  }

  const MeasureOptions& options_;
  std::vector<TextInput> texts_;
  TextRunner runner_;
  TextRunner::Job job_;
  Measurement m_;
};

using Pointer = nlohmann::ordered_json::json_pointer;

// Calls visit(place in the JSON, value) for each value of a Measurement, const or not.
template <class M, class Visit>
void each_measured_field(M& m, const Visit& visit) {
  visit("/engine", m.engine);
  visit("/variant", m.variant);
  visit("/threads", m.threads);
  visit("/memory/loaded_bytes", m.loaded_bytes);
  visit("/memory/peak_bytes", m.peak_bytes);
  visit("/cold_start_ms/median", m.cold_start.median);
  visit("/cold_start_ms/min", m.cold_start.min);
  visit("/cold_start_ms/max", m.cold_start.max);
  visit("/cold_start_ms/repeats", m.cold_start.repeats);
  visit("/latency_ms/p50", m.latency.p50);
  visit("/latency_ms/p95", m.latency.p95);
  visit("/latency_ms/p99", m.latency.p99);
  visit("/latency_ms/pass_min", m.latency.pass_min);
  visit("/latency_ms/pass_max", m.latency.pass_max);
  visit("/latency_ms/texts", m.latency.texts);
  visit("/latency_ms/warm_up", m.latency.warm_up);
  visit("/latency_ms/passes", m.latency.passes);
  visit("/throughput/texts_per_second", m.throughput.texts_per_second);
  visit("/throughput/tokens_per_second", m.throughput.tokens_per_second);
  visit("/throughput/min", m.throughput.min);
  visit("/throughput/max", m.throughput.max);
  visit("/throughput/texts", m.throughput.texts);
  visit("/throughput/passes", m.throughput.passes);
}

}  // namespace

Measurement measure(const std::filesystem::path& folder, std::span<const TextInput> texts,
                    const MeasureOptions& options) {
  if (texts.empty()) throw Error(ErrorCode::usage, "measure: there are no texts");
  return Measuring(folder, texts, options).result();
}

nlohmann::ordered_json measurement_json(const Measurement& m) {
  nlohmann::ordered_json json;
  each_measured_field(m, [&](const char* path, const auto& value) { json[Pointer(path)] = value; });
  return json;
}

Measurement parse_measurement(const nlohmann::ordered_json& json) try {
  Measurement m;
  each_measured_field(m, [&](const char* path, auto& value) { json.at(Pointer(path)).get_to(value); });
  return m;
} catch (const nlohmann::json::exception&) {
  throw Error(ErrorCode::internal, "measurement: the measuring process printed something else than times");
}

}  // namespace mlxe
