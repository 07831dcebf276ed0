// A libcublasLt for the emulated GPU, whose memory is the host's: the functions that
// kernels/cuda/cublas_lt.cc looks up, with the meaning that cublasLt.h gives them, in plain loops.
// It says to its caller's face what the real one might not: arguments that do not fit are refused.
//
// SSMD_FAKE_CUBLAS, looked at in each call, has it misbehave:
//   refuse   no product is made
//   no_way   none is proposed
//   few      none is proposed beyond 150 rows
//   wrong    the first column of a result is left out
// SSMD_FAKE_CUBLAS_LOG names a file to which it appends a line a product.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/number_format.h"

namespace {

constexpr int kSuccess = 0, kInvalid = 7, kNotSupported = 15;
constexpr int kF32 = 0, kF16 = 2, kBf16 = 14;

struct Product {
  int compute = 0, scale = 0;
  int32_t transpose_a = 0;
};
struct Layout {
  int type = 0;
  uint64_t rows = 0, cols = 0;
  int64_t stride = 0;
};
struct Preference {
  uint64_t workspace = 0;
};
struct Proposal {
  uint64_t algorithm[8];
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};
int handle = 0;

bool Misbehaves(const char* how) {
  const char* asked = std::getenv("SSMD_FAKE_CUBLAS");
  return asked != nullptr && std::strcmp(asked, how) == 0;
}

float Read(const void* matrix, const Layout& layout, uint64_t row, uint64_t col) {
  const uint64_t at = col * static_cast<uint64_t>(layout.stride) + row;
  if (layout.type == kF32) return static_cast<const float*>(matrix)[at];
  const uint16_t bits = static_cast<const uint16_t*>(matrix)[at];
  return layout.type == kF16 ? ssmd::kernels::WidenF16(bits) : ssmd::kernels::WidenBf16(bits);
}

void Write(void* matrix, const Layout& layout, uint64_t row, uint64_t col, float value) {
  const uint64_t at = col * static_cast<uint64_t>(layout.stride) + row;
  if (layout.type == kF32) {
    static_cast<float*>(matrix)[at] = value;
  } else {
    static_cast<uint16_t*>(matrix)[at] =
        layout.type == kF16 ? ssmd::kernels::RoundToF16(value) : ssmd::kernels::RoundToBf16(value);
  }
}

bool Fits(const Product& product, const Layout& a, const Layout& b, const Layout& d) {
  return product.compute == 68 && product.scale == kF32 && product.transpose_a == 1 &&
         a.rows == b.rows && a.cols == d.rows && b.cols == d.cols && a.type == b.type &&
         (a.type == kBf16 || a.type == kF16) && (d.type == kF32 || d.type == a.type) &&
         a.stride >= static_cast<int64_t>(a.rows) && b.stride >= static_cast<int64_t>(b.rows) &&
         d.stride >= static_cast<int64_t>(d.rows);
}

template <typename T>
int Make(void** made) {
  *made = new T();
  return kSuccess;
}
template <typename T>
int Unmake(void* made) {
  delete static_cast<T*>(made);
  return kSuccess;
}

}  // namespace

extern "C" {

int cublasLtCreate(void** made) {
  *made = &handle;
  return kSuccess;
}
int cublasLtDestroy(void*) { return kSuccess; }

int cublasLtMatmulDescCreate(void** made, int compute, int scale) {
  *made = new Product{compute, scale, 0};
  return kSuccess;
}
int cublasLtMatmulDescDestroy(void* product) { return Unmake<Product>(product); }
int cublasLtMatmulDescSetAttribute(void* product, int attribute, const void* value, size_t bytes) {
  if (attribute != 3 || bytes != sizeof(int32_t)) return kInvalid;
  std::memcpy(&static_cast<Product*>(product)->transpose_a, value, bytes);
  return kSuccess;
}

int cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t cols,
                               int64_t stride) {
  *made = new Layout{type, rows, cols, stride};
  return kSuccess;
}
int cublasLtMatrixLayoutDestroy(void* layout) { return Unmake<Layout>(layout); }

int cublasLtMatmulPreferenceCreate(void** made) { return Make<Preference>(made); }
int cublasLtMatmulPreferenceDestroy(void* preference) { return Unmake<Preference>(preference); }
int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value,
                                         size_t bytes) {
  if (attribute != 1 || bytes != sizeof(uint64_t)) return kInvalid;
  std::memcpy(&static_cast<Preference*>(preference)->workspace, value, bytes);
  return kSuccess;
}

int cublasLtMatmulAlgoGetHeuristic(void* at, void* product, void* a, void* b, void* c, void* d,
                                   void* /*preference*/, int wanted, Proposal* proposals,
                                   int* count) {
  *count = 0;
  if (Misbehaves("no_way")) return kNotSupported;
  if (Misbehaves("few") && static_cast<Layout*>(d)->cols > 150) return kNotSupported;
  if (at != &handle || wanted < 1 || c != d ||
      !Fits(*static_cast<Product*>(product), *static_cast<Layout*>(a), *static_cast<Layout*>(b),
            *static_cast<Layout*>(d))) {
    return kInvalid;
  }
  proposals[0] = {};
  *count = 1;
  return kSuccess;
}

int cublasLtMatmul(void* at, void* product, const void* alpha, const void* a, void* a_layout,
                   const void* b, void* b_layout, const void* beta, const void* c, void* c_layout,
                   void* d, void* d_layout, const void* algorithm, void* workspace,
                   size_t workspace_bytes, void* /*stream*/) {
  const Layout& of_a = *static_cast<Layout*>(a_layout);
  const Layout& of_b = *static_cast<Layout*>(b_layout);
  const Layout& of_d = *static_cast<Layout*>(d_layout);
  if (Misbehaves("refuse")) return kNotSupported;
  if (at != &handle || algorithm == nullptr || workspace == nullptr || workspace_bytes == 0 ||
      c != d || c_layout != d_layout || *static_cast<const float*>(alpha) != 1 ||
      !Fits(*static_cast<Product*>(product), of_a, of_b, of_d)) {
    return kInvalid;
  }
  const float adds = *static_cast<const float*>(beta);
  for (uint64_t col = Misbehaves("wrong") ? 1 : 0; col < of_d.cols; ++col) {
    for (uint64_t row = 0; row < of_d.rows; ++row) {
      float sum = 0;
      for (uint64_t k = 0; k < of_a.rows; ++k) {
        sum += Read(a, of_a, k, row) * Read(b, of_b, k, col);
      }
      if (adds != 0) sum += adds * Read(c, of_d, row, col);
      Write(d, of_d, row, col, sum);
    }
  }
  if (const char* log = std::getenv("SSMD_FAKE_CUBLAS_LOG")) {
    if (std::FILE* file = std::fopen(log, "a")) {
      std::fprintf(file, "%d %d %d\n", static_cast<int>(of_d.cols), static_cast<int>(of_d.rows),
                   static_cast<int>(of_a.rows));
      std::fclose(file);
    }
  }
  return kSuccess;
}

}  // extern "C"
