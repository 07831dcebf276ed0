#include "tests/gpu/bench/cublas_lt.h"

#include <dlfcn.h>

namespace ssmd::gpu_bench {
namespace {

// cublasLt.h, library_types.h, cublas_api.h.
constexpr int kSuccess = 0;
constexpr int kF32 = 0;
constexpr int kBf16 = 14;
constexpr int kComputeF32 = 68;
constexpr int kTransposeA = 3;
constexpr int kMostWorkspace = 1;
constexpr int32_t kTransposed = 1;

}  // namespace

struct CublasLtProduct::Library {
  // What the library proposes.
  struct Proposal {
    uint64_t algorithm[8];
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
  };

  void* object = nullptr;
  int (*create)(void**) = nullptr;
  int (*destroy)(void*) = nullptr;
  int (*product_create)(void**, int compute_type, int scale_type) = nullptr;
  int (*product_destroy)(void*) = nullptr;
  int (*product_set)(void*, int attribute, const void*, size_t) = nullptr;
  int (*layout_create)(void**, int type, uint64_t rows, uint64_t cols, int64_t stride) = nullptr;
  int (*layout_destroy)(void*) = nullptr;
  int (*preference_create)(void**) = nullptr;
  int (*preference_destroy)(void*) = nullptr;
  int (*preference_set)(void*, int attribute, const void*, size_t) = nullptr;
  int (*propose)(void*, void*, void*, void*, void*, void*, void*, int, Proposal*, int*) = nullptr;
  int (*multiply)(void* handle, void* product, const void* alpha, const void* a, void* a_layout,
                  const void* b, void* b_layout, const void* beta, const void* c, void* c_layout,
                  void* d, void* d_layout, const void* algorithm, void* workspace, size_t bytes,
                  void* stream) = nullptr;

  // Why not, or "".
  std::string Load();

 private:
  template <typename Function>
  bool Find(const char* name, Function* function) {
    *function = reinterpret_cast<Function>(dlsym(object, name));
    return *function != nullptr;
  }
};

std::string CublasLtProduct::Library::Load() {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
    if (object == nullptr) object = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (object == nullptr) {
    return "no libcublasLt.so.13 or .12 is found (LD_LIBRARY_PATH says where to look)";
  }
  const bool found = Find("cublasLtCreate", &create) && Find("cublasLtDestroy", &destroy) &&
                     Find("cublasLtMatmulDescCreate", &product_create) &&
                     Find("cublasLtMatmulDescDestroy", &product_destroy) &&
                     Find("cublasLtMatmulDescSetAttribute", &product_set) &&
                     Find("cublasLtMatrixLayoutCreate", &layout_create) &&
                     Find("cublasLtMatrixLayoutDestroy", &layout_destroy) &&
                     Find("cublasLtMatmulPreferenceCreate", &preference_create) &&
                     Find("cublasLtMatmulPreferenceDestroy", &preference_destroy) &&
                     Find("cublasLtMatmulPreferenceSetAttribute", &preference_set) &&
                     Find("cublasLtMatmulAlgoGetHeuristic", &propose) &&
                     Find("cublasLtMatmul", &multiply);
  return found ? "" : "libcublasLt lacks a function that is needed";
}

CublasLtProduct::CublasLtProduct() : library_(std::make_unique<Library>()) {}

CublasLtProduct::~CublasLtProduct() {
  if (preference_ != nullptr) library_->preference_destroy(preference_);
  if (layout_ != nullptr) library_->layout_destroy(layout_);
  if (product_ != nullptr) library_->product_destroy(product_);
  if (handle_ != nullptr) library_->destroy(handle_);
}

std::unique_ptr<CublasLtProduct> CublasLtProduct::Make(int64_t side, std::string* why_not) {
  std::unique_ptr<CublasLtProduct> product(new CublasLtProduct());
  *why_not = product->library_->Load();
  if (why_not->empty()) *why_not = product->Prepare(side);
  return why_not->empty() ? std::move(product) : nullptr;
}

std::string CublasLtProduct::Prepare(int64_t side) {
  int status = kSuccess;
  const auto ok = [&status](int result) {
    status = result;
    return result == kSuccess;
  };
  const Library& lib = *library_;
  const auto rows = static_cast<uint64_t>(side);
  const uint64_t workspace = kWorkspaceBytes;
  Library::Proposal proposal = {};
  int count = 0;
  const bool prepared =
      ok(lib.create(&handle_)) && ok(lib.product_create(&product_, kComputeF32, kF32)) &&
      ok(lib.product_set(product_, kTransposeA, &kTransposed, sizeof(kTransposed))) &&
      ok(lib.layout_create(&layout_, kBf16, rows, rows, side)) &&
      ok(lib.preference_create(&preference_)) &&
      ok(lib.preference_set(preference_, kMostWorkspace, &workspace, sizeof(workspace))) &&
      ok(lib.propose(handle_, product_, layout_, layout_, layout_, layout_, preference_, 1,
                     &proposal, &count)) &&
      count == 1 && ok(proposal.status);
  if (!prepared) return "cuBLASLt refuses the product, with status " + std::to_string(status);
  for (int i = 0; i < 8; ++i) algorithm_.words[i] = proposal.algorithm[i];
  return "";
}

bool CublasLtProduct::Enqueue(void* stream, const void* a, const void* b, void* out,
                              void* workspace) const {
  const float one = 1;
  const float zero = 0;
  return library_->multiply(handle_, product_, &one, a, layout_, b, layout_, &zero, out, layout_,
                            out, layout_, &algorithm_, workspace, kWorkspaceBytes,
                            stream) == kSuccess;
}

}  // namespace ssmd::gpu_bench
