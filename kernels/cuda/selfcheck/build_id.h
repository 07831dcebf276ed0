// What tells this program from any other build of it.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_BUILD_ID_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_BUILD_ID_H_

#include <string>

namespace ssmd::kernels::cuda {

// The note that the linker left in the program (--build-id), in hexadecimal digits: a digest of
// all that is in it, kernels too. "" where there is none.
std::string BuildId();

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_BUILD_ID_H_
