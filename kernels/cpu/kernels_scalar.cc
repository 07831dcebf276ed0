// The kernels in plain C++ (vec_scalar.h).
#include "kernels/cpu/vec_scalar.h"
// After the lanes:
#include "kernels/cpu/dot_scalar.h"
#include "kernels/cpu/registers_whole.h"
// then the kernels, which are written over both.
#include "kernels/cpu/all_kernels.h"

namespace ssmd::kernels::cpu {

const KernelTable kScalarKernels = kKernels;

}  // namespace ssmd::kernels::cpu
