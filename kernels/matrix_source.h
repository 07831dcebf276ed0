// Reading weights as a checkpoint holds them: rows of a MatrixSource, widened to f32.
//
// Plain types are converted by bits alone (number_format.h). The block types are those of ggml
// (github.com/ggml-org/ggml, MIT), which GGUF files hold: a block of consecutive inputs shares f16
// factors, and rows are whole blocks. Every value comes out as the formula below gives it in f32
// arithmetic; all products in them are exact, so only kQ4_K's subtraction rounds, once.
//
//   kQ8_0  32 inputs   f16 d, int8 q[32]                            w = d·q
//   kQ4_0  32 inputs   f16 d, u4 q[32]                              w = d·(q − 8)
//   kQ4_K   256 inputs  f16 d, f16 m, 8 × (u6 s, u6 t), u4 q[256]    w = d·s·q − m·t
//   kQ6_K   256 inputs  u6 q[256], int8 s[16], f16 d                 w = d·s·(q − 32)
#ifndef SSMD_KERNELS_MATRIX_SOURCE_H_
#define SSMD_KERNELS_MATRIX_SOURCE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels {

// How a type lays out its elements: `inputs` of them in `bytes` bytes. The plain types have blocks
// of one. `factors` f16 numbers at `factor_offsets` scale a block: it holds finite values where
// they are finite.
struct SourceBlock {
  int64_t inputs = 1;
  size_t bytes = 0;
  int factors = 0;
  size_t factor_offsets[2] = {0, 0};
};
const SourceBlock& BlockOf(MatrixSource::Type type);

// Widens row `row` (an output) to `out`, which has room for source.inputs floats. REQUIRES:
// source.inputs is a multiple of the type's block.
void ReadSourceRow(const MatrixSource& source, int64_t row, float* out);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_MATRIX_SOURCE_H_
