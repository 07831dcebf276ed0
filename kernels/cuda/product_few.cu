// The fast product (product_fast.h) of up to 64 rows.
//
// A block of threads has a panel of 64 outputs and a segment of the inputs, a warp 16 outputs and
// all rows. Each lane reads its own fragments of the weights, 16 bytes at a time and kDepth blocks
// of inputs ahead, straight into registers. The rows' inputs, which all warps need, come through a
// ring of blocks in shared memory.
#include "kernels/cuda/product_parts.h"

namespace ssmd::kernels::cuda::fast {
namespace {

// Up to 8 · kRowTiles rows.
template <typename Kind, int kRowTiles>
struct FewRows {
  static constexpr char kName[] = "product_few";
  static constexpr int kThreads = kPanelLanes;
  // Blocks of inputs whose weights are on their way: ten loads of a thread or more.
  static constexpr bool kNarrow = kRowTiles <= 2;
  static constexpr int kDepth = Kind::kChunks == 4 ? (kNarrow ? 4 : 3) : (kNarrow ? 8 : 5);
  // Blocks of inputs in shared memory.
  static constexpr int kSlots = 4;
  static constexpr int kRows = kRowTiles * kCoreRows;

  using Args = ProductOperands;
  struct Slot {
    alignas(16) uint32_t x[Kind::kParts][kBlockCores][kRows][4];
    alignas(16) float sums[kBlockGroups][Kind::kQ4 ? kRows : 4];
  };
  struct Shared {
    Slot slots[kSlots];
  };

  // A lane's weights of a block of inputs.
  struct Weights {
    Words4 chunks[Kind::kChunks];
    uint32_t factors[Kind::kFactorWords > 0 ? Kind::kFactorWords : 1];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const int64_t begin = SegmentBegin(args.w.blocks, args.segments, block.y());
    const int64_t end = SegmentBegin(args.w.blocks, args.segments, block.y() + 1);
    const std::byte* panel = args.w.data + block.x() * args.w.panel_bytes;
    Weights weights[kDepth];
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) weights[i] = LoadWeights(block, args, panel, begin + i);
    }
    for (int i = 0; i < kSlots - 1; ++i) {
      if (begin + i < end) CopyInputs(block, args, begin + i, shared.slots[i]);
      AsyncCommit();
    }
    float acc[kRowTiles][4] = {};
    int slot = 0;
    for (int64_t first = begin; first < end; first += kDepth) {
      SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
        const int64_t b = first + i;
        if (b >= end) break;
        AsyncWait<kSlots - 2>();
        block.Sync();
        if (b + kSlots - 1 < end) {
          CopyInputs(block, args, b + kSlots - 1, shared.slots[(slot + kSlots - 1) % kSlots]);
        }
        AsyncCommit();
        AddBlock(block, args, weights[i], shared.slots[slot], acc);
        if (b + kDepth < end) weights[i] = LoadWeights(block, args, panel, b + kDepth);
        slot = (slot + 1) % kSlots;
      }
    }
    StoreSums(block, args, acc);
  }

  SIMT_DEVICE static Weights LoadWeights(const Block& block, const Args& args,
                                         const std::byte* panel, int64_t b) {
    Weights weights;
    const auto* chunks = reinterpret_cast<const Words4*>(panel + b * Kind::kCodeBytes);
    for (int i = 0; i < Kind::kChunks; ++i) {
      weights.chunks[i] = LoadStreaming(chunks + i * kPanelLanes + block.thread());
    }
    if constexpr (Kind::kGroups) {
      const int pair = block.warp() * 8 + block.lane() / 4;
      const auto* factors =
          reinterpret_cast<const uint64_t*>(panel + args.w.factor_offset + b * Kind::kFactorBytes);
      constexpr int kPairs = Kind::kFactorWords / 2;
      for (int i = 0; i < kPairs; ++i) {
        const uint64_t two = LoadReadOnly(factors + pair * kPairs + i);
        weights.factors[2 * i] = static_cast<uint32_t>(two);
        weights.factors[2 * i + 1] = static_cast<uint32_t>(two >> 32);
      }
    }
    return weights;
  }

  // Of the rows that there are; what a slot holds of others goes to no output.
  SIMT_DEVICE static void CopyInputs(const Block& block, const Args& args, int64_t b, Slot& slot) {
    constexpr int kCopies = Kind::kParts * kBlockCores * kRows;
    const int64_t rows = args.x.padded_rows;
    for (int i = block.thread(); i < kCopies; i += kThreads) {
      const int row = i % kRows;
      const int core = i / kRows % kBlockCores;
      const int part = i / kRows / kBlockCores;
      if (row >= rows) continue;
      const auto* from = reinterpret_cast<const Words4*>(args.x.rows + part * args.x.part_bytes);
      AsyncCopy16(slot.x[part][core][row], from + (b * kBlockCores + core) * rows + row);
    }
    if constexpr (Kind::kQ4) {
      const int i = block.thread();
      const int row = i % (kRows / 4) * 4;
      const int group = i / (kRows / 4);
      if (group >= kBlockGroups || row >= rows) return;
      AsyncCopy16(&slot.sums[group][row], args.x.sums + (b * kBlockGroups + group) * rows + row);
    }
  }

  SIMT_DEVICE static void AddBlock(const Block& block, const Args& args, const Weights& weights,
                                   const Slot& slot, float (&acc)[kRowTiles][4]) {
    const int column = block.lane() / 4;
    const int q = block.lane() % 4;
    SIMT_UNROLL for (int group = 0; group < kBlockGroups; ++group) {
      const auto a = UnpackGroup<Kind>(
          group, [&](int i) { return weights.chunks[i]; },
          [&](int i) { return weights.factors[i]; });
      SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
        if (n * kCoreRows >= args.x.padded_rows) break;
        GroupInputs<Kind> inputs = {};
        for (int core = 0; core < kBlockCores / kBlockGroups; ++core) {
          for (int part = 0; part < Kind::kParts; ++part) {
            const int at = group * (kBlockCores / kBlockGroups) + core;
            inputs.b[core / 2][part][core % 2] = slot.x[part][at][n * kCoreRows + column][q];
          }
        }
        if constexpr (Kind::kQ4) {
          for (int i = 0; i < 2; ++i) inputs.sums[i] = slot.sums[group][n * kCoreRows + 2 * q + i];
        }
        AddGroup<Kind>(a, inputs, acc[n]);
      }
    }
  }

  SIMT_DEVICE static void StoreSums(const Block& block, const Args& args,
                                    const float (&acc)[kRowTiles][4]) {
    const int64_t output = block.x() * kPanelOutputs + block.warp() * 16 + block.lane() / 4;
    SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
      for (int i = 0; i < 4; ++i) {
        const int64_t row = n * kCoreRows + block.lane() % 4 * 2 + i % 2;
        StoreSum<Kind>(args, block.y(), row, output + i / 2 * 8, acc[n][i]);
      }
    }
  }
};

template <typename Kind>
void LaunchFewRows(Stream& stream, const ProductOperands& operands) {
  const Grid grid = {PanelCount(operands.w.outputs), operands.segments};
  const auto launch = [&]<int kRowTiles>() {
    using Kernel = FewRows<Kind, kRowTiles>;
    Launch<Kernel>(stream, grid, Kernel::kThreads, operands);
  };
  const int64_t tiles = operands.x.padded_rows / kCoreRows;
  if (tiles <= 1) {
    launch.template operator()<1>();
  } else if (tiles <= 2) {
    launch.template operator()<2>();
  } else if (tiles <= 4) {
    launch.template operator()<4>();
  } else {
    launch.template operator()<8>();
  }
}

}  // namespace

void MultiplyFewRows(Stream& stream, const PackedMatrix& w, const ProductOperands& operands) {
  WithKind(w, [&](auto kind) { LaunchFewRows<decltype(kind)>(stream, operands); });
}

}  // namespace ssmd::kernels::cuda::fast
