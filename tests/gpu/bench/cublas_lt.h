// As much of cuBLASLt's C interface as a product of two bf16 matrices takes, from the library of
// version 13 or 12 that the dynamic linker finds. The declarations are ours: numbers and layouts
// are those that cublasLt.h of these versions fixes.
#ifndef SSMD_TESTS_GPU_BENCH_CUBLAS_LT_H_
#define SSMD_TESTS_GPU_BENCH_CUBLAS_LT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ssmd::gpu_bench {

// out = aᵀ · b, all (side, side), column-major, bf16; sums in f32. Not thread-safe.
class CublasLtProduct {
 public:
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  // Null, and why in *why_not, where there is no such library or it refuses.
  static std::unique_ptr<CublasLtProduct> Make(int64_t side, std::string* why_not);
  ~CublasLtProduct();
  CublasLtProduct(const CublasLtProduct&) = delete;
  CublasLtProduct& operator=(const CublasLtProduct&) = delete;

  // Device memory; `workspace` has kWorkspaceBytes. `stream` is a cudaStream_t. False where the
  // library refused.
  bool Enqueue(void* stream, const void* a, const void* b, void* out, void* workspace) const;

 private:
  struct Library;

  CublasLtProduct();
  std::string Prepare(int64_t side);

  std::unique_ptr<Library> library_;
  void* handle_ = nullptr;
  void* product_ = nullptr;
  void* layout_ = nullptr;
  void* preference_ = nullptr;
  struct Algorithm {
    uint64_t words[8];
  } algorithm_ = {};
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_CUBLAS_LT_H_
