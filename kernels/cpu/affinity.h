// The CPUs that threads may run on.
#ifndef SSMD_KERNELS_CPU_AFFINITY_H_
#define SSMD_KERNELS_CPU_AFFINITY_H_

#include <vector>

namespace ssmd::kernels::cpu {

// Those that the calling thread may run on, ascending; never empty: {0} where the system does not
// say.
std::vector<int> AllowedCpus();

// Keeps the calling thread on one CPU. Where the system refuses, it stays as it was.
void PinThisThread(int cpu);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_AFFINITY_H_
