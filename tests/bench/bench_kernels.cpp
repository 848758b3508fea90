// The speed of the kernels of the active variant (MLXE_CPU), on one thread, each on its own data in cache:
//   bench_kernels [--json] [--seconds S] [--filter TEXT]
// The work of a matrix kernel is divided as in the engine. "of peak" is the share of the peak of the same
// products in registers, which the variant's spin measures in the same run. A change of the clock
// frequency, or other work on the core, changes all figures.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#ifdef __linux__
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/cpu_features.h"
#include "base/half.h"
#include "base/memory_block.h"
#include "kernels/bf16_table.h"
#include "kernels/int8_table.h"
#include "kernels/table.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kGroup = 64;
constexpr int64_t kColumns = 256;  // outputs of a matrix; the weights fit a cache of 1 MB
constexpr int64_t kInt8Slice = 768, kExpandedSlice = 384;  // as engine_cpu/packed_linear.cpp cuts K
constexpr int64_t kBf16Slice = 256;
constexpr int64_t kBf16Columns = 256;
constexpr int64_t kStreamRows = 64, kStreamColumns = 768;
constexpr int64_t kRowCounts[] = {1, 4, 16, 64, 256};
constexpr int64_t kDepths[] = {384, 768, 3072};

enum class Peak { none, float32, int8, bf16 };
constexpr const char* kPeakNames[] = {"", "float32", "int8", "bf16"};

struct Time {
  double best, median;  // seconds a run
  double instructions;  // a run; 0 if the system can't count them (most virtual machines)
};

// The instructions this thread has executed in user mode, or always 0.
class InstructionCounter {
 public:
#ifdef __linux__
  InstructionCounter() {
    perf_event_attr what{};
    what.size = sizeof what;
    what.type = PERF_TYPE_HARDWARE;
    what.config = PERF_COUNT_HW_INSTRUCTIONS;
    what.exclude_kernel = what.exclude_hv = 1;
    file_ = static_cast<int>(::syscall(SYS_perf_event_open, &what, 0, -1, -1, 0));
  }
  ~InstructionCounter() {
    if (file_ >= 0) ::close(file_);
  }
  uint64_t count() const {
    uint64_t value = 0;
    return file_ >= 0 && ::read(file_, &value, sizeof value) == sizeof value ? value : 0;
  }
#else
  InstructionCounter() = default;
  uint64_t count() const {
    return 0;
  }
#endif
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;

 private:
  [[maybe_unused]] int file_ = -1;
};

// Times parts of many calls of `run`: long enough to make reading the clock negligible, short enough that
// most parts have no interruption.
Time time_of(const std::function<void()>& run, double seconds) {
  constexpr double kPart = 1e-4;
  constexpr size_t kLeastParts = 7;
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  run();
  Clock::time_point start = Clock::now();
  run();
  const auto runs = static_cast<int64_t>(std::max(1.0, kPart / std::max(since(start), 1e-8)));
  std::vector<double> parts;
  start = Clock::now();
  while (parts.size() < kLeastParts || since(start) < seconds) {
    const Clock::time_point part = Clock::now();
    for (int64_t i = 0; i < runs; ++i) run();
    parts.push_back(since(part) / static_cast<double>(runs));
  }
  std::sort(parts.begin(), parts.end());
  static const InstructionCounter counter;
  const uint64_t before = counter.count();
  for (int64_t i = 0; i < runs; ++i) run();
  const auto counted = static_cast<double>(counter.count() - before);
  return {parts.front(), parts[parts.size() / 2], counted / static_cast<double>(runs)};
}

template <class T>
class Array {
 public:
  explicit Array(int64_t count) : block_(static_cast<size_t>(count) * sizeof(T)), count_(count) {}
  T* data() const { return reinterpret_cast<T*>(block_.data()); }
  template <class Make>
  Array&& filled(Make make) && {
    for (int64_t i = 0; i < count_; ++i) data()[i] = static_cast<T>(make());
    return std::move(*this);
  }

 private:
  MemoryBlock block_;
  int64_t count_;
};

class Bench {
 public:
  Bench(std::string filter, double seconds) : filter_(std::move(filter)), seconds_(seconds) {}

  // `work`: operations, or bytes read and written, of a run.
  void add(const std::string& kernel, const std::string& shape, double work, Peak peak,
           const std::function<void()>& run) {
    const std::string name = kernel + " " + shape;
    if (name.find(filter_) == std::string::npos) return;
    results_.push_back({kernel, shape, work, peak, time_of(run, seconds_)});
  }
  void add_peak(Peak peak, float (*spin)(int64_t), int64_t operations) {
    if (spin == nullptr) return;
    const int64_t rounds = 100'000'000 / operations / 10 + 1;
    const Time t = time_of(
        [&] {
          volatile float sum = spin(rounds);
          static_cast<void>(sum);
        },
        seconds_);
    peaks_[peak] = static_cast<double>(rounds * operations) / t.best / 1e9;
  }

  nlohmann::ordered_json json() const {
    nlohmann::ordered_json j{{"variant", name(active_variant())}};
    j["peaks_gops"] = nlohmann::ordered_json::object();
    for (const auto& [peak, gops] : peaks_) j["peaks_gops"][kPeakNames[static_cast<int>(peak)]] = gops;
    j["results"] = nlohmann::ordered_json::array();
    for (const Result& r : results_) {
      nlohmann::ordered_json result{{"kernel", r.kernel},
                                    {"shape", r.shape},
                                    {"unit", unit(r)},
                                    {"rate", r.work / r.time.best / 1e9},
                                    {"min_us", r.time.best * 1e6},
                                    {"median_us", r.time.median * 1e6}};
      result["instructions"] =
          r.time.instructions > 0 ? nlohmann::ordered_json(r.time.instructions) : nullptr;
      result["share_of_peak"] = has_peak(r) ? nlohmann::ordered_json(share(r)) : nullptr;
      j["results"].push_back(std::move(result));
    }
    return j;
  }

  void print() const {
    fmt::print("Kernels of {}, one thread, data in cache.", name(active_variant()));
    for (const auto& [peak, gops] : peaks_)
      fmt::print(" Peak of {}: {:.0f} GOP/s.", kPeakNames[static_cast<int>(peak)], gops);
    fmt::print("\n{:<22}{:>12}{:>12}{:>12}{:>16}{:>9}\n", "kernel", "shape", "min us", "median us",
               "at the min", "of peak");
    for (const Result& r : results_)
      fmt::print("{:<22}{:>12}{:>12.2f}{:>12.2f}{:>11.1f} {:<4}{:>9}\n", r.kernel, r.shape, r.time.best * 1e6,
                 r.time.median * 1e6, r.work / r.time.best / 1e9, r.peak == Peak::none ? "GB/s" : "GOP/s",
                 has_peak(r) ? fmt::format("{:.0f} %", 100 * share(r)) : "");
  }

 private:
  struct Result {
    std::string kernel, shape;
    double work;
    Peak peak;
    Time time;
  };

  static const char* unit(const Result& r) { return r.peak == Peak::none ? "GB/s" : "GOP/s"; }
  bool has_peak(const Result& r) const { return peaks_.contains(r.peak); }
  double share(const Result& r) const { return r.work / r.time.best / 1e9 / peaks_.at(r.peak); }

  std::string filter_;
  double seconds_;
  std::vector<Result> results_;
  std::map<Peak, double> peaks_;
};

auto random_floats(float low, float high) {
  return [generator = std::mt19937(1), in = std::uniform_real_distribution<float>(low, high)]() mutable {
    return in(generator);
  };
}

auto random_bytes() {
  return [generator = std::mt19937(2)]() mutable { return static_cast<uint8_t>(generator()); };
}

std::string shape_of(int64_t rows, int64_t columns) {
  return fmt::format("{}x{}", rows, columns);
}

double operations(int64_t rows, int64_t depth) {
  return 2.0 * static_cast<double>(rows * depth * kColumns);
}

// Packed weights of kColumns outputs, with one byte or half a byte for each code.
struct Weights {
  Weights(int64_t k, bool in_halves)
      : depth(k),
        half(in_halves),
        codes(Array<uint8_t>(kColumns * k).filled(random_bytes())),
        scales(Array<float>(kColumns * k / kGroup).filled(random_floats(0.001f, 0.01f))),
        float_biases(Array<float>(kColumns * k / kGroup).filled(random_floats(-0.1f, 0.1f))),
        biases(kColumns * k / kGroup) {
    for (int i = 0; i < 16; ++i) table[i] = static_cast<uint8_t>(120 + i);
    for (int64_t i = 0; i < kColumns * k / kGroup; ++i)
      biases.data()[i] = float_to_bf16(float_biases.data()[i]);
  }

  Int8Weights at(int64_t panel, int64_t k) const {
    const int64_t first = (panel * depth + k) * kInt8Panel;
    return {codes.data() + (half ? first / 2 : first), scales.data() + first / kGroup,
            biases.data() + first / kGroup};
  }
  CodedWeights coded(int64_t panel, int64_t k) const {
    const Int8Weights w = at(panel, k);
    return {w.codes, w.scales, float_biases.data() + (panel * depth + k) * kInt8Panel / kGroup};
  }

  int64_t depth;
  bool half;
  uint8_t table[16];
  Array<uint8_t> codes;
  Array<float> scales, float_biases;
  Array<uint16_t> biases;
};

// The group arrays that quantize() writes for some rows.
struct Groups {
  Groups(int64_t rows, int64_t columns)
      : of_a_row(columns / kGroup),
        scales(rows * of_a_row),
        accumulator_start(rows * of_a_row),
        bias_terms(2 * rows * of_a_row) {}
  Int8Groups row(int64_t m) const {
    const int64_t at = m * of_a_row;
    return {scales.data() + at, accumulator_start.data() + at, bias_terms.data() + 2 * at};
  }
  Int8Rows rows(const int8_t* codes, int64_t ld) const {
    return {codes, ld, scales.data(), accumulator_start.data(), bias_terms.data(), of_a_row};
  }

  int64_t of_a_row;
  Array<float> scales;
  Array<int32_t> accumulator_start;
  Array<uint16_t> bias_terms;
};

void bench_int8(Bench& bench, bool half) {
  const Int8Kernels& kernels = int8_kernels();
  const int64_t widest = half ? kExpandedSlice : kInt8Slice;
  for (const int64_t depth : kDepths) {
    const Weights weights(depth, half);
    const Array<uint8_t> expanded(widest * kInt8Panel);
    for (const int64_t rows : kRowCounts) {
      const auto x = Array<float>(rows * depth).filled(random_floats(-1, 1));
      const Array<int8_t> codes(rows * depth);
      const Array<float> y(rows * kColumns);
      const Groups groups(rows, depth);
      kernels.quantize(x.data(), depth, rows, depth, kGroup, codes.data(), depth, groups.row(0),
                       groups.of_a_row);
      const float zeros[kInt8Panel] = {};
      bench.add(half ? "int8 matmul, 4-bit" : "int8 matmul, 8-bit", shape_of(rows, depth),
                operations(rows, depth), Peak::int8, [&] {
                  for (int64_t n = 0; n < kColumns; n += kInt8Panel)
                    for (int64_t k = 0; k < depth; k += widest) {
                      const int64_t slice = std::min(widest, depth - k);
                      Int8Weights w = weights.at(n / kInt8Panel, k);
                      if (half) {
                        kernels.expand(w.codes, slice * kInt8Panel, weights.table, expanded.data());
                        w.codes = expanded.data();
                      }
                      float* out = y.data() + n;
                      kernels.matmul(groups.rows(codes.data(), depth).at(0, k, kGroup), rows, w,
                                     slice / kGroup, kGroup, k == 0 ? zeros : out, k == 0 ? 0 : kColumns, out,
                                     kColumns, kInt8Panel, {});
                    }
                });
    }
  }
}

void bench_bf16(Bench& bench) {
  const Bf16Kernels& kernels = bf16_kernels();
  const Peak peak = kernels.spin != nullptr ? Peak::bf16 : Peak::float32;
  for (const int64_t depth : kDepths) {
    const Weights weights(depth, false);
    const Array<uint16_t> decoded(kBf16Slice * kBf16Columns);
    for (const int64_t rows : kRowCounts) {
      const auto floats = Array<float>(rows * depth).filled(random_floats(-1, 1));
      const Array<uint16_t> x(rows * depth);
      kernels.round(floats.data(), rows * depth, x.data());
      const Array<float> y(rows * kColumns);
      const float zeros[kBf16Columns] = {};
      bench.add("bf16 decode + matmul", shape_of(rows, depth), operations(rows, depth), peak, [&] {
        for (int64_t n = 0; n < kColumns; n += kBf16Columns)
          for (int64_t k = 0; k < depth; k += kBf16Slice) {
            const int64_t slice = std::min(kBf16Slice, depth - k);
            for (int64_t p = 0; p < kBf16Columns; p += kBf16Panel)
              kernels.decode(weights.coded((n + p) / kBf16Panel, k), nullptr, slice / kGroup, kGroup,
                             decoded.data() + p * slice);
            float* out = y.data() + n;
            kernels.matmul(x.data() + k, depth, rows, decoded.data(), slice, k == 0 ? zeros : out,
                           k == 0 ? 0 : kColumns, out, kColumns, kBf16Columns);
          }
      });
    }
  }
}

void bench_float32(Bench& bench) {
  const Kernels& k = kernels();
  for (const int64_t depth : kDepths) {
    const int64_t padded = (kColumns + k.panel - 1) / k.panel * k.panel;
    const auto w = Array<float>(padded * depth).filled(random_floats(-1, 1));
    for (const int64_t rows : kRowCounts) {
      const auto x = Array<float>(rows * depth).filled(random_floats(-1, 1));
      const Array<float> y(rows * kColumns);
      const std::vector<float> zeros(static_cast<size_t>(k.panel));
      bench.add("float32 matmul", shape_of(rows, depth), operations(rows, depth), Peak::float32, [&] {
        for (int64_t n = 0; n < kColumns; n += k.panel)
          k.matmul(x.data(), depth, rows, w.data() + n * depth, k.panel, depth, zeros.data(), 0, y.data() + n,
                   kColumns, std::min<int64_t>(k.panel, kColumns - n));
      });
    }
  }
}

void bench_rows(Bench& bench) {
  const Kernels& k = kernels();
  const Int8Kernels& int8 = int8_kernels();
  const Bf16Kernels& bf16 = bf16_kernels();
  constexpr int64_t kValues = kStreamRows * kStreamColumns;
  const std::string shape = shape_of(kStreamRows, kStreamColumns);
  // GELU and softmax run repeatedly on their own results, which must not become subnormal.
  const auto x = Array<float>(kValues).filled(random_floats(-1, 1));
  const auto large = Array<float>(kValues).filled(random_floats(6, 9));
  const auto weight = Array<float>(kStreamColumns).filled(random_floats(0.5f, 1.5f));
  const Array<float> out(kValues);
  const Groups groups(kStreamRows, kStreamColumns);
  const Array<int8_t> codes(kValues);
  const Array<uint16_t> rounded(kValues);
  const auto each_row = [&](const auto& kernel) {
    return [&kernel] {
      for (int64_t m = 0; m < kStreamRows; ++m) kernel(m, m * kStreamColumns);
    };
  };
  bench.add("quantize", shape, 5.0 * kValues, Peak::none, [&] {
    int8.quantize(x.data(), kStreamColumns, kStreamRows, kStreamColumns, kGroup, codes.data(), kStreamColumns,
                  groups.row(0), groups.of_a_row);
  });
  const auto round = [&](int64_t, int64_t at) {
    bf16.round(x.data() + at, kStreamColumns, rounded.data() + at);
  };
  bench.add("round", shape, 6.0 * kValues, Peak::none, each_row(round));
  bench.add("gelu_erf", shape, 8.0 * kValues, Peak::none,
            [&] { k.gelu_erf(large.data(), kStreamColumns, kStreamRows, kStreamColumns); });
  if (bf16.gelu_erf != nullptr)
    bench.add("gelu_erf, low-bit", shape, 8.0 * kValues, Peak::none,
              [&] { bf16.gelu_erf(large.data(), kStreamColumns, kStreamRows, kStreamColumns); });
  bench.add("gelu_tanh", shape, 8.0 * kValues, Peak::none,
            [&] { k.gelu_tanh(large.data(), kStreamColumns, kStreamRows, kStreamColumns); });
  const auto layer_norm = [&](int64_t, int64_t at) {
    k.norm(x.data() + at, nullptr, weight.data(), weight.data(), 1e-12f, true, kStreamColumns,
           out.data() + at);
  };
  bench.add("layer_norm", shape, 8.0 * kValues, Peak::none, each_row(layer_norm));
  const auto softmax = [&](int64_t, int64_t at) { k.softmax(out.data() + at, 0.125f, kStreamColumns); };
  bench.add("softmax", shape, 8.0 * kValues, Peak::none, each_row(softmax));
}

void bench_attention(Bench& bench) {
  const Bf16Kernels& kernels = bf16_kernels();
  if (kernels.attend == nullptr) return;
  for (const auto& [tokens, size] : {std::pair<int64_t, int64_t>{16, 64}, {128, 32}, {128, 64}, {512, 64}}) {
    const auto rows = Array<float>(3 * tokens * size).filled(random_floats(-1, 1));
    const Array<float> out(tokens * size);
    const Array<uint8_t> scratch(kernels.attend_bytes(tokens, size));
    Attention head{};
    head.queries = rows.data();
    head.keys = rows.data() + tokens * size;
    head.values = rows.data() + 2 * tokens * size;
    head.ld = head.ld_out = head.size = size;
    head.count = head.tokens = tokens;
    head.factor = 0.125f;
    head.out = out.data();
    bench.add("attend", shape_of(tokens, size), 4.0 * static_cast<double>(tokens * tokens * size), Peak::bf16,
              [&] { kernels.attend(head, scratch.data()); });
  }
}

int bench_all(int argc, char** argv) {
  bool json = false;
  double seconds = 0.02;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--json")
      json = true;
    else if (option == "--seconds" && i + 1 < argc)
      seconds = std::atof(argv[++i]);
    else if (option == "--filter" && i + 1 < argc)
      filter = argv[++i];
    else
      throw Error(ErrorCode::usage,
                  "bench_kernels: \"" + option + "\"; expected [--json] [--seconds S] [--filter TEXT]");
  }
  Bench bench(filter, seconds);
  bench.add_peak(Peak::float32, kernels().spin, kernels().flops_per_round);
  bench.add_peak(Peak::int8, int8_kernels().spin, int8_kernels().operations_per_round);
  bench.add_peak(Peak::bf16, bf16_kernels().spin, bf16_kernels().flops_per_round);
  bench_int8(bench, false);
  bench_int8(bench, true);
  bench_bf16(bench);
  bench_float32(bench);
  bench_rows(bench);
  bench_attention(bench);
  if (json)
    fmt::print("{}\n", bench.json().dump(2));
  else
    bench.print();
  return 0;
}

}  // namespace
}  // namespace mlxe

int main(int argc, char** argv) try { return mlxe::bench_all(argc, argv); } catch (const std::exception& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
