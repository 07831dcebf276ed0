// The fast product by wgmma, of sm_90a.
#include "kernels/cuda/product_few.h"
#include "kernels/cuda/product_many.h"
#include "kernels/cuda/product_narrow.h"
#include "kernels/cuda/staging.h"
#include "kernels/cuda/wgmma.h"

namespace ssmd::kernels::cuda::fast {
namespace {

// Asks the code itself: a GPU of 9.0 may have been given that of another.
struct WgmmaProbe {
  static constexpr char kName[] = "wgmma_probe";
  static constexpr int kThreads = kWarpThreads;
  struct Args {
    uint32_t* answer;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    if (block.thread() == 0) *args.answer = kHasWarpgroupProducts ? 1 : 0;
  }
};

}  // namespace

std::optional<bool> HasWgmma(Gpu& gpu, Stream& stream) {
  if (gpu.facts().major != 9 || gpu.facts().minor != 0) return false;
  uint32_t answer = 0;
  const Buffer memory = AllocateOn(gpu, sizeof(answer));
  if (!memory) return std::nullopt;
  Launch<WgmmaProbe>(stream, {1}, WgmmaProbe::kThreads, {memory.as<uint32_t>()});
  stream.CopyOut(&answer, memory.data(), sizeof(answer));
  stream.Synchronize();
  if (!gpu.failure().empty()) return std::nullopt;
  return answer == 1;
}

void MultiplyByWgmma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands) {
  WithKind(w, [&](auto kind) {
    using Kind = decltype(kind);
    if (operands.to.rows <= kFewRows) {
      LaunchFewRows<Kind, true>(stream, operands);
    } else {
      LaunchManyRows<Kind, true>(stream, w, operands);
    }
  });
}

void MultiplyNarrowByWgmma(Stream& stream, const PackedMatrix& w, const NarrowArgs& args) {
  WithKind(w, [&](auto kind) { LaunchNarrowRows<decltype(kind), true>(stream, args); });
}

}  // namespace ssmd::kernels::cuda::fast
