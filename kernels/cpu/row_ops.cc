#include "kernels/cpu/row_ops.h"

#include <algorithm>

#include "kernels/ops.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kPointwiseColumns = 1024;
static_assert(kMaxMixtures == kMaxShifted);
static_assert(static_cast<int>(PointwiseKind::kMultiply) ==
              static_cast<int>(PointwiseFunction::kMultiply));

int64_t PointwiseBlocks(const PointwiseParams& params) {
  return (params.cols + kPointwiseColumns - 1) / kPointwiseColumns;
}

TokenShiftShare ShareOfShift(const TokenShiftParams& params, const Segment& segment,
                             int64_t channel) {
  const int64_t row = segment.first_row;
  TokenShiftShare share = {};
  share.length = segment.length;
  share.channels = std::min(kChannelBlock, params.channels - channel);
  share.x = params.x + row * params.x_stride + channel;
  share.x_stride = params.x_stride;
  share.from = params.previous.floats(segment.src_slot) + channel;
  if (!params.keep_state) share.to = params.previous.floats(segment.dst_slot) + channel;
  share.count = params.count;
  for (int i = 0; i < params.count; ++i) {
    share.mix[i] = params.mix[i] + channel;
    if (params.delta[i] != nullptr) {
      share.delta[i] = params.delta[i] + row * params.delta_stride + channel;
    }
    share.out[i] = params.out[i] + row * params.out_stride + channel;
  }
  share.delta_stride = params.delta_stride;
  share.out_stride = params.out_stride;
  return share;
}

}  // namespace

void RunGroupNormShares(const KernelTable& kernels, const GroupNormParams& params, Range shares) {
  const int64_t width = params.cols / params.groups;
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const int64_t row = i / params.groups;
    const int64_t from = params.row_index != nullptr ? params.row_index[row] : row;
    const int64_t column = i % params.groups * width;
    GroupNormGroup group = {};
    group.x = params.x + from * params.x_stride + column;
    if (params.weight != nullptr) group.weight = params.weight + column;
    if (params.bias != nullptr) group.bias = params.bias + column;
    group.eps = params.eps;
    group.cols = width;
    group.out = params.out + row * params.out_stride + column;
    kernels.group_norm(group);
  }
}

int64_t PointwiseShareCount(const PointwiseParams& params) {
  return params.rows * PointwiseBlocks(params);
}

void RunPointwiseShares(const KernelTable& kernels, const PointwiseParams& params, Range shares) {
  const int64_t blocks = PointwiseBlocks(params);
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const int64_t row = i / blocks;
    const int64_t column = i % blocks * kPointwiseColumns;
    PointwiseColumns columns = {};
    columns.function = static_cast<PointwiseKind>(params.function);
    columns.x = params.x + row * params.x_stride + column;
    if (params.bias != nullptr) columns.bias = params.bias + column;
    if (params.y != nullptr) columns.y = params.y + row * params.y_stride + column;
    if (params.add != nullptr) columns.add = params.add + row * params.add_stride + column;
    columns.cols = std::min(kPointwiseColumns, params.cols - column);
    columns.out = params.out + row * params.out_stride + column;
    kernels.pointwise(columns);
  }
}

int64_t TokenShiftShareCount(const TokenShiftParams& params) {
  return params.segment_count * (PaddedChannels(params.channels) / kChannelBlock);
}

void RunTokenShiftShares(const KernelTable& kernels, const TokenShiftParams& params, Range shares) {
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    kernels.token_shift(ShareOfShift(params, segment, i / params.segment_count * kChannelBlock));
  }
}

void RunRotateShares(const KernelTable& kernels, const RotateParams& params, Range shares) {
  int64_t first = 0;  // share of the segment's first token
  for (int64_t s = 0; s < params.segment_count && first < shares.end; ++s) {
    const Segment& segment = params.segments[s];
    const int64_t begin = std::max(shares.begin - first, int64_t{0});
    const int64_t end = std::min(shares.end - first, int64_t{segment.length});
    first += segment.length;
    if (segment.dst_slot < 0) continue;
    for (int64_t t = begin; t < end; ++t) {
      kernels.rotate({segment.position + t, params.heads, params.head_dim, params.frequencies,
                      params.scale, params.x + (segment.first_row + t) * params.x_stride});
    }
  }
}

}  // namespace ssmd::kernels::cpu
