// What the lanes of a warp get from a call that all of them have made.
#ifndef SSMD_TESTS_SIMT_WARP_CALL_H_
#define SSMD_TESTS_SIMT_WARP_CALL_H_

#include "kernels/cuda/simt.h"

namespace ssmd::simt {

// REQUIRES: all wait in the same call, which is one of a warp.
void AnswerWarp(Thread* (&lanes)[kernels::cuda::kWarpThreads]);

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_WARP_CALL_H_
