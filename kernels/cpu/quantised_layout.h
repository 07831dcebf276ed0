// The order in which the CPU device keeps a quantised matrix (quantise.h), the same for every
// instruction set: [outputs/16][inputs/64] blocks, each with its scales before its codes, so that a
// product streams a panel of 16 outputs from front to back.
//
//   scales    [2 groups][16 outputs] f16
//   minima    the same, in q4 alone
//   codes q8  [16 quads][16 outputs][4 inputs], a byte each
//   codes q4  [8 quads][16 outputs][4 inputs]: a byte's low half is of the first group, its high
//             half of the second
//
// A quad is four inputs of a group, what a dot-product instruction takes in a 32-bit lane: quad q
// has inputs q, q + 8, q + 16 and q + 24, so that a rounded row becomes quads without a shuffle.
// Outputs and groups that pad a block have scale and minimum zero. Constants alone (kernel_table.h
// says why).
#ifndef SSMD_KERNELS_CPU_QUANTISED_LAYOUT_H_
#define SSMD_KERNELS_CPU_QUANTISED_LAYOUT_H_

#include <cstdint>

namespace ssmd::kernels::cpu {

inline constexpr int64_t kTileOutputs = 16;  // of a panel
inline constexpr int64_t kBlockInputs = 64;
inline constexpr int64_t kBlockGroups = 2;
inline constexpr int64_t kGroupQuads = 8;
inline constexpr int64_t kQuadBytes = 64;  // of codes, for 16 outputs

inline constexpr int64_t kScaleBytes = kBlockGroups * kTileOutputs * 2;
inline constexpr int64_t kQ8BlockBytes = kScaleBytes + kBlockGroups * kGroupQuads * kQuadBytes;
inline constexpr int64_t kQ4BlockBytes = 2 * kScaleBytes + kGroupQuads * kQuadBytes;

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_QUANTISED_LAYOUT_H_
