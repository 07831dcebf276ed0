// The fast product by mma.sync, which GPUs have from sm_80 on.
#include "kernels/cuda/product_few.h"
#include "kernels/cuda/product_many.h"
#include "kernels/cuda/product_narrow.h"

namespace ssmd::kernels::cuda::fast {

void MultiplyByMma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands) {
  WithKind(w, [&](auto kind) {
    using Kind = decltype(kind);
    if (operands.to.rows <= kFewRows) {
      LaunchFewRows<Kind, false>(stream, operands);
    } else {
      LaunchManyRows<Kind, false>(stream, w, operands);
    }
  });
}

void MultiplyNarrowByMma(Stream& stream, const PackedMatrix& w, const NarrowArgs& args) {
  WithKind(w, [&](auto kind) { LaunchNarrowRows<decltype(kind), false>(stream, args); });
}

}  // namespace ssmd::kernels::cuda::fast
