// MatMul with weights in q8 and q4, plainly: the order and the roundings of
// cpu/quantised_kernel.h.
//
// Rows are rounded to int8 first, into scratch: [rows][groups][8 words], then a scale and an offset
// a group. A word has four codes of a tile of 16 inputs: word q of a tile those of the inputs 2q,
// 2q + 8, 2q + 1 and 2q + 9, which are what a lane has of an output in its fragments (layout.h).
// The product then is as product_plain.cu's, with words for weights and groups for inputs.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_output.h"
#include "kernels/cuda/product_quantised.h"
#include "kernels/cuda/weight_values.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda::plain {
namespace {

constexpr int kGroup = static_cast<int>(kGroupInputs);
constexpr int kGroupWords = kGroup / 4;
constexpr int kRunBlocks = static_cast<int>(kReductionRun / kBlockInputs);

// What a row's group is multiplied by: its scale, and scale · Σ code.
struct alignas(8) GroupFactors {
  float scale;
  float offset;
};

// A warp a group.
struct RoundRowsToInt8 {
  static constexpr char kName[] = "round_rows_int8";
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarpThreads;
  static_assert(kGroup == kWarpThreads);

  struct Args {
    const float* x;
    int64_t x_stride;
    int64_t inputs;
    int64_t groups;
    int64_t pieces;  // blocks of a row
    int8_t* codes;
    GroupFactors* factors;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x() / args.pieces;
    const int64_t group = block.x() % args.pieces * kWarps + block.warp();
    if (group >= args.groups) return;
    const int lane = block.lane();
    const int64_t k = group * kGroup + lane;
    const float x = k < args.inputs ? args.x[row * args.x_stride + k] : 0;
    const float largest = LargestMagnitude(block, x);
    const bool tiny = largest < kSmallestActivation;
    const float product = x * (tiny ? 0.0f : Divide(127.0f, largest));
    const int32_t code = ToIntNearest(product > -127 ? product : -127.0f);
    int32_t sum = code;
    for (int mask = 16; mask > 0; mask /= 2) sum += block.ShuffleXor(sum, mask);

    const int64_t at = row * args.groups + group;
    const int byte = lane % 2 * 2 + lane % 16 / 8;
    args.codes[at * kGroup + lane / 16 * 16 + lane % 8 / 2 * 4 + byte] = static_cast<int8_t>(code);
    if (lane == 0) {
      const float scale = tiny ? 0.0f : Divide(largest, 127.0f);
      args.factors[at] = {scale, scale * static_cast<float>(sum)};
    }
  }

  // Or a NaN where a lane's is not finite.
  SIMT_DEVICE static float LargestMagnitude(const Block& block, float x) {
    float largest = Abs(x);
    const bool finite = BitsOf(largest) < 0x7F800000;
    for (int mask = 16; mask > 0; mask /= 2) {
      const float other = block.ShuffleXor(largest, mask);
      largest = other > largest ? other : largest;
    }
    return block.Ballot(!finite) == 0 ? largest : FloatOf(0x7FC00000);
  }
};

template <WeightFormat kFormat, int kRows>
struct QuantisedProduct {
  static constexpr char kName[] = "product_quantised";
  static constexpr int kThreads = 256;
  static constexpr int kRowGroups = kThreads / kPanelOutputs;
  static constexpr int kTileRows = kRowGroups * kRows;
  static constexpr bool kQ4 = kFormat == WeightFormat::kQ4;
  static constexpr int kBlockWords = kBlockGroups * kGroupWords;

  struct Args {
    WeightView w;
    int64_t groups;
    const uint32_t* codes;
    const GroupFactors* factors;
    ProductOutput to;
  };
  struct Shared {
    // Wider than outputs are many, so that the four words of a tile lie in banks of their own.
    uint32_t weights[kBlockWords][kPanelOutputs + 8];
    float scales[kBlockGroups][kPanelOutputs];
    float minima[kBlockGroups][kPanelOutputs];
    uint32_t codes[kTileRows][kBlockWords];
    GroupFactors factors[kTileRows][kBlockGroups];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const std::byte* panel = args.w.data + block.x() * args.w.panel_bytes;
    const int output = block.thread() % kPanelOutputs;
    const int first = block.thread() / kPanelOutputs * kRows;
    float run[kRows] = {};
    float sums[kRows] = {};
    for (int64_t b = 0; b < args.w.blocks; ++b) {
      if (b > 0 && b % kRunBlocks == 0) EndRun(run, sums);
      block.Sync();
      StageWeights(block, panel + b * BlockCodeBytes(kFormat), shared);
      StageFactors(block, panel + args.w.factor_offset + b * BlockFactorBytes(kFormat), shared);
      StageRows(block, args, b, shared);
      block.Sync();
      for (int group = 0; group < kBlockGroups; ++group) {
        if (b * kBlockGroups + group < args.groups) AddGroup(shared, group, output, first, run);
      }
    }
    EndRun(run, sums);
    for (int r = 0; r < kRows; ++r) {
      Finish(args.to, block.y() * kTileRows + first + r, block.x() * kPanelOutputs + output,
             sums[r]);
    }
  }

  SIMT_DEVICE static void EndRun(float (&run)[kRows], float (&sums)[kRows]) {
    for (int r = 0; r < kRows; ++r) {
      sums[r] = sums[r] + run[r];
      run[r] = 0;
    }
  }

  SIMT_DEVICE static void AddGroup(const Shared& shared, int group, int output, int first,
                                   float (&run)[kRows]) {
    uint32_t words[kGroupWords];
    for (int i = 0; i < kGroupWords; ++i) {
      words[i] = shared.weights[group * kGroupWords + i][output];
    }
    const float scale = shared.scales[group][output];
    for (int r = 0; r < kRows; ++r) {
      const uint32_t* row = shared.codes[first + r] + group * kGroupWords;
      const GroupFactors factors = shared.factors[first + r][group];
      int32_t sum = 0;
      for (int i = 0; i < kGroupWords; ++i) sum = DotInt8(words[i], row[i], sum);
      run[r] = Fma(static_cast<float>(sum) * scale, factors.scale, run[r]);
      if (kQ4) run[r] = Fma(shared.minima[group][output], factors.offset, run[r]);
    }
  }

  // The words of a block's outputs. A lane has those of two outputs, in q8 of two tiles, in q4 of
  // four.
  SIMT_DEVICE static void StageWeights(const Block& block, const std::byte* codes, Shared& shared) {
    constexpr int kTiles = kQ4 ? 4 : 2;  // of a chunk
    constexpr int kChunks = kBlockInputs / (kTiles * kTileInputs) * kPanelLanes;
    for (int chunk = block.thread(); chunk < kChunks; chunk += kThreads) {
      const Words4 words = LoadReadOnly(reinterpret_cast<const Words4*>(codes) + chunk);
      const uint32_t word[4] = {words.x, words.y, words.z, words.w};
      const int lane = chunk % kPanelLanes;
      const int output = lane / 32 * 16 + lane % 32 / 4;
      for (int tile = 0; tile < kTiles; ++tile) {
        uint32_t* to = shared.weights[(chunk / kPanelLanes * kTiles + tile) * 4 + lane % 4];
        if constexpr (kQ4) {
          to[output] = word[tile] & 0x0F0F0F0F;
          to[output + 8] = word[tile] >> 4 & 0x0F0F0F0F;
        } else {
          constexpr uint32_t kMask = 0x00FF00FF;
          const uint32_t low = word[2 * tile] ^ 0x80808080;
          const uint32_t high = word[2 * tile + 1] ^ 0x80808080;
          to[output] = (low & kMask) | (high & kMask) << 8;
          to[output + 8] = (low >> 8 & kMask) | (high & ~kMask);
        }
      }
    }
  }

  SIMT_DEVICE static void StageFactors(const Block& block, const std::byte* factors,
                                       Shared& shared) {
    const int i = block.thread();
    if (i >= kBlockGroups * kPanelOutputs) return;
    const int group = i / kPanelOutputs;
    const int output = i % kPanelOutputs;
    const auto* scale =
        reinterpret_cast<const uint16_t*>(factors + PlaceOfScale(kFormat, output, group));
    shared.scales[group][output] = HalfToFloat(scale[0]);
    if (kQ4) shared.minima[group][output] = HalfToFloat(scale[kMinimumOffset / 2]);
  }

  SIMT_DEVICE static void StageRows(const Block& block, const Args& args, int64_t b,
                                    Shared& shared) {
    for (int i = block.thread(); i < kTileRows * kBlockWords; i += kThreads) {
      const int64_t row = block.y() * kTileRows + i / kBlockWords;
      const int group = i % kBlockWords / kGroupWords;
      const int64_t at = row * args.groups + b * kBlockGroups + group;
      const bool inside = row < args.to.rows && b * kBlockGroups + group < args.groups;
      shared.codes[i / kBlockWords][i % kBlockWords] =
          inside ? args.codes[at * kGroupWords + i % kGroupWords] : 0;
      if (i % kGroupWords == 0) {
        shared.factors[i / kBlockWords][group] = inside ? args.factors[at] : GroupFactors{0, 0};
      }
    }
  }
};

template <typename Kernel>
void LaunchProduct(Stream& stream, const MatMulParams& params, const uint32_t* codes,
                   const GroupFactors* factors) {
  const int64_t tiles = (params.rows + Kernel::kTileRows - 1) / Kernel::kTileRows;
  Launch<Kernel>(
      stream, {PanelCount(params.w->outputs), tiles}, Kernel::kThreads,
      {ViewOf(*params.w), GroupCount(params.w->inputs), codes, factors, OutputOf(params)});
}

template <WeightFormat kFormat>
void MultiplyRounded(Stream& stream, const MatMulParams& params, const uint32_t* codes,
                     const GroupFactors* factors) {
  using Low = QuantisedProduct<kFormat, 1>;
  if (params.rows <= Low::kTileRows) {
    LaunchProduct<Low>(stream, params, codes, factors);
  } else {
    LaunchProduct<QuantisedProduct<kFormat, 8>>(stream, params, codes, factors);
  }
}

size_t CodeBytes(int64_t rows, int64_t inputs) {
  return static_cast<size_t>(rows) * static_cast<size_t>(GroupCount(inputs)) * kGroup;
}

}  // namespace

size_t RoundedRowBytes(int64_t rows, int64_t inputs) {
  return CodeBytes(rows, inputs) / kGroup * (kGroup + sizeof(GroupFactors));
}

void MatMulQuantised(Stream& stream, const MatMulParams& params, std::byte* rounded_rows) {
  const int64_t inputs = params.w->inputs;
  const int64_t groups = GroupCount(inputs);
  auto* codes = reinterpret_cast<int8_t*>(rounded_rows);
  auto* factors = reinterpret_cast<GroupFactors*>(rounded_rows + CodeBytes(params.rows, inputs));
  const int64_t pieces = (groups + RoundRowsToInt8::kWarps - 1) / RoundRowsToInt8::kWarps;
  Launch<RoundRowsToInt8>(stream, {params.rows * pieces}, RoundRowsToInt8::kThreads,
                          {params.x, params.x_stride, inputs, groups, pieces, codes, factors});
  const auto* words = reinterpret_cast<const uint32_t*>(codes);
  if (params.w->format == WeightFormat::kQ4) {
    MultiplyRounded<WeightFormat::kQ4>(stream, params, words, factors);
  } else {
    MultiplyRounded<WeightFormat::kQ8>(stream, params, words, factors);
  }
}

}  // namespace ssmd::kernels::cuda::plain
