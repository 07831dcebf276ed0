#include "kernels/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <utility>

namespace ssmd::kernels::cuda {
namespace {

// cublasLt.h, library_types.h, cublas_api.h.
constexpr int kSuccess = 0;
constexpr int kF32 = 0;
constexpr int kF16 = 2;
constexpr int kBf16 = 14;
constexpr int kComputeF32 = 68;
constexpr int kTransposeA = 3;
constexpr int kMostWorkspace = 1;
constexpr int32_t kTransposed = 1;

}  // namespace

struct CublasLt::Library {
  // What the library proposes.
  struct Proposal {
    uint64_t algorithm[8];
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
  };

  void* object = nullptr;  // stays open to the end of the process
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

std::string CublasLt::Library::Load() {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
    if (object == nullptr) object = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (object == nullptr) {
    return "neither libcublasLt.so.13 nor .12 is found: it comes with the CUDA toolkit (Debian's "
           "and NVIDIA's libcublas packages, PyPI's nvidia-cublas); LD_LIBRARY_PATH says where to "
           "look";
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

// What the library wants to know of a product, and what it proposed. In its terms, column by
// column, `a` is the weights (inputs, outputs), transposed, `b` the rows (inputs, rows), and the
// result (outputs, rows).
struct CublasLt::Plan {
  explicit Plan(const Library& library_in) : library(library_in) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (void* layout : {a, b, out}) {
      if (layout != nullptr) library.layout_destroy(layout);
    }
    if (product != nullptr) library.product_destroy(product);
  }

  const Library& library;
  void* product = nullptr;
  void* a = nullptr;
  void* b = nullptr;
  void* out = nullptr;
  Library::Proposal proposal = {};
};

CublasLt::CublasLt() : library_(std::make_unique<Library>()) {}

CublasLt::~CublasLt() {
  plans_.clear();
  if (handle_ != nullptr) library_->destroy(handle_);
}

std::unique_ptr<CublasLt> CublasLt::Open(std::string* why_not) {
  std::unique_ptr<CublasLt> opened(new CublasLt());
  *why_not = opened->library_->Load();
  if (!why_not->empty()) return nullptr;
  const int status = opened->library_->create(&opened->handle_);
  if (status == kSuccess) return opened;
  *why_not = "cuBLASLt does not start, with status " + std::to_string(status);
  return nullptr;
}

const CublasLt::Plan* CublasLt::PlanOf(const LibraryProduct& product, std::string* refusal) {
  if (const auto kept = plans_.find(product.Key()); kept != plans_.end()) return kept->second.get();
  int status = kSuccess;
  const auto ok = [&status](int result) {
    status = result;
    return result == kSuccess;
  };
  const Library& lib = *library_;
  auto plan = std::make_unique<Plan>(lib);
  const int type = product.f16 ? kF16 : kBf16;
  const int out_type = product.narrow_out ? type : kF32;
  const auto inputs = static_cast<uint64_t>(product.inputs);
  const auto outputs = static_cast<uint64_t>(product.outputs);
  const auto rows = static_cast<uint64_t>(product.rows);
  const uint64_t workspace = kWorkspaceBytes;
  void* preference = nullptr;
  int count = 0;
  const bool planned =
      ok(lib.product_create(&plan->product, kComputeF32, kF32)) &&
      ok(lib.product_set(plan->product, kTransposeA, &kTransposed, sizeof(kTransposed))) &&
      ok(lib.layout_create(&plan->a, type, inputs, outputs, product.inputs)) &&
      ok(lib.layout_create(&plan->b, type, inputs, rows, product.inputs)) &&
      ok(lib.layout_create(&plan->out, out_type, outputs, rows, product.out_stride)) &&
      ok(lib.preference_create(&preference)) &&
      ok(lib.preference_set(preference, kMostWorkspace, &workspace, sizeof(workspace))) &&
      ok(lib.propose(handle_, plan->product, plan->a, plan->b, plan->out, plan->out, preference, 1,
                     &plan->proposal, &count)) &&
      count == 1 && ok(plan->proposal.status);
  if (preference != nullptr) lib.preference_destroy(preference);
  if (planned) {
    if (plans_.size() >= kPlans) plans_.clear();
    return plans_.emplace(product.Key(), std::move(plan)).first->second.get();
  }
  *refusal = "cuBLASLt has no way to multiply " + std::to_string(product.rows) + " rows by (" +
             std::to_string(product.outputs) + ", " + std::to_string(product.inputs) +
             "), with status " + std::to_string(status);
  return nullptr;
}

std::string CublasLt::Multiply(Stream& stream, const LibraryProduct& product, const void* w,
                               const void* x, void* out, void* workspace) {
  std::string refusal;
  const Plan* plan = PlanOf(product, &refusal);
  if (plan == nullptr) return refusal;
  // An emulated stream has no handle: what it was given comes first, and then the product at once.
  if (stream.handle() == nullptr) stream.Synchronize();
  const float one = 1;
  const float beta = product.adds ? 1 : 0;
  const int status = library_->multiply(handle_, plan->product, &one, w, plan->a, x, plan->b, &beta,
                                        out, plan->out, out, plan->out, plan->proposal.algorithm,
                                        workspace, kWorkspaceBytes, stream.handle());
  return status == kSuccess ? ""
                            : "cuBLASLt refused a product, with status " + std::to_string(status);
}

}  // namespace ssmd::kernels::cuda
