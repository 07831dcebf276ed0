#include "kernels/cpu/ssd.h"

#include <algorithm>

#include "kernels/cpu/chunk_cut.h"
#include "kernels/cpu/state_share.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kShareChannels = kMaxSsdChannels;
static_assert(kSsdChunk == kSsdChunkTokens && kMaxSsdState == kMaxStateSize);

ChunkCut CutOf(const SsdScanParams& params, const Segment& segment) {
  if (params.chunk_scratch == nullptr || segment.dst_slot < 0) return {segment.length, 0};
  return CutIntoChunks(segment, kSsdChunk);
}

// Where a chunk keeps what the heads of `group` share; the chunk begins at `row`.
float* ScratchOf(const SsdScanParams& params, int64_t row, int64_t group) {
  return params.chunk_scratch + row * SsdChunkScratch(params.groups, params.state_size) +
         group * kSsdChunk * SsdChunkScratch(1, params.state_size);
}

int64_t SharesOfAHead(const SsdScanParams& params) {
  return (params.head_dim + kShareChannels - 1) / kShareChannels;
}

SsdShare ShareOfHead(const SsdScanParams& params, const Segment& segment, int64_t head,
                     int64_t channel) {
  const int64_t row = segment.first_row;
  const int64_t column = head * params.head_dim + channel;
  const int64_t group = head / (params.heads / params.groups);
  const int64_t state_row = PaddedLanes(params.head_dim);
  const int64_t state = head * params.state_size * state_row + channel;
  SsdShare share = {};
  share.length = segment.length;
  share.channels = std::min(kShareChannels, params.head_dim - channel);
  share.state_size = params.state_size;
  share.state_row = state_row;
  share.x = params.x + row * params.x_stride + column;
  share.x_stride = params.x_stride;
  if (params.dt != nullptr) share.dt = params.dt + row * params.dt_stride + head;
  share.dt_stride = params.dt_stride;
  share.b = params.b + row * params.b_stride + group * params.state_size;
  share.b_stride = params.b_stride;
  share.c = params.c + row * params.c_stride + group * params.state_size;
  share.c_stride = params.c_stride;
  share.dt_bias = params.dt_bias != nullptr ? params.dt_bias[head] : 0;
  share.dt_min = params.dt_min;
  share.dt_max = params.dt_max;
  share.a = params.a[head];
  if (params.d != nullptr) share.d = params.d + column;
  share.state = StateOf(params.state, segment, state);
  share.y = params.y + row * params.y_stride + column;
  share.y_stride = params.y_stride;
  return share;
}

// `length` tokens of the share from `first` on.
SsdShare PartOf(SsdShare share, int64_t first, int64_t length) {
  share.length = length;
  share.x += first * share.x_stride;
  if (share.dt != nullptr) share.dt += first * share.dt_stride;
  share.b += first * share.b_stride;
  share.c += first * share.c_stride;
  share.y += first * share.y_stride;
  share.state.position += first;
  if (first > 0) share.state.from = share.state.to;
  return share;
}

void RunGroup(const KernelTable& kernels, const SsdScanParams& params, int64_t row, int64_t group) {
  SsdGroup products = {};
  products.state_size = params.state_size;
  products.b = params.b + row * params.b_stride + group * params.state_size;
  products.b_stride = params.b_stride;
  products.c = params.c + row * params.c_stride + group * params.state_size;
  products.c_stride = params.c_stride;
  products.transposed = ScratchOf(params, row, group);
  products.products = products.transposed + params.state_size * kSsdChunk;
  kernels.ssd_group(products);
}

void RunShare(const KernelTable& kernels, const SsdScanParams& params, const Segment& segment,
              int64_t head, int64_t channel) {
  const SsdShare share = ShareOfHead(params, segment, head, channel);
  const ChunkCut cut = CutOf(params, segment);
  if (cut.before > 0) kernels.ssd_scan(PartOf(share, 0, cut.before));
  if (cut.chunks > 0) {
    SsdChunks chunks = {};
    chunks.share = PartOf(share, cut.before, cut.chunks * kSsdChunk);
    chunks.group =
        ScratchOf(params, segment.first_row + cut.before, head / (params.heads / params.groups));
    chunks.group_stride = kSsdChunk * SsdChunkScratch(params.groups, params.state_size);
    kernels.ssd_chunks(chunks);
  }
  const int64_t tail = cut.before + cut.chunks * kSsdChunk;
  if (tail < segment.length) kernels.ssd_scan(PartOf(share, tail, segment.length - tail));
}

}  // namespace

int64_t SsdChunkShareCount(const SsdScanParams& params) {
  int64_t chunks = 0;
  for (int64_t i = 0; i < params.segment_count; ++i) {
    chunks += CutOf(params, params.segments[i]).chunks;
  }
  return chunks * params.groups;
}

void RunSsdChunkShares(const KernelTable& kernels, const SsdScanParams& params, Range shares) {
  int64_t share = 0;  // the first of the segment
  for (int64_t i = 0; i < params.segment_count && share < shares.end; ++i) {
    const Segment& segment = params.segments[i];
    const ChunkCut cut = CutOf(params, segment);
    const int64_t next = share + cut.chunks * params.groups;
    for (int64_t at = std::max(share, shares.begin); at < std::min(next, shares.end); ++at) {
      const int64_t chunk = (at - share) / params.groups;
      RunGroup(kernels, params, segment.first_row + cut.before + chunk * kSsdChunk,
               (at - share) % params.groups);
    }
    share = next;
  }
}

int64_t SsdShareCount(const SsdScanParams& params) {
  return params.segment_count * params.heads * SharesOfAHead(params);
}

void RunSsdShares(const KernelTable& kernels, const SsdScanParams& params, Range shares) {
  const int64_t shares_of_a_head = SharesOfAHead(params);
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    const int64_t part = i / params.segment_count;
    RunShare(kernels, params, segment, part / shares_of_a_head,
             part % shares_of_a_head * kShareChannels);
  }
}

void RunGatedNormShares(const KernelTable& kernels, const GatedRmsNormParams& params,
                        Range shares) {
  const int64_t width = params.cols / params.groups;
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const int64_t row = i / params.groups;
    const int64_t column = i % params.groups * width;
    GatedNormGroup group = {};
    group.x = params.x + row * params.x_stride + column;
    group.gate = params.gate + row * params.gate_stride + column;
    if (params.weight != nullptr) group.weight = params.weight + column;
    group.gate_first = params.order != GateOrder::kNormFirst;
    group.normalise = params.order != GateOrder::kGateOnly;
    group.eps = params.eps;
    group.cols = width;
    group.out = params.out + row * params.out_stride + column;
    kernels.gated_norm(group);
  }
}

}  // namespace ssmd::kernels::cpu
