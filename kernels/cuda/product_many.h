// The fast product (product_fast.h) of many rows.
//
// A block of threads has two panels, 128 outputs, and a tile of rows. Weights, in their own format,
// and inputs come through a ring of blocks of 64 inputs in shared memory. A warp has 32 outputs and
// half of the rows, or 16 and all rows, as the warps of a warpgroup have; it makes fragments of its
// weights as it uses them.
//
// Where tiles alone would leave multiprocessors idle, each segment of the inputs gets blocks of its
// own; otherwise one block adds them all up.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_MANY_H_
#define SSMD_KERNELS_CUDA_PRODUCT_MANY_H_

#include "kernels/cuda/product_block.h"

namespace ssmd::kernels::cuda::fast {

// Tiles of rows that neighbouring blocks share weights of: so that what is read at one time stays
// in the second cache.
inline constexpr int64_t kGroupedTiles = 8;

struct ManyRowsArgs {
  ProductOperands operands;
  int64_t row_tiles;
  int64_t pairs;  // of panels
};

template <typename Kind, bool kOneSegment, bool kWarpgroup>
struct ManyRows {
  static constexpr char kName[] = "product_many";
  static constexpr int kThreads = 256;
  static constexpr int kBlocks = 1;  // two blocks at once would leave too few registers
  static constexpr bool kOverlaps = true;
  static constexpr int kRows = ManyRowsTile(Kind::kParts);
  // Blocks of inputs in shared memory, within the 99 KB that every GPU has.
  static constexpr int kSlots = Kind::kParts == 1 ? 3 : 2;
  // Of 16 outputs, of a warp. Inputs in three parts leave registers for one.
  static constexpr int kUnits = kWarpgroup || Kind::kParts > 1 ? 1 : 2;
  static constexpr int kUnitWarps = kTilePanels * kPanelOutputs / (kUnits * 16);
  static constexpr int kRowTiles = kRows / kCoreRows / (kThreads / kWarpThreads / kUnitWarps);
  static constexpr int kPairs = kPanelOutputs / 2;  // of outputs that lie next to each other

  using Args = ManyRowsArgs;
  struct Slot {
    Words4 chunks[kTilePanels][Kind::kChunks][kPanelLanes];
    alignas(16) uint32_t factors[kTilePanels][kPairs][Kind::kGroups ? Kind::kFactorWords : 1];
    InputBlock<Kind, kRows> inputs;
  };
  struct Shared {
    Slot slots[kSlots];
  };
  static_assert(sizeof(Shared) <= 99 * 1024);

  using WarpSums = Sums<kUnits, kRowTiles>;

  // The block's tile.
  struct Place {
    int64_t row;
    int64_t pair;
  };
  SIMT_DEVICE static Place PlaceOf(const Block& block, const Args& args) {
    const int64_t group = block.x() / (kGroupedTiles * args.pairs);
    const int64_t first = group * kGroupedTiles;
    const int64_t left = args.row_tiles - first;
    const int64_t tiles = left < kGroupedTiles ? left : kGroupedTiles;
    const int64_t within = block.x() % (kGroupedTiles * args.pairs);
    return {(first + within % tiles) * kRows, within / tiles};
  }

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const ProductOperands& p = args.operands;
    const Place place = PlaceOf(block, args);
    const int64_t begin = kOneSegment ? SegmentBegin(p.w.blocks, p.segments, block.y()) : 0;
    const int64_t end =
        kOneSegment ? SegmentBegin(p.w.blocks, p.segments, block.y() + 1) : p.w.blocks;
    for (int i = 0; i < kSlots - 1; ++i) {
      if (begin + i < end) CopyWeights(block, p, place, begin + i, shared.slots[i]);
    }
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    for (int i = 0; i < kSlots - 1; ++i) {
      if (begin + i < end) CopyRows(block, p, place, begin + i, shared.slots[i]);
      AsyncCommit();
    }
    WarpSums acc = {};
    WarpSums total = {};
    int64_t segment = 0;
    int slot = 0;
    for (int64_t b = begin; b < end; ++b) {
      AsyncWait<kSlots - 2>();
      if constexpr (kWarpgroup) ShareWithTensorCore();
      block.Sync();
      if (b + kSlots - 1 < end) {
        Copy(block, p, place, b + kSlots - 1, shared.slots[(slot + kSlots - 1) % kSlots]);
      }
      AsyncCommit();
      AddBlock(block, shared.slots[slot], acc);
      slot = (slot + 1) % kSlots;
      if (!kOneSegment && b + 1 == SegmentBegin(p.w.blocks, p.segments, segment + 1)) {
        EndSegment(segment == 0, acc, total);
        ++segment;
      }
    }
    StoreSums(block, p, place, kOneSegment ? acc : total);
  }

  SIMT_DEVICE static void EndSegment(bool first, WarpSums& acc, WarpSums& total) {
    SIMT_UNROLL for (int u = 0; u < kUnits; ++u) {
      SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
        SIMT_UNROLL for (int i = 0; i < 4; ++i) {
          total[u][n][i] = first ? acc[u][n][i] : total[u][n][i] + acc[u][n][i];
          acc[u][n][i] = 0;
        }
      }
    }
  }

  SIMT_DEVICE static void Copy(const Block& block, const ProductOperands& p, const Place& place,
                               int64_t b, Slot& slot) {
    CopyWeights(block, p, place, b, slot);
    CopyRows(block, p, place, b, slot);
  }
  SIMT_DEVICE static void CopyRows(const Block& block, const ProductOperands& p, const Place& place,
                                   int64_t b, Slot& slot) {
    CopyInputs<Kind, kRows, kThreads>(block, p.x, place.row, b, slot.inputs);
  }

  // The last pair may have one panel, which is then there twice.
  SIMT_DEVICE static void CopyWeights(const Block& block, const ProductOperands& p,
                                      const Place& place, int64_t b, Slot& slot) {
    const int64_t last = (p.w.outputs - 1) / kPanelOutputs;
    for (int i = 0; i < kTilePanels; ++i) {
      const int64_t index = place.pair * kTilePanels + i;
      const std::byte* panel = p.w.data + (index < last ? index : last) * p.w.panel_bytes;
      CopyBytes<Kind::kCodeBytes>(block, slot.chunks[i], panel + b * Kind::kCodeBytes);
      if constexpr (Kind::kGroups) {
        CopyBytes<Kind::kFactorBytes>(block, slot.factors[i],
                                      panel + p.w.factor_offset + b * Kind::kFactorBytes);
      }
    }
  }

  template <int64_t kBytes>
  SIMT_DEVICE static void CopyBytes(const Block& block, void* to, const std::byte* from) {
    for (int i = block.thread() * 16; i < kBytes; i += kThreads * 16) {
      AsyncCopy16(static_cast<std::byte*>(to) + i, from + i);
    }
  }

  SIMT_DEVICE static void AddBlock(const Block& block, const Slot& slot, WarpSums& acc) {
    const auto unpack = [&](int u, int group) {
      const int unit = block.warp() % kUnitWarps * kUnits + u;
      const int warp = unit % 4;  // of a panel's fragments
      const auto& chunks = slot.chunks[unit / 4];
      const auto& factors = slot.factors[unit / 4][warp * 8 + block.lane() / 4];
      return UnpackGroup<Kind>(
          group, [&](int i) { return chunks[i][warp * kWarpThreads + block.lane()]; },
          [&](int i) { return factors[i]; });
    };
    if constexpr (kWarpgroup) {
      AddBlockByWarpgroup(block, slot.inputs, unpack, acc);
    } else {
      const int first_row = block.warp() / kUnitWarps * kRowTiles * kCoreRows;
      AddBlockByWarp(block, slot.inputs, first_row, kRows, unpack, acc);
    }
  }

  SIMT_DEVICE static void StoreSums(const Block& block, const ProductOperands& p,
                                    const Place& place, const WarpSums& sums) {
    const int64_t first_output = place.pair * kTilePanels * kPanelOutputs +
                                 block.warp() % kUnitWarps * kUnits * 16 + block.lane() / 4;
    const int64_t first_row =
        place.row + block.warp() / kUnitWarps * kRowTiles * kCoreRows + block.lane() % 4 * 2;
    SIMT_UNROLL for (int u = 0; u < kUnits; ++u) {
      SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
        SIMT_UNROLL for (int i = 0; i < 4; ++i) {
          StoreSum<Kind>(p, block.y(), first_row + n * kCoreRows + i % 2,
                         first_output + u * 16 + i / 2 * 8, sums[u][n][i]);
        }
      }
    }
  }
};

template <typename Kind, bool kWarpgroup>
void LaunchManyRows(Stream& stream, const PackedMatrix& w, const ProductOperands& operands) {
  const ManyRowsArgs args = {operands, ManyRowsTiles(operands.to.rows, w), PanelPairs(w)};
  const int64_t tiles = args.row_tiles * args.pairs;
  if (operands.segments == 1 || operands.partials != nullptr) {
    using Kernel = ManyRows<Kind, true, kWarpgroup>;
    Launch<Kernel>(stream, {tiles, operands.segments}, Kernel::kThreads, args);
  } else {
    using Kernel = ManyRows<Kind, false, kWarpgroup>;
    Launch<Kernel>(stream, {tiles}, Kernel::kThreads, args);
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_MANY_H_
