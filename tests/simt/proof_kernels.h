// Kernels with mistakes that only a sanitizer sees, and without them.
#ifndef SSMD_TESTS_SIMT_PROOF_KERNELS_H_
#define SSMD_TESTS_SIMT_PROOF_KERNELS_H_

#include "kernels/cuda/runtime.h"

namespace ssmd::simt {

inline constexpr int kProofThreads = 64;

// What stands between writing shared memory and reading what another lane of the warp wrote.
enum class Between { kNothing, kShuffle, kBallot, kSyncWarp, kSync };
// to[i] = from[i ^ 1], for i < kProofThreads.
void SwapPairs(kernels::cuda::Stream& stream, float* to, const float* from, Between between);

// Each block leaves its number: in a word of its own, or all in one.
void LeaveNumbers(kernels::cuda::Stream& stream, float* to, int blocks, bool apart);

// Reads a stage of shared memory into `to` and copies the next into it, asynchronously, with or
// without a barrier between. `from` is of 2 · kProofThreads · 4 floats, `to` of kProofThreads.
void ReuseStage(kernels::cuda::Stream& stream, float* to, const float* from, bool barrier);

// Writes n floats of `to`, and of shared memory that has room for kProofThreads.
void Fill(kernels::cuda::Stream& stream, float* to, int n);
void FillShared(kernels::cuda::Stream& stream, int n);

// The same of `to`, by a kernel that overlaps and waits for earlier ones before it writes, or
// after.
void FillOverlapping(kernels::cuda::Stream& stream, float* to, int n, bool waits_first);

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_PROOF_KERNELS_H_
