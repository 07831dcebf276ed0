// simt_control.h as the emulated GPU asks it.
#ifndef SSMD_TESTS_SIMT_CONTROL_STATE_H_
#define SSMD_TESTS_SIMT_CONTROL_STATE_H_

#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace ssmd::simt {

std::vector<kernels::cuda::GpuFacts> Gpus(std::string* error);

// Each counts one, and says whether it is to fail.
bool AllocationFails();
bool PinnedAllocationFails();
// The text to fail with, or "".
std::string LaunchFailure();
std::string CopyFailure();
bool RecordingIsRefused();
bool RecordingIsSpoiled();
void CountReplay();

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_CONTROL_STATE_H_
