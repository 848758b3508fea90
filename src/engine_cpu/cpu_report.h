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

// What the chosen variant can at most do on `threads` threads (0: all cores), the best of a few rounds.
// Products are made in registers, an addition and a multiplication count as two operations; memory is read in
// order from a block of 128 MiB, far more than a core's share of any cache. Takes about 0.3 s. Other work on
// the machine makes every figure smaller.
struct MachinePeaks {
  double float32 = 0, int8 = 0, bf16 = 0;  // 10^9 operations a second; int8: 0 where there are no kernels
  double read = 0;                         // 10^9 bytes a second
};
MachinePeaks measured_peaks(int threads = 0);

}  // namespace mlxe
