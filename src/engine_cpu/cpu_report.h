// Data of the cpu engine for `mlx-encoder doctor` and `bench`.
#pragma once

#include <string>
#include <vector>

namespace mlxe {

struct CpuReport {
  std::vector<std::string> compiled, runnable;  // kernel variants, weakest first
  std::string chosen;                           // the best for the processor, or the one named by MLXE_CPU
  int cores = 0;                                // cores this process may run on
};
// Throws usage if MLXE_CPU names no variant that runs here.
CpuReport cpu_report();

// The measured peaks of the chosen variant on `threads` threads (0: all cores), the best of a few rounds.
// Products are computed in registers; an addition and a multiplication count as two operations. Memory is
// read in order from a block of 128 MiB, far more than a core's share of any cache. Takes about 0.3 s.
// Other work on the machine lowers every figure.
struct MachinePeaks {
  double float32 = 0, int8 = 0, bf16 = 0;  // 10^9 operations a second; int8: 0 if there are no kernels
  double read = 0;                         // 10^9 bytes a second
};
MachinePeaks measured_peaks(int threads = 0);

}  // namespace mlxe
