// A dense linear system that all channels share, plain: a block takes 16 channels of a segment, and
// of each channel 16 threads take every sixteenth row of the system; of a chunk also every
// sixteenth token's output.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

constexpr int32_t kChunk = kDenseChunkTokens;

struct DenseScanShared {
  float h[2][kMaxModes][kVectorLanes];  // before a token or chunk and after it, in turn
  float u[kChunk][kVectorLanes];        // of a chunk
};

// One of 16 threads of a channel.
struct DenseLane {
  const DenseScanParams& args;
  DenseScanShared& shared;
  int64_t lane, part, channel;
  int64_t lanes;  // of all channels
  bool exists;

  SIMT_DEVICE float Input(int64_t row) const {
    return exists ? args.u[row * args.u_stride + channel] : 0;
  }
  SIMT_DEVICE void Write(int64_t row, float y) const { args.y[row * args.y_stride + channel] = y; }
};

constexpr int kParts = 16;

// The token of `row`, from shared.h[before] to the other one.
SIMT_DEVICE void StepToken(const Block& block, const DenseLane& at, int64_t row, int before) {
  const DenseScanParams& args = at.args;
  const auto& h = at.shared.h[before];
  auto& next = at.shared.h[1 - before];
  const float u = at.Input(row);
  block.Sync();
  for (int64_t n = at.part; n < args.state_size; n += kParts) {
    float sum = LoadReadOnly(args.b + n) * u;
    for (int64_t m = 0; m < args.state_size; ++m) {
      sum = Fma(LoadReadOnly(args.a + n * args.state_size + m), h[m][at.lane], sum);
    }
    next[n][at.lane] = sum;
  }
  block.Sync();
  if (at.part != 0 || !at.exists) return;
  float y = args.d[at.channel] * u;
  for (int64_t n = 0; n < args.state_size; ++n) {
    y = Fma(LoadReadOnly(args.output + n * at.lanes + at.channel), next[n][at.lane], y);
  }
  at.Write(row, y);
}

// Output of token t of a chunk.
SIMT_DEVICE float ReadChunk(const DenseLane& at, int64_t t, int before) {
  const DenseScanParams& args = at.args;
  const int64_t first = at.channel - at.lane;  // of the lane block
  const float* readout =
      args.chunk_readout + (first * kChunk + t * kVectorLanes) * args.state_size + at.lane;
  const float* taps = args.chunk_taps + first * kChunk + at.lane;
  float y = args.d[at.channel] * at.shared.u[t][at.lane];
  for (int64_t n = 0; n < args.state_size; ++n) {
    y = Fma(LoadReadOnly(readout + n * kVectorLanes), at.shared.h[before][n][at.lane], y);
  }
  for (int64_t j = 0; j <= t; ++j) {
    y = Fma(LoadReadOnly(taps + (t - j) * kVectorLanes), at.shared.u[j][at.lane], y);
  }
  return y;
}

// The chunk from `row` on, likewise.
SIMT_DEVICE void TakeChunk(const Block& block, const DenseLane& at, int64_t row, int before) {
  const DenseScanParams& args = at.args;
  const int64_t columns = args.state_size + kChunk;
  block.Sync();
  for (int64_t t = at.part; t < kChunk; t += kParts) at.shared.u[t][at.lane] = at.Input(row + t);
  block.Sync();
  for (int64_t n = at.part; n < args.state_size; n += kParts) {
    const float* step = args.chunk_step + n * columns;
    float sum = 0;
    for (int64_t m = 0; m < args.state_size; ++m) {
      sum = Fma(LoadReadOnly(step + m), at.shared.h[before][m][at.lane], sum);
    }
    for (int64_t j = 0; j < kChunk; ++j) {
      sum = Fma(LoadReadOnly(step + args.state_size + j), at.shared.u[j][at.lane], sum);
    }
    at.shared.h[1 - before][n][at.lane] = sum;
  }
  if (!at.exists) return;
  for (int64_t t = at.part; t < kChunk; t += kParts) at.Write(row + t, ReadChunk(at, t, before));
}

struct DenseScanKernel {
  static constexpr char kName[] = "dense_scan";
  static constexpr int kThreads = kParts * kVectorLanes;
  using Args = DenseScanParams;
  using Shared = DenseScanShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    auto& shared = block.shared<Shared>();
    const int64_t lane = block.thread() % kVectorLanes;
    const int64_t channel = block.x() * kVectorLanes + lane;
    const DenseLane at = {args,
                          shared,
                          lane,
                          block.thread() / kVectorLanes,
                          channel,
                          block.grid_x() * kVectorLanes,
                          channel < args.channels};
    const float* from = FloatsAt(args.state, segment.src_slot) + channel;
    for (int64_t n = at.part; n < args.state_size; n += kParts) {
      shared.h[0][n][lane] = from[n * at.lanes];
    }

    int before = 0;
    for (int32_t t = 0; t < segment.length; before = 1 - before) {
      const bool chunk = args.chunk_step != nullptr && (segment.position + t) % kChunk == 0 &&
                         segment.length - t >= kChunk;
      if (chunk) {
        TakeChunk(block, at, segment.first_row + t, before);
      } else {
        StepToken(block, at, segment.first_row + t, before);
      }
      t += chunk ? kChunk : 1;
    }

    float* to = FloatsAt(args.state, segment.dst_slot) + channel;
    for (int64_t n = at.part; n < args.state_size; n += kParts) {
      to[n * at.lanes] = at.exists ? shared.h[before][n][lane] : 0;
    }
  }
};

}  // namespace

void DenseScan(Stream& stream, const DenseScanParams& params) {
  if (params.segment_count == 0) return;
  const Grid grid = {PaddedLanes(params.channels) / kVectorLanes, params.segment_count};
  Launch<DenseScanKernel>(stream, grid, DenseScanKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
