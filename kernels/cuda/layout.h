// The order in which the CUDA device keeps a weight matrix: panels of 64 outputs, each a run of
// bytes of its own, so that a matrix is packed and uploaded some panels at a time.
//
// A panel is cut into blocks of 64 inputs. The codes of all blocks come first, then what they are
// multiplied by:
//
//   f32        [block][64 inputs][64 outputs] f32
//   bf16, f16  [block][4 tiles][128 lanes][16 bytes]
//   q8, fp8    [block][2 pairs of tiles][128 lanes][16 bytes]
//   q4         [block][128 lanes][16 bytes]
//   q8         [block][32][2 groups][2 outputs] f16 scales
//   q4         [block][32][2 groups](2 scales, 2 minima) f16
//   fp8        [64 outputs] f32 scales
//
// A tile is 16 inputs. Its 64 × 16 weights are four operands A of the tensor core's m16n8k16, a
// warp's each, in the order of their fragments (simt.h): lane l of warp w has eight codes, of the
// outputs 16w + g and 16w + g + 8, where g = l / 4. So a thread loads its fragments by 16 bytes
// each, next to its neighbours'; wgmma's fragments of m64k16 are the same. Scales and minima lie
// likewise: place 8w + g of the 32 has those of 16w + g and 16w + g + 8, of both groups of a block.
// Where codes are narrower than 16 bits the two of a register lie apart, so that one mask takes
// both (fragments.h).
//
// Outputs and inputs are padded to whole panels and blocks: with weights that are zero, or whose
// scale and minimum are zero.
//
// What is said here of sums (SegmentCount) fixes bits: it depends on the weight's shape alone.
#ifndef SSMD_KERNELS_CUDA_LAYOUT_H_
#define SSMD_KERNELS_CUDA_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

#if defined(__CUDACC__)
#include "kernels/cuda/simt.h"
#elif !defined(SIMT_BOTH)
#define SIMT_BOTH inline __attribute__((unused))  // as in tests/simt: files without kernels too
#endif

namespace ssmd::kernels::cuda {

inline constexpr int kPanelOutputs = 64;
inline constexpr int kBlockInputs = 64;
inline constexpr int kTileInputs = 16;
inline constexpr int kPanelLanes = 128;
inline constexpr int kBlockGroups = 2;  // of 32 inputs

inline constexpr int64_t PanelCount(int64_t outputs) {
  return (outputs + kPanelOutputs - 1) / kPanelOutputs;
}
inline constexpr int64_t BlockCount(int64_t inputs) {
  return (inputs + kBlockInputs - 1) / kBlockInputs;
}

SIMT_BOTH constexpr int CodeBits(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 32;
    case WeightFormat::kBf16:
    case WeightFormat::kF16:
      return 16;
    case WeightFormat::kQ8:
    case WeightFormat::kFp8:
      return 8;
    case WeightFormat::kQ4:
      return 4;
  }
  return 0;
}

// Bytes of a block's codes, and of its factors.
SIMT_BOTH constexpr int64_t BlockCodeBytes(WeightFormat format) {
  return int64_t{kPanelOutputs} * kBlockInputs * CodeBits(format) / 8;
}
SIMT_BOTH constexpr int64_t BlockFactorBytes(WeightFormat format) {
  const int64_t scales = int64_t{kPanelOutputs} * kBlockGroups * 2;
  return format == WeightFormat::kQ8 ? scales : format == WeightFormat::kQ4 ? 2 * scales : 0;
}

// Where a panel's factors begin, and its bytes.
inline constexpr int64_t FactorOffset(int64_t inputs, WeightFormat format) {
  return BlockCount(inputs) * BlockCodeBytes(format);
}
inline constexpr int64_t PanelBytes(int64_t inputs, WeightFormat format) {
  const int64_t scales = format == WeightFormat::kFp8 ? kPanelOutputs * 4 : 0;
  return BlockCount(inputs) * (BlockCodeBytes(format) + BlockFactorBytes(format)) + scales;
}

// Of a whole matrix; 0 where the sizes are below 1 or beyond what is packed.
inline constexpr size_t PackedMatrixBytes(int64_t outputs, int64_t inputs, WeightFormat format) {
  if (outputs < 1 || inputs < 1 || outputs > kMaxMatrixSide || inputs > kMaxMatrixSide) return 0;
  return static_cast<size_t>(PanelCount(outputs)) * static_cast<size_t>(PanelBytes(inputs, format));
}

// Where the code of an output (of its panel) and an input lies: in a byte of the panel, from bit
// `shift` on.
struct CodePlace {
  int64_t byte;
  int shift;
};
SIMT_BOTH constexpr CodePlace PlaceOfCode(WeightFormat format, int output, int64_t input) {
  const int64_t tile = input / kTileInputs;
  const int lane = output / 16 * 32 + output % 8 * 4 + static_cast<int>(input % 8) / 2;
  const int half = static_cast<int>(input % 2);  // of register `a` of the fragment
  const int a = output % 16 / 8 + static_cast<int>(input % kTileInputs) / 8 * 2;
  switch (format) {
    case WeightFormat::kF32:
      return {(input * kPanelOutputs + output) * 4, 0};
    case WeightFormat::kBf16:
    case WeightFormat::kF16:
      return {(tile * kPanelLanes + lane) * 16 + a * 4 + half * 2, 0};
    case WeightFormat::kQ8:
    case WeightFormat::kFp8:
      return {(tile / 2 * kPanelLanes + lane) * 16 + tile % 2 * 8 + a / 2 * 4 + half * 2 + a % 2,
              0};
    case WeightFormat::kQ4:
      return {(tile / 4 * kPanelLanes + lane) * 16 + tile % 4 * 4 + half * 2 + a / 2, a % 2 * 4};
  }
  return {0, 0};
}

// Where the scale of an output (of its panel) and a group lies among the panel's factors; its
// minimum, in q4, is kMinimumOffset bytes further.
inline constexpr int kMinimumOffset = 4;
SIMT_BOTH constexpr int64_t PlaceOfScale(WeightFormat format, int output, int64_t group) {
  const int64_t pair = output / 16 * 8 + output % 8;
  const int64_t word = (group / kBlockGroups * 32 + pair) * kBlockGroups + group % kBlockGroups;
  return word * (format == WeightFormat::kQ4 ? 8 : 4) + output % 16 / 8 * 2;
}

// Into how many segments the inputs are cut, whose sums are made apart and then added in ascending
// order: enough for kWantedBlocks blocks of threads in a product of few rows, and no more than
// kMaxSegments, of four blocks of inputs or more each.
inline constexpr int64_t kWantedBlocks = 264;
inline constexpr int64_t kMaxSegments = 8;
inline constexpr int64_t kMinSegmentBlocks = 4;
inline constexpr int64_t SegmentCount(int64_t outputs, int64_t inputs) {
  const int64_t panels = PanelCount(outputs);
  const int64_t wanted = (kWantedBlocks + panels - 1) / panels;
  const int64_t possible = BlockCount(inputs) / kMinSegmentBlocks;
  const int64_t most = possible < kMaxSegments ? possible : kMaxSegments;
  return wanted < most ? wanted : most > 1 ? most : 1;
}
// The first block of inputs of a segment.
SIMT_BOTH constexpr int64_t SegmentBegin(int64_t blocks, int64_t segments, int64_t segment) {
  return blocks * segment / segments;
}

// A packed matrix as kernels take it.
struct WeightView {
  const std::byte* data;
  int64_t outputs;
  int64_t inputs;
  int64_t blocks;  // of inputs
  int64_t panel_bytes;
  int64_t factor_offset;
};
inline WeightView ViewOf(const PackedMatrix& matrix) {
  return {matrix.data.data(),
          matrix.outputs,
          matrix.inputs,
          BlockCount(matrix.inputs),
          PanelBytes(matrix.inputs, matrix.format),
          FactorOffset(matrix.inputs, matrix.format)};
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_LAYOUT_H_
