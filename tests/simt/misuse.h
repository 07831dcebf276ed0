// What ends a test: a kernel or a host that does what the contract forbids. The message goes to
// stderr and says where and with which seed; then the process aborts.
#ifndef SSMD_TESTS_SIMT_MISUSE_H_
#define SSMD_TESTS_SIMT_MISUSE_H_

#include <string>
#include <vector>

#include "kernels/cuda/simt.h"

namespace ssmd::simt {

// What memory holds that nobody has written: a NaN in every format.
inline constexpr int kGarbage = 0xFF;

// By a thread of a kernel.
[[noreturn]] void FailKernel(const BlockFacts& block, const std::string& what);

// By threads, from `first` on, that cannot go on: where each of them is. Null has returned.
[[noreturn]] void FailStuck(const BlockFacts& block, int first,
                            const std::vector<const Thread*>& threads, const char* what);

// By the host.
[[noreturn]] void FailHost(const std::string& what);

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_MISUSE_H_
