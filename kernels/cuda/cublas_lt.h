// As much of cuBLASLt's C interface as matrix products take, from the library of version 13 or 12
// that the dynamic linker finds: nothing of it is needed to build. The declarations are ours:
// numbers and layouts are those that cublasLt.h of these versions fixes.
//
// It adds in orders of its own, which depend on the number of rows: what it gives is not what the
// products of product_fast.h promise.
#ifndef SSMD_KERNELS_CUDA_CUBLAS_LT_H_
#define SSMD_KERNELS_CUDA_CUBLAS_LT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "kernels/cuda/runtime.h"

namespace ssmd::kernels::cuda {

// out[r][o] = Σ_k x[r][k] · w[o][k], plus what was there if `adds`. Row-major without gaps, but for
// `out`. Weights and inputs in bf16 or f16, sums in f32, `out` in f32 or as the inputs are.
struct LibraryProduct {
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t rows = 0;
  int64_t out_stride = 0;
  bool f16 = false;
  bool narrow_out = false;
  bool adds = false;

  auto Key() const {
    return std::make_tuple(outputs, inputs, rows, out_stride, f16, narrow_out, adds);
  }
};

// Not thread-safe.
class CublasLt {
 public:
  // What the library proposed is kept for so many kinds of products, each number of rows its own.
  static constexpr size_t kPlans = 4096;
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  // Null, and why in *why_not, where there is none or it refuses.
  static std::unique_ptr<CublasLt> Open(std::string* why_not);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  // Device memory; `workspace` has kWorkspaceBytes. Returns what the library refused, or "".
  std::string Multiply(Stream& stream, const LibraryProduct& product, const void* w, const void* x,
                       void* out, void* workspace);

 private:
  struct Library;
  struct Plan;

  CublasLt();
  // Null, and *refusal says why.
  const Plan* PlanOf(const LibraryProduct& product, std::string* refusal);

  std::unique_ptr<Library> library_;
  void* handle_ = nullptr;
  std::map<decltype(LibraryProduct().Key()), std::unique_ptr<Plan>> plans_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_CUBLAS_LT_H_
