// The fault points of a GPU (kernels/fault_point.h), which both of its implementations ask: the
// CUDA runtime's and the emulated one of tests/simt.
#ifndef SSMD_KERNELS_CUDA_GPU_FAULTS_H_
#define SSMD_KERNELS_CUDA_GPU_FAULTS_H_

#include "kernels/fault_point.h"

namespace ssmd::kernels::cuda::gpu_faults {

// There is no memory.
inline FaultPoint allocate("gpu.allocate", FaultPoint::Kind::kAllocation);
inline FaultPoint allocate_pinned("gpu.allocate_pinned", FaultPoint::Kind::kAllocation);
// The GPU has failed, for good.
inline FaultPoint copy("gpu.copy", FaultPoint::Kind::kGpu);
inline FaultPoint zero("gpu.zero", FaultPoint::Kind::kGpu);
inline FaultPoint launch("gpu.launch", FaultPoint::Kind::kGpu);
inline FaultPoint synchronize("gpu.synchronize", FaultPoint::Kind::kGpu);
inline FaultPoint event("gpu.event", FaultPoint::Kind::kGpu);
inline FaultPoint replay("gpu.replay", FaultPoint::Kind::kGpu);
// It cannot be recorded; what was to be is done without.
inline FaultPoint begin_recording("gpu.begin_recording", FaultPoint::Kind::kGpu);
inline FaultPoint end_recording("gpu.end_recording", FaultPoint::Kind::kGpu);

}  // namespace ssmd::kernels::cuda::gpu_faults

#endif  // SSMD_KERNELS_CUDA_GPU_FAULTS_H_
