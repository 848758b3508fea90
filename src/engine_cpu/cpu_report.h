// What `mlx-encoder doctor` says about the cpu engine.
#pragma once

#include <string>
#include <vector>

namespace mlxe {

struct CpuReport {
  std::vector<std::string> compiled, runnable;  // kernel variants, weakest first
  std::string chosen;                           // by the processor, or by MLXE_CPU
  int cores = 0;                                // this process may run on
};
// Throws usage when MLXE_CPU names no variant that runs here.
CpuReport cpu_report();

// Multiply-adds in float32 registers on `threads` threads (0: all cores) with the chosen variant, the best of
// a few rounds, 10^9 operations a second; an add and a multiply count as two. Takes about 50 ms. Other work
// on the machine makes it smaller.
double measured_peak_gflops(int threads = 0);

}  // namespace mlxe
