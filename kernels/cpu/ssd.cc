#include "kernels/cpu/ssd.h"

#include <algorithm>

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kShareChannels = 64;

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
  share.state_from = params.state.at(segment.src_slot) + state;
  share.state_to = params.state.at(segment.dst_slot) + state;
  share.y = params.y + row * params.y_stride + column;
  share.y_stride = params.y_stride;
  return share;
}

}  // namespace

int64_t SsdShareCount(const SsdScanParams& params) {
  return params.segment_count * params.heads * SharesOfAHead(params);
}

void RunSsdShares(const KernelTable& kernels, const SsdScanParams& params, Range shares) {
  const int64_t shares_of_a_head = SharesOfAHead(params);
  for (int64_t i = shares.begin; i < shares.end; ++i) {
    const Segment& segment = params.segments[i % params.segment_count];
    if (segment.dst_slot < 0) continue;
    const int64_t part = i / params.segment_count;
    kernels.ssd_scan(ShareOfHead(params, segment, part / shares_of_a_head,
                                 part % shares_of_a_head * kShareChannels));
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
