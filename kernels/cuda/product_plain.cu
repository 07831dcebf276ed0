// MatMul, plainly: with weights that are numbers (f32, bf16, f16, and fp8 but for its scale) in the
// order of cpu/matmul_kernel.h. Quantised ones are in product_quantised.cu.
//
// A block has a panel of 64 outputs and a tile of rows. It widens 64 × 64 weights at a time into
// shared memory, with the rows' inputs beside them; a thread then has one output and some of the
// rows, so that a weight is read once for the tile.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_output.h"
#include "kernels/cuda/product_quantised.h"
#include "kernels/cuda/weight_values.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda::plain {
namespace {

constexpr int kRunBlocks = static_cast<int>(kReductionRun / kBlockInputs);

// kRows rows a thread, of kRowGroups × kRows in a tile.
template <WeightFormat kFormat, int kRows>
struct Product {
  static constexpr char kName[] = "product_plain";
  static constexpr int kThreads = 256;
  static constexpr int kRowGroups = kThreads / kPanelOutputs;
  static constexpr int kTileRows = kRowGroups * kRows;

  struct Args {
    WeightView w;
    const float* x;
    int64_t x_stride;
    ProductOutput to;
  };
  struct Shared {
    // Wider than outputs are many, so that the four inputs of a fragment lie in banks of their own.
    float weights[kBlockInputs][kPanelOutputs + 4];
    float x[kTileRows][kBlockInputs];
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
      StageInputs(block, args, b, shared);
      block.Sync();
      const int64_t left = args.w.inputs - b * kBlockInputs;
      const int count = static_cast<int>(left < kBlockInputs ? left : kBlockInputs);
      for (int k = 0; k < count; ++k) {
        const float w = shared.weights[k][output];
        for (int r = 0; r < kRows; ++r) run[r] = Fma(shared.x[first + r][k], w, run[r]);
      }
    }
    EndRun(run, sums);
    for (int r = 0; r < kRows; ++r) {
      if constexpr (kFormat == WeightFormat::kFp8) {
        const auto* scales = reinterpret_cast<const float*>(panel + args.w.factor_offset);
        sums[r] = sums[r] * scales[output];
      }
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

  SIMT_DEVICE static void StageWeights(const Block& block, const std::byte* codes, Shared& shared) {
    constexpr int kChunkCodes = 16 * 8 / CodeBits(kFormat);
    constexpr int kChunks = kPanelOutputs * kBlockInputs / kChunkCodes;
    for (int chunk = block.thread(); chunk < kChunks; chunk += kThreads) {
      if constexpr (kFormat == WeightFormat::kF32) {
        const auto four = LoadReadOnly(reinterpret_cast<const Floats4*>(codes) + chunk);
        const int o = chunk % (kPanelOutputs / 4) * 4;
        *reinterpret_cast<Floats4*>(&shared.weights[chunk / (kPanelOutputs / 4)][o]) = four;
      } else {
        const Words4 words = LoadReadOnly(reinterpret_cast<const Words4*>(codes) + chunk);
        StageChunk(words, chunk, shared);
      }
    }
  }

  // A lane's 16 bytes: a tile's eight weights, or those of two tiles in fp8.
  SIMT_DEVICE static void StageChunk(const Words4& words, int chunk, Shared& shared) {
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};
    const int lane = chunk % kPanelLanes;
    const int o = lane / 32 * 16 + lane % 32 / 4;
    const int k = lane % 4 * 2;
    for (int a = 0; a < 4; ++a) {
      const int output = o + a % 2 * 8;
      for (int half = 0; half < 2; ++half) {
        if constexpr (CodeBits(kFormat) == 16) {
          const int input = chunk / kPanelLanes * kTileInputs + k + a / 2 * 8 + half;
          shared.weights[input][output] = CodeValue<kFormat>(word[a] >> (16 * half) & 0xFFFF);
        } else {
          for (int tile = 0; tile < 2; ++tile) {
            const int input = (chunk / kPanelLanes * 2 + tile) * kTileInputs + k + a / 2 * 8 + half;
            const uint32_t code = word[tile * 2 + a / 2] >> (16 * half + a % 2 * 8) & 0xFF;
            shared.weights[input][output] = CodeValue<kFormat>(code);
          }
        }
      }
    }
  }

  // Zero beyond the inputs and the rows.
  SIMT_DEVICE static void StageInputs(const Block& block, const Args& args, int64_t b,
                                      Shared& shared) {
    for (int i = block.thread(); i < kTileRows * kBlockInputs; i += kThreads) {
      const int64_t row = block.y() * kTileRows + i / kBlockInputs;
      const int64_t k = b * kBlockInputs + i % kBlockInputs;
      const bool inside = row < args.to.rows && k < args.w.inputs;
      shared.x[i / kBlockInputs][i % kBlockInputs] = inside ? args.x[row * args.x_stride + k] : 0;
    }
  }
};

template <typename Kernel>
void LaunchProduct(Stream& stream, const MatMulParams& params) {
  const int64_t tiles = (params.rows + Kernel::kTileRows - 1) / Kernel::kTileRows;
  Launch<Kernel>(stream, {PanelCount(params.w->outputs), tiles}, Kernel::kThreads,
                 {ViewOf(*params.w), params.x, params.x_stride, OutputOf(params)});
}

template <WeightFormat kFormat>
void MatMulOf(Stream& stream, const MatMulParams& params) {
  using Low = Product<kFormat, 1>;
  if (params.rows <= Low::kTileRows) {
    LaunchProduct<Low>(stream, params);
  } else {
    LaunchProduct<Product<kFormat, 8>>(stream, params);
  }
}

}  // namespace

void MatMul(Stream& stream, const MatMulParams& params, std::byte* rounded_rows) {
  if (params.rows == 0) return;
  switch (params.w->format) {
    case WeightFormat::kF32:
      return MatMulOf<WeightFormat::kF32>(stream, params);
    case WeightFormat::kBf16:
      return MatMulOf<WeightFormat::kBf16>(stream, params);
    case WeightFormat::kF16:
      return MatMulOf<WeightFormat::kF16>(stream, params);
    case WeightFormat::kFp8:
      return MatMulOf<WeightFormat::kFp8>(stream, params);
    case WeightFormat::kQ8:
    case WeightFormat::kQ4:
      return MatMulQuantised(stream, params, rounded_rows);
  }
}

}  // namespace ssmd::kernels::cuda::plain
