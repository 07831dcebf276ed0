// The fast product by wgmma, of sm_90a.
#include "kernels/cuda/product_few.h"
#include "kernels/cuda/product_many.h"

namespace ssmd::kernels::cuda::fast {

void MultiplyByWgmma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands,
                     bool few) {
  WithKind(w, [&](auto kind) {
    using Kind = decltype(kind);
    if (few) {
      LaunchFewRows<Kind, true>(stream, operands);
    } else {
      LaunchManyRows<Kind, true>(stream, w, operands);
    }
  });
}

}  // namespace ssmd::kernels::cuda::fast
