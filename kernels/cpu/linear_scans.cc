#include "kernels/cpu/linear_scans.h"

#include <algorithm>

#include "kernels/cpu/chunk_cut.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {
namespace {

int64_t BlocksOf(int64_t channels) { return PaddedChannels(channels) / kChannelBlock; }

// Calls run(segment, part) for those of `parts` parts a segment that are in the range.
template <typename Params, typename Run>
void ForParts(const Params& params, int64_t parts, Range shares, const Run& run) {
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i / parts];
    if (segment.dst_slot >= 0) run(segment, i % parts);
  }
}

// What all shares of channel blocks have.
template <typename Share, typename Params>
Share BlockOf(const Params& params, const Segment& segment, int64_t channel) {
  Share share = {};
  share.length = segment.length;
  share.channels = std::min(kChannelBlock, params.channels - channel);
  share.u = params.u + segment.first_row * params.u_stride + channel;
  share.u_stride = params.u_stride;
  share.d = params.d + channel;
  share.y = params.y + segment.first_row * params.y_stride + channel;
  share.y_stride = params.y_stride;
  return share;
}

ModalShare ShareOfModes(const ModalScanParams& params, const Segment& segment, int64_t block) {
  auto share = BlockOf<ModalShare>(params, segment, block * kChannelBlock);
  const int64_t elements = params.modes * 2 * kChannelBlock;
  share.modes = params.modes;
  share.rank = params.rank;
  share.decay = params.decay + block * elements;
  share.output = params.output + block * elements;
  if (params.rank > 0) {
    share.coupling_in = params.coupling_in + block * params.rank * elements;
    share.coupling_out = params.coupling_out + block * params.rank * elements;
  }
  share.from = params.state.floats(segment.src_slot) + block * elements;
  share.to = params.state.floats(segment.dst_slot) + block * elements;
  return share;
}

ComplexShare ShareOfComplex(const ComplexScanParams& params, const Segment& segment,
                            int64_t block) {
  ComplexShare share = {};
  share.length = segment.length;
  share.modes = params.modes;
  share.mode_begin = block * kChannelBlock;
  share.mode_end = std::min(params.modes, share.mode_begin + kChannelBlock);
  share.decay = params.decay;
  share.from = params.state.floats(segment.src_slot);
  share.to = params.state.floats(segment.dst_slot);
  share.x = params.x + segment.first_row * params.x_stride;
  share.x_stride = params.x_stride;
  return share;
}

DifferenceShare ShareOfDelays(const DifferenceScanParams& params, const Segment& segment,
                              int64_t block) {
  auto share = BlockOf<DifferenceShare>(params, segment, block * kChannelBlock);
  const int64_t elements = params.delays * kChannelBlock;
  share.position = segment.position;
  share.delays = params.delays;
  share.numerator = params.numerator + block * elements;
  share.denominator = params.denominator + block * elements;
  share.from = params.state.doubles(segment.src_slot) + block * 2 * elements;
  share.to = params.state.doubles(segment.dst_slot) + block * 2 * elements;
  return share;
}

DenseShare ShareOfDense(const DenseScanParams& params, const Segment& segment, int64_t block) {
  const int64_t channel = block * kChannelBlock;
  auto share = BlockOf<DenseShare>(params, segment, channel);
  share.state_size = params.state_size;
  share.state_row = PaddedLanes(params.channels);
  share.a = params.a;
  share.b = params.b;
  share.output = params.output + channel;
  share.from = params.state.floats(segment.src_slot) + channel;
  share.to = params.state.floats(segment.dst_slot) + channel;
  share.before = segment.length;
  if (params.chunk_step == nullptr) return share;
  const ChunkCut cut = CutIntoChunks(segment, kDenseChunkTokens);
  share.before = cut.before;
  share.chunks = cut.chunks;
  share.chunk_step = params.chunk_step;
  const int64_t taps = channel * kDenseChunkTokens;  // those of the channels before
  share.chunk_readout = params.chunk_readout + taps * params.state_size;
  share.chunk_taps = params.chunk_taps + taps;
  return share;
}

int64_t PartsOfLegs(const LegsScanParams& params, int threads) {
  return std::min<int64_t>(BlocksOf(params.channels), threads);
}

LegsShare ShareOfLegs(const LegsScanParams& params, const Segment& segment, Range blocks) {
  LegsShare share = {};
  share.length = segment.length;
  share.position = segment.position;
  share.channel_begin = blocks.begin * kChannelBlock;
  share.channel_end = std::min(params.channels, blocks.end * kChannelBlock);
  share.state_size = params.state_size;
  share.state_row = PaddedLanes(params.channels);
  share.exact = params.step == LegsStep::kExact;
  share.u = params.u + segment.first_row * params.u_stride;
  share.u_stride = params.u_stride;
  share.output = params.output;
  share.d = params.d;
  share.from = params.state.floats(segment.src_slot);
  share.to = params.state.floats(segment.dst_slot);
  if (params.output != nullptr) share.y = params.y + segment.first_row * params.y_stride;
  share.y_stride = params.y_stride;
  return share;
}

}  // namespace

int64_t ShareCount(const ModalScanParams& params) {
  return params.segment_count * BlocksOf(params.channels);
}
int64_t ShareCount(const ComplexScanParams& params) {
  return params.segment_count * BlocksOf(params.modes);
}
int64_t ShareCount(const DifferenceScanParams& params) {
  return params.segment_count * BlocksOf(params.channels);
}
int64_t ShareCount(const DenseScanParams& params) {
  return params.segment_count * BlocksOf(params.channels);
}
int64_t ShareCount(const LegsScanParams& params, int threads) {
  return params.segment_count * PartsOfLegs(params, threads);
}

int64_t OpsOfAToken(const ModalScanParams& params) {
  return params.channels * params.modes * (6 + 4 * params.rank);
}
int64_t OpsOfAToken(const ComplexScanParams& params) { return params.modes * 4; }
int64_t OpsOfAToken(const DifferenceScanParams& params) {
  return params.channels * params.delays * 4;  // in double
}
int64_t OpsOfAToken(const DenseScanParams& params) {
  return params.channels * params.state_size * params.state_size;
}
int64_t OpsOfAToken(const LegsScanParams& params) {
  const int64_t n = params.state_size;
  return params.channels * n * (params.step == LegsStep::kExact ? n / 2 + 2 : 6);
}

void RunShares(const KernelTable& kernels, const ModalScanParams& params, Range shares) {
  ForParts(params, BlocksOf(params.channels), shares, [&](const Segment& segment, int64_t block) {
    kernels.modal_scan(ShareOfModes(params, segment, block));
  });
}

void RunShares(const KernelTable& kernels, const ComplexScanParams& params, Range shares) {
  ForParts(params, BlocksOf(params.modes), shares, [&](const Segment& segment, int64_t block) {
    kernels.complex_scan(ShareOfComplex(params, segment, block));
  });
}

void RunShares(const KernelTable& kernels, const DifferenceScanParams& params, Range shares) {
  ForParts(params, BlocksOf(params.channels), shares, [&](const Segment& segment, int64_t block) {
    kernels.difference_scan(ShareOfDelays(params, segment, block));
  });
}

void RunShares(const KernelTable& kernels, const DenseScanParams& params, Range shares) {
  ForParts(params, BlocksOf(params.channels), shares, [&](const Segment& segment, int64_t block) {
    kernels.dense_scan(ShareOfDense(params, segment, block));
  });
}

void RunShares(const KernelTable& kernels, const LegsScanParams& params, int threads,
               Range shares) {
  const int64_t parts = PartsOfLegs(params, threads);
  ForParts(params, parts, shares, [&](const Segment& segment, int64_t part) {
    const Range blocks =
        ShareOf(BlocksOf(params.channels), static_cast<int>(part), static_cast<int>(parts));
    kernels.legs_scan(ShareOfLegs(params, segment, blocks));
  });
}

}  // namespace ssmd::kernels::cpu
