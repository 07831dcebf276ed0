#include "tests/gpu/bench/matrix_peak.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/staging.h"
#include "tests/gpu/bench/random_numbers.h"

namespace ssmd::gpu_bench {
namespace {

using kernels::Buffer;
using kernels::cuda::AllocateOn;
using kernels::cuda::CublasLt;
using kernels::cuda::Gpu;
using kernels::cuda::LibraryProduct;
using kernels::cuda::Stream;

constexpr int64_t kSide = 8192;
constexpr size_t kMatrixBytes = size_t{kSide} * kSide * 2;
constexpr double kFlops = 2.0 * kSide * kSide * kSide;
constexpr size_t kRandomNumbers = size_t{4} << 20;

// The time of a product depends on its numbers, by what they cost in power.
void FillWithRandom(Stream& stream, const std::vector<uint16_t>& numbers, const Buffer& matrix) {
  const size_t bytes = numbers.size() * sizeof(uint16_t);
  for (size_t at = 0; at < matrix.bytes(); at += bytes) {
    stream.CopyIn(matrix.data() + at, numbers.data(), bytes);
  }
}

}  // namespace

Spread MeasureMatrixPeak(Gpu& gpu, Stream& stream, const Timer& timer, std::string* why_not) {
  if (stream.handle() == nullptr) {
    *why_not = "this GPU is not a real one";
    return {};
  }
  const std::unique_ptr<CublasLt> library = CublasLt::Open(why_not);
  if (library == nullptr) return {};
  const Buffer a = AllocateOn(gpu, kMatrixBytes);
  const Buffer b = AllocateOn(gpu, kMatrixBytes);
  const Buffer out = AllocateOn(gpu, kMatrixBytes);
  const Buffer workspace = AllocateOn(gpu, CublasLt::kWorkspaceBytes);
  if (!a || !b || !out || !workspace) {
    *why_not = "there is no memory for the matrices";
    return {};
  }
  const std::vector<uint16_t> numbers = RandomBf16(kRandomNumbers, 1);
  FillWithRandom(stream, numbers, a);
  FillWithRandom(stream, numbers, b);
  LibraryProduct product;
  product.outputs = product.inputs = product.rows = product.out_stride = kSide;
  product.narrow_out = true;
  const Spread time = timer.OnGpu([&] {
    const std::string refusal =
        library->Multiply(stream, product, a.data(), b.data(), out.data(), workspace.data());
    if (!refusal.empty()) *why_not = refusal;
  });
  stream.Synchronize();
  return why_not->empty() ? Rate(kFlops * 1e-9, time) : Spread{};
}

}  // namespace ssmd::gpu_bench
