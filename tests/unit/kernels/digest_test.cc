// Results of a fixed table of ops, as digests: the same numbers on every instruction set, compiler
// and machine, x86 and Arm. A kernel that changes its bits on purpose raises kKernelRevision and
// gets new digests here.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/kernels/ssd_test_util.h"

namespace ssmd::kernels {
namespace {

// FNV-1a over the bytes, little-endian.
class Digest {
 public:
  template <typename T>
  void Add(const T* values, size_t count) {
    for (size_t i = 0; i < count * sizeof(T); ++i) {
      value_ = (value_ ^ reinterpret_cast<const uint8_t*>(values)[i]) * 0x100000001B3;
    }
  }
  void Add(const Tensor& tensor) { Add(tensor.data(), tensor.size()); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

uint64_t DigestOfNorms(Device& device) {
  Digest digest;
  for (int64_t cols : {1, 17, 768, 1001}) {
    const Tensor x = RandomTensor(3 * cols, 1, -5, 5);
    const Tensor weight = RandomTensor(cols, 2);
    Tensor out(x.size());
    RmsNormParams params;
    params.x = x.data();
    params.weight = weight.data();
    params.eps = 1e-5f;
    params.rows = 3;
    params.x_stride = params.out_stride = params.cols = cols;
    params.out = out.data();
    device.RmsNorm(params);
    digest.Add(out);
  }
  return digest.value();
}

uint64_t DigestOfProducts(Device& device, WeightFormat format) {
  Digest digest;
  for (int64_t rows : {1, 2, 3, 7, 50}) {
    constexpr int64_t kOutputs = 145, kInputs = 1100;
    const Tensor x = RandomTensor(rows * kInputs, 1);
    const Tensor weights = RandomTensor(kOutputs * kInputs, 2);
    const Tensor bias = RandomTensor(kOutputs, 3);
    const PackedMatrix packed = device.Pack(SourceOf(weights, kOutputs, kInputs), format);
    Tensor out(static_cast<size_t>(rows * kOutputs));
    device.MatMul(
        {x.data(), kInputs, rows, &packed, bias.data(), nullptr, 0, out.data(), kOutputs});
    digest.Add(out);
    Tensor embedded(static_cast<size_t>(kInputs));
    const int32_t id = 99;
    device.Embed({&packed, &id, 1, embedded.data()});
    digest.Add(embedded);
  }
  return digest.value();
}

uint64_t DigestOfF32Products(Device& device) {
  return DigestOfProducts(device, WeightFormat::kF32);
}
uint64_t DigestOfBf16Products(Device& device) {
  return DigestOfProducts(device, WeightFormat::kBf16);
}

uint64_t DigestOfQ8Products(Device& device) { return DigestOfProducts(device, WeightFormat::kQ8); }
uint64_t DigestOfQ4Products(Device& device) { return DigestOfProducts(device, WeightFormat::kQ4); }

uint64_t DigestOfConvolutions(Device& device) {
  Digest digest;
  for (int64_t width : {1, 2, 4, 7}) {
    constexpr int64_t kChannels = 83, kRows = 9;
    const Tensor x = RandomTensor(kRows * kChannels, 1, -8, 8);
    const Tensor weight = RandomTensor(width * kChannels, 2, -3, 3);
    const Tensor bias = RandomTensor(kChannels, 3);
    Slots slots(2, std::max<int64_t>(1, (width - 1) * kChannels), 4);
    const std::vector<Segment> segments = {{0, 6, 0, 0, 0}, {6, 3, 1, 1, 5}};
    Tensor out(x.size());
    device.ConvSilu({segments.data(), 2, kRows, kChannels, width, x.data(), kChannels,
                     weight.data(), bias.data(), slots.field(), out.data(), kChannels});
    digest.Add(out);
    digest.Add(slots.slab());
  }
  return digest.value();
}

// Of numbers near the smallest normal one, so that many products are denormal and are flushed.
uint64_t DigestOfScans(Device& device) {
  Digest digest;
  for (int64_t state_size : {1, 16, 19}) {
    constexpr int64_t kChannels = 70, kRows = 60;
    const Tensor x = RandomTensor(kRows * kChannels, 1, -1e-36f, 1e-36f);
    const Tensor dt = RandomTensor(kRows * kChannels, 2, -30, 25);
    const Tensor b = RandomTensor(kRows * state_size, 3);
    const Tensor c = RandomTensor(kRows * state_size, 4);
    const Tensor z = RandomTensor(kRows * kChannels, 5, -90, 90);
    const Tensor a = RandomTensor(PaddedChannels(kChannels) * state_size, 6, -16, -1e-3f);
    const Tensor d = RandomTensor(kChannels, 7);
    Slots slots(2, PaddedChannels(kChannels) * state_size, 8, -1e-36f, 1e-36f);
    const std::vector<Segment> segments = {{0, 50, 0, 0, 0}, {50, 10, 1, 1, 5}};
    Tensor y(x.size());
    device.SelectiveScan({segments.data(), 2,         kRows,         kChannels, state_size,
                          x.data(),        kChannels, dt.data(),     kChannels, b.data(),
                          state_size,      c.data(),  state_size,    z.data(),  kChannels,
                          a.data(),        d.data(),  slots.field(), y.data(),  kChannels});
    digest.Add(y);
    digest.Add(slots.slab());
  }
  return digest.value();
}

// Of heads of several widths, in two groups; tokens in fours and alone.
uint64_t DigestOfSsdScans(Device& device) {
  Digest digest;
  for (int64_t head_dim : {1, 16, 70}) {
    constexpr int64_t kHeads = 4, kGroups = 2, kState = 19, kRows = 30;
    const int64_t channels = kHeads * head_dim;
    const Tensor x = RandomTensor(kRows * channels, 1);
    const Tensor dt = RandomTensor(kRows * kHeads, 2, -30, 25);
    const Tensor b = RandomTensor(kRows * kGroups * kState, 3);
    const Tensor c = RandomTensor(kRows * kGroups * kState, 4);
    const Tensor dt_bias = RandomTensor(kHeads, 5);
    const Tensor a = RandomTensor(kHeads, 6, -16, -1e-3f);
    const Tensor d = RandomTensor(channels, 7);
    Slots slots(2, kHeads * kState * PaddedLanes(head_dim), 8);
    const std::vector<Segment> segments = {{0, 23, 0, 0, 0}, {23, 7, 1, 1, 5}};
    Tensor y(x.size());
    SsdScanParams params;
    params.segments = segments.data();
    params.segment_count = 2;
    params.heads = kHeads;
    params.head_dim = head_dim;
    params.groups = kGroups;
    params.state_size = kState;
    params.x = x.data();
    params.x_stride = params.y_stride = channels;
    params.dt = dt.data();
    params.dt_stride = kHeads;
    params.b = b.data();
    params.c = c.data();
    params.b_stride = params.c_stride = kGroups * kState;
    params.dt_bias = dt_bias.data();
    params.a = a.data();
    params.d = d.data();
    params.state = slots.field();
    params.y = y.data();
    device.SsdScan(params);
    digest.Add(y);
  }
  return digest.value();
}

// Tokens before, in and after whole chunks.
uint64_t DigestOfChunkedSsdScans(Device& device) {
  Digest digest;
  for (int64_t head_dim : {1, 16, 70}) {
    Ssd ssd = Ssd({4, head_dim, 2, 19, 160}).Chunked();
    digest.Add(ssd.Run(device, {{0, 150, 0, 0, 3 * kSsdChunkTokens - 9}, {150, 10, 1, 1, 0}}));
    digest.Add(ssd.slots.slab());
  }
  return digest.value();
}

uint64_t DigestOfDraws(Device& device) {
  Digest digest;
  for (int64_t vocabulary : {1, 65, 5003}) {
    for (uint64_t position = 0; position < 20; ++position) {
      const Tensor logits = RandomTensor(vocabulary, static_cast<uint32_t>(position), -6, 6);
      SampleRow row;
      row.logits = logits.data();
      row.temperature = 0.3f + 0.1f * static_cast<float>(position);
      row.top_k = position % 3 == 0 ? 40 : 0;
      row.top_p = position % 2 == 0 ? 0.9f : 1;
      row.min_p = position % 5 == 0 ? 0.02f : 0;
      row.seed = 99;
      row.position = position;
      device.Sample({vocabulary, &row, 1});
      digest.Add(&row.token_id, 1);
    }
  }
  return digest.value();
}

uint64_t DigestOfLogprobs(Device& device) {
  Digest digest;
  for (int32_t vocabulary : {1, 65, 5003}) {
    const Tensor logits = RandomTensor(vocabulary, 3, -40, 40);
    std::vector<TokenLogprob> top(static_cast<size_t>(std::min(vocabulary, 10)));
    LogprobRow row;
    row.logits = logits.data();
    row.token_id = vocabulary / 2;
    row.top_count = static_cast<int32_t>(top.size());
    row.top = top.data();
    device.Logprobs({vocabulary, &row, 1});
    digest.Add(&row.logprob, 1);
    for (const TokenLogprob& entry : top) {
      digest.Add(&entry.token_id, 1);
      digest.Add(&entry.logprob, 1);
    }
  }
  return digest.value();
}

using DigestTest = KernelTest;

TEST_P(DigestTest, BitsAreTheSameOnEveryMachine) {
  const struct {
    const char* ops;
    uint64_t (*digest)(Device&);
    uint64_t expected;
  } rows[] = {
      {"norms", DigestOfNorms, 0x8EE16982CFB688CC},
      {"f32 products", DigestOfF32Products, 0xCDA2AAF093CC38C6},
      {"bf16 products", DigestOfBf16Products, 0xDD8F90FBDB355A92},
      {"q8 products", DigestOfQ8Products, 0x25C23E20A6A46B19},
      {"q4 products", DigestOfQ4Products, 0x6BEB3A4FEBFAC580},
      {"SSD scans", DigestOfSsdScans, 0xD44C10F0C621E77E},
      {"chunked SSD scans", DigestOfChunkedSsdScans, 0xA6554AEABE453829},
      {"convolutions", DigestOfConvolutions, 0x7A241B63B128898E},
      {"scans", DigestOfScans, 0xF093203A53F56566},
      {"draws", DigestOfDraws, 0x4060CCC90A739999},
      {"logprobs", DigestOfLogprobs, 0xD967B0DDCEF15C69},
  };
  for (const auto& row : rows) EXPECT_EQ(row.digest(*device_), row.expected) << row.ops;
}

INSTANTIATE_KERNEL_TEST(DigestTest);

}  // namespace
}  // namespace ssmd::kernels
