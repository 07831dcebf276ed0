// The fast product by wgmma, of sm_90a.
#include "kernels/cuda/product_few.h"
#include "kernels/cuda/product_many.h"
#include "kernels/cuda/product_narrow.h"

namespace ssmd::kernels::cuda::fast {

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
