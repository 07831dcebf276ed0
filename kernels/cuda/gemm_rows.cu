#include "kernels/cuda/bf16.h"
#include "kernels/cuda/gemm_rows.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int kRowThreads = 256;

// A block takes a block of 64 inputs of a panel, which lies in one piece of 8 KB: a thread has two
// inputs of an output, and its neighbours the next.
struct UnpackBlocks {
  static constexpr char kName[] = "unpack_weights";
  static constexpr int kThreads = kRowThreads;
  struct Args {
    WeightView w;
    uint16_t* to;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    constexpr int kPairs = kBlockInputs / 2;
    const std::byte* panel = args.w.data + block.y() * args.w.panel_bytes;
    for (int i = block.thread(); i < kPanelOutputs * kPairs; i += kThreads) {
      const int o = i / kPairs;
      const int64_t output = block.y() * kPanelOutputs + o;
      const int64_t k = block.x() * kBlockInputs + i % kPairs * 2;
      if (output >= args.w.outputs || k >= args.w.inputs) continue;
      const CodePlace place = PlaceOfCode(WeightFormat::kBf16, o, k);  // as of f16
      const auto* codes = reinterpret_cast<const uint16_t*>(panel + place.byte);
      uint16_t* to = args.to + output * args.w.inputs + k;
      to[0] = codes[0];
      if (k + 1 < args.w.inputs) to[1] = codes[1];
    }
  }
};

// A thread an input of a row.
template <bool kHalves>
struct RoundRowsOf {
  static constexpr char kName[] = "round_inputs";
  static constexpr int kThreads = kRowThreads;
  struct Args {
    const float* x;
    int64_t stride;
    int64_t inputs;
    int64_t pieces;  // blocks of a row
    uint16_t* to;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x() / args.pieces;
    const int64_t k = block.x() % args.pieces * kThreads + block.thread();
    if (k >= args.inputs) return;
    const float x = args.x[row * args.stride + k];
    args.to[row * args.inputs + k] = kHalves ? FloatToHalf(x) : static_cast<uint16_t>(Bf16Bits(x));
  }
};

// A thread an output of a row.
struct FinishOutputs {
  static constexpr char kName[] = "finish_rows";
  static constexpr int kThreads = kRowThreads;
  struct Args {
    const float* bias;  // or null
    const float* add;   // or null
    int64_t add_stride;
    int64_t outputs;
    int64_t pieces;  // blocks of a row
    float* out;
    int64_t out_stride;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x() / args.pieces;
    const int64_t output = block.x() % args.pieces * kThreads + block.thread();
    if (output >= args.outputs) return;
    float& out = args.out[row * args.out_stride + output];
    if (args.bias != nullptr) out += args.bias[output];
    if (args.add != nullptr) out += args.add[row * args.add_stride + output];
  }
};

int64_t PiecesOf(int64_t numbers) { return (numbers + kRowThreads - 1) / kRowThreads; }

}  // namespace

void UnpackWeights(Stream& stream, const PackedMatrix& w, uint16_t* to) {
  Launch<UnpackBlocks>(stream, {BlockCount(w.inputs), PanelCount(w.outputs)}, kRowThreads,
                       {ViewOf(w), to});
}

void RoundInputs(Stream& stream, const MatMulParams& params, uint16_t* to) {
  const int64_t inputs = params.w->inputs;
  const int64_t pieces = PiecesOf(inputs);
  const auto launch = [&](auto kernel) {
    using Kernel = decltype(kernel);
    Launch<Kernel>(stream, {params.rows * pieces}, kRowThreads,
                   {params.x, params.x_stride, inputs, pieces, to});
  };
  if (params.w->format == WeightFormat::kF16) {
    launch(RoundRowsOf<true>());
  } else {
    launch(RoundRowsOf<false>());
  }
}

void FinishRows(Stream& stream, const MatMulParams& params) {
  const float* add = params.add == params.out ? nullptr : params.add;
  if (params.bias == nullptr && add == nullptr) return;
  const int64_t pieces = PiecesOf(params.w->outputs);
  Launch<FinishOutputs>(stream, {params.rows * pieces}, kRowThreads,
                        {params.bias, add, params.add_stride, params.w->outputs, pieces, params.out,
                         params.out_stride});
}

}  // namespace ssmd::kernels::cuda
