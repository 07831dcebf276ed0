// The fast product by mma.sync, which GPUs have from sm_80 on.
#include "kernels/cuda/product_few.h"
#include "kernels/cuda/product_many.h"

namespace ssmd::kernels::cuda::fast {

void MultiplyByMma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands,
                   bool few) {
  WithKind(w, [&](auto kind) {
    using Kind = decltype(kind);
    if (few) {
      LaunchFewRows<Kind, false>(stream, operands);
    } else {
      LaunchManyRows<Kind, false>(stream, w, operands);
    }
  });
}

}  // namespace ssmd::kernels::cuda::fast
