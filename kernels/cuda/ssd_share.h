// What the forms of the Mamba-2 recurrence share: how a segment is cut into chunks, a head's place,
// and the size of a step.
#ifndef SSMD_KERNELS_CUDA_SSD_SHARE_H_
#define SSMD_KERNELS_CUDA_SSD_SHARE_H_

#include "kernels/cuda/math.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda {

// Channels of a head that a block takes.
inline constexpr int kSsdChannels = 64;

// The tokens of a segment: step by step to the first whole chunk, the chunks, and the rest.
struct SsdCut {
  int32_t before;  // tokens
  int32_t chunks;
};
SIMT_DEVICE SsdCut CutIntoChunks(const Segment& segment, int chunk_tokens) {
  const auto past = static_cast<int32_t>(segment.position % chunk_tokens);
  const int32_t before = past == 0 ? 0 : chunk_tokens - past;
  if (before > segment.length - chunk_tokens) return {segment.length, 0};
  return {before, (segment.length - before) / chunk_tokens};
}

// Which tokens of a segment a launch takes: all, or those before or after its whole chunks.
enum class SsdTokens : uint8_t { kAll, kBefore, kAfter };

struct SsdSpan {
  int32_t begin, end;  // of the segment's tokens
};
SIMT_DEVICE SsdSpan SpanOf(const Segment& segment, SsdTokens tokens) {
  if (tokens == SsdTokens::kAll) return {0, segment.length};
  const SsdCut cut = CutIntoChunks(segment, kSsdChunkTokens);
  if (tokens == SsdTokens::kBefore) return {0, cut.before};
  return {cut.before + cut.chunks * static_cast<int32_t>(kSsdChunkTokens), segment.length};
}

// The channels of a block.
struct SsdShare {
  int64_t head;
  int64_t group;    // of B and C
  int64_t channel;  // the first, of the head's
  int64_t column;   // and of all heads'
  int64_t state;    // where its state begins
  int channels;     // that exist
  int padded;       // and that have a state
};
SIMT_BOTH int64_t SharesOfAHead(int64_t head_dim) {
  return (head_dim + kSsdChannels - 1) / kSsdChannels;
}
SIMT_DEVICE SsdShare SsdShareOf(const SsdScanParams& op, int64_t index, int64_t state_row) {
  const int64_t shares = SharesOfAHead(op.head_dim);
  SsdShare share = {};
  share.head = index / shares;
  share.group = share.head / (op.heads / op.groups);
  share.channel = index % shares * kSsdChannels;
  share.column = share.head * op.head_dim + share.channel;
  share.state = share.head * op.state_size * state_row + share.channel;
  const int64_t channels = op.head_dim - share.channel;
  const int64_t padded = state_row - share.channel;
  share.channels = static_cast<int>(channels < kSsdChannels ? channels : kSsdChannels);
  share.padded = static_cast<int>(padded < kSsdChannels ? padded : kSsdChannels);
  return share;
}

// Δ of a row's head, in two steps: what is loaded, and what is made of it.
SIMT_DEVICE float LoadSsdStep(const SsdScanParams& op, int64_t row, int64_t head) {
  return op.dt != nullptr ? op.dt[row * op.dt_stride + head] : 0;
}
SIMT_DEVICE float SsdDeltaOf(const SsdScanParams& op, float dt, int64_t head) {
  if (op.dt == nullptr) return 1;
  const float bias = op.dt_bias != nullptr ? op.dt_bias[head] : 0;
  const float delta = Larger(op.dt_min, Softplus(dt + bias));
  return delta > op.dt_max ? op.dt_max : delta;
}
SIMT_DEVICE float SsdDelta(const SsdScanParams& op, int64_t row, int64_t head) {
  return SsdDeltaOf(op, LoadSsdStep(op, row, head), head);
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SSD_SHARE_H_
