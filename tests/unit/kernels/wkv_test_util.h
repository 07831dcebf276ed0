// The recurrences of RWKV-6 and 7 over random inputs, for the tests of them.
#ifndef SSMD_TESTS_UNIT_KERNELS_WKV_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_WKV_TEST_UTIL_H_

#include <vector>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

struct Wkv6Op {
  Wkv6Op(int64_t head_count, int64_t dim, int64_t row_count, bool by_token)
      : heads(head_count),
        head_dim(dim),
        rows(row_count),
        r(RandomTensor(rows * x_stride(), 1)),
        k(RandomTensor(rows * x_stride(), 2)),
        v(RandomTensor(rows * x_stride(), 3)),
        decay(by_token ? RandomTensor(heads * dim, 4, -6, 1) : RandomTensor(heads * dim, 4, 0, 1)),
        bonus(RandomTensor(heads * dim, 5)),
        slots(4, heads * dim * dim, 6) {
    if (by_token) decay_row = RandomTensor(rows * (x_stride() + 2), 7);
  }

  int64_t x_stride() const { return heads * head_dim + 1; }
  int64_t y_stride() const { return heads * head_dim + 2; }

  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    Wkv6Params params = Params(segments);
    params.y = y.data();
    params.y_stride = y_stride();
    device.Wkv6(params);
  }
  Wkv6Params Params(const std::vector<Segment>& segments) {
    Wkv6Params params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.heads = heads;
    params.head_dim = head_dim;
    params.r = r.data();
    params.k = k.data();
    params.v = v.data();
    params.x_stride = x_stride();
    params.decay = decay.data();
    params.decay_row = decay_row.empty() ? nullptr : decay_row.data();
    params.decay_stride = x_stride() + 2;
    params.bonus = bonus.data();
    params.state = slots.field();
    return params;
  }

  int64_t heads, head_dim, rows;
  Tensor r, k, v, decay, decay_row, bonus;  // decay_row: empty in RWKV-5
  Slots slots;
};

struct Wkv7Op {
  Wkv7Op(int64_t head_count, int64_t dim, int64_t row_count)
      : heads(head_count), head_dim(dim), rows(row_count), slots(4, heads * dim * dim, 1) {
    uint32_t seed = 2;
    for (Tensor* tensor : {&r, &w_raw, &k, &v, &a_raw, &g, &v_gate, &v_first}) {
      *tensor = RandomTensor(rows * x_stride(), seed++, -2, 2);
    }
    for (Tensor* tensor : {&k_k, &k_a, &r_k, &norm_weight, &norm_bias}) {
      *tensor = RandomTensor(heads * dim, seed++);
    }
  }

  int64_t x_stride() const { return heads * head_dim + 1; }
  int64_t y_stride() const { return heads * head_dim + 2; }

  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    Wkv7Params params = Params(segments);
    params.y = y.data();
    params.y_stride = y_stride();
    device.Wkv7(params);
  }
  Wkv7Params Params(const std::vector<Segment>& segments) {
    Wkv7Params params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.heads = heads;
    params.head_dim = head_dim;
    params.r = r.data();
    params.w_raw = w_raw.data();
    params.k = k.data();
    params.v = v.data();
    params.a_raw = a_raw.data();
    params.g = g.data();
    params.v_gate = v_gate.empty() ? nullptr : v_gate.data();
    params.v_first = v_gate.empty() ? nullptr : v_first.data();
    params.x_stride = x_stride();
    params.k_k = k_k.data();
    params.k_a = k_a.data();
    params.r_k = r_k.data();
    params.norm_weight = norm_weight.data();
    params.norm_bias = norm_bias.data();
    params.norm_eps = 64e-5f;
    params.state = slots.field();
    return params;
  }

  int64_t heads, head_dim, rows;
  Tensor r, w_raw, k, v, a_raw, g;
  Tensor v_gate;  // empty: in the first layer
  Tensor v_first, k_k, k_a, r_k, norm_weight, norm_bias;
  Slots slots;
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_WKV_TEST_UTIL_H_
