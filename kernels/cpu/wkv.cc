#include "kernels/cpu/wkv.h"

#include <algorithm>

#include "kernels/ops.h"

namespace ssmd::kernels::cpu {
namespace {

static_assert(kMaxWkvWidth == kMaxWkvHead);

Wkv4Share ShareOfChannels(const Wkv4Params& params, const Segment& segment, int64_t channel) {
  const int64_t at = segment.first_row * params.x_stride + channel;
  Wkv4Share share = {};
  share.length = segment.length;
  share.channels = std::min(kChannelBlock, params.channels - channel);
  share.fresh = segment.position == 0;
  share.r = params.r + at;
  share.k = params.k + at;
  share.v = params.v + at;
  share.x_stride = params.x_stride;
  share.decay = params.decay + channel;
  share.bonus = params.bonus + channel;
  share.from = params.state.floats(segment.src_slot) + channel;
  share.to = params.state.floats(segment.dst_slot) + channel;
  share.state_row = params.channels;
  share.y = params.y + segment.first_row * params.y_stride + channel;
  share.y_stride = params.y_stride;
  return share;
}

Wkv6Share ShareOfHead(const Wkv6Params& params, const Segment& segment, int64_t head) {
  const int64_t column = head * params.head_dim;
  const int64_t at = segment.first_row * params.x_stride + column;
  Wkv6Share share = {};
  share.length = segment.length;
  share.head_dim = params.head_dim;
  share.r = params.r + at;
  share.k = params.k + at;
  share.v = params.v + at;
  share.x_stride = params.x_stride;
  share.decay = params.decay + column;
  if (params.decay_row != nullptr) {
    share.decay_row = params.decay_row + segment.first_row * params.decay_stride + column;
  }
  share.decay_stride = params.decay_stride;
  share.bonus = params.bonus + column;
  share.from = params.state.floats(segment.src_slot) + column * params.head_dim;
  share.to = params.state.floats(segment.dst_slot) + column * params.head_dim;
  share.y = params.y + segment.first_row * params.y_stride + column;
  share.y_stride = params.y_stride;
  return share;
}

Wkv7Share ShareOfHead(const Wkv7Params& params, const Segment& segment, int64_t head) {
  const int64_t column = head * params.head_dim;
  const int64_t at = segment.first_row * params.x_stride + column;
  Wkv7Share share = {};
  share.length = segment.length;
  share.head_dim = params.head_dim;
  share.r = params.r + at;
  share.w_raw = params.w_raw + at;
  share.k = params.k + at;
  share.v = params.v + at;
  share.a_raw = params.a_raw + at;
  share.g = params.g + at;
  if (params.v_gate != nullptr) {
    share.v_gate = params.v_gate + at;
    share.v_first = params.v_first + at;
  }
  share.x_stride = params.x_stride;
  share.k_k = params.k_k + column;
  share.k_a = params.k_a + column;
  share.r_k = params.r_k + column;
  share.norm_weight = params.norm_weight + column;
  share.norm_bias = params.norm_bias + column;
  share.norm_eps = params.norm_eps;
  share.from = params.state.floats(segment.src_slot) + column * params.head_dim;
  share.to = params.state.floats(segment.dst_slot) + column * params.head_dim;
  share.y = params.y + segment.first_row * params.y_stride + column;
  share.y_stride = params.y_stride;
  return share;
}

}  // namespace

int64_t Wkv4ShareCount(const Wkv4Params& params) {
  return params.segment_count * (PaddedChannels(params.channels) / kChannelBlock);
}

void RunWkv4Shares(const KernelTable& kernels, const Wkv4Params& params, Range shares) {
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    kernels.wkv4(ShareOfChannels(params, segment, i / params.segment_count * kChannelBlock));
  }
}

void RunWkv6Shares(const KernelTable& kernels, const Wkv6Params& params, Range shares) {
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    kernels.wkv6(ShareOfHead(params, segment, i / params.segment_count));
  }
}

void RunWkv7Shares(const KernelTable& kernels, const Wkv7Params& params, Range shares) {
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    kernels.wkv7(ShareOfHead(params, segment, i / params.segment_count));
  }
}

}  // namespace ssmd::kernels::cpu
