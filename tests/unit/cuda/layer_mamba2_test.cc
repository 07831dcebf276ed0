// A layer of Mamba-2 with its ops fused: the bits of the ops one by one, in fewer launches.
#include "tests/unit/cuda/layer_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

struct Mamba2Shape {
  int64_t d_model, heads, head_dim, groups, states;
  WeightFormat format = WeightFormat::kBf16;
  GateOrder order = GateOrder::kGateFirst;
  bool with_biases = true;
  bool with_weights = true;  // of the norms
  int64_t width = 4;

  int64_t d_inner() const { return heads * head_dim; }
  int64_t conv_channels() const { return d_inner() + 2 * groups * states; }
  int64_t projection() const { return d_inner() + conv_channels() + heads; }
  int64_t state() const { return heads * states * PaddedLanes(head_dim); }
};
std::ostream& operator<<(std::ostream& out, const Mamba2Shape& s) {
  return out << s.d_model << " to " << s.heads << " heads of " << s.head_dim << ", " << s.groups
             << " groups, N = " << s.states << ", " << WeightFormatName(s.format) << ", order "
             << static_cast<int>(s.order);
}

struct Mamba2Weights {
  PackedMatrix in_proj, out_proj;
  Tensor norm, gated_norm, conv, conv_bias, in_bias, out_bias, dt_bias, a, d;
};

class Mamba2 {
 public:
  Mamba2(const Mamba2Shape& shape, int64_t rows)
      : s_(shape),
        x_(RandomTensor(rows * s_.d_model, 1, -2, 3)),
        normed_(static_cast<size_t>(rows * s_.d_model)),
        projected_(static_cast<size_t>(rows * s_.projection())),
        xbc_(static_cast<size_t>(rows * s_.conv_channels())),
        rows_(rows),
        ring_(kLayerSlots, (s_.width - 1) * s_.conv_channels(), 2),
        state_(kLayerSlots, s_.state(), 3) {
    const int64_t padded = PaddedLanes(s_.head_dim);
    for (int slot = 0; slot < kLayerSlots; ++slot) {
      for (int64_t i = 0; i < s_.state(); ++i) {
        if (i % padded >= s_.head_dim) state_.at(slot)[i] = 0;
      }
    }
  }

  Mamba2LayerParams Params(const Mamba2Weights& w, const std::vector<Segment>& segments);
  LayerResult Result(int64_t launches) const { return {x_, ring_.slab(), state_.slab(), launches}; }

 private:
  const Mamba2Shape s_;
  Tensor x_, normed_, projected_, xbc_;
  const int64_t rows_;
  Slots ring_, state_;
};

Mamba2LayerParams Mamba2::Params(const Mamba2Weights& w, const std::vector<Segment>& segments) {
  const auto given = [](const Tensor& values, bool really) {
    return really ? values.data() : nullptr;
  };
  Mamba2LayerParams p;
  p.norm.x = x_.data();
  p.norm.out = normed_.data();
  p.norm.x_stride = p.norm.out_stride = p.norm.cols = s_.d_model;
  p.norm.weight = given(w.norm, s_.with_weights);
  p.norm.eps = 1e-5f;
  p.norm.rows = rows_;
  p.in_proj = {normed_.data(), s_.d_model, rows_, &w.in_proj, given(w.in_bias, s_.with_biases)};
  p.in_proj.out = projected_.data();
  p.in_proj.out_stride = s_.projection();

  p.conv.segments = p.scan.segments = segments.data();
  p.conv.segment_count = p.scan.segment_count = static_cast<int64_t>(segments.size());
  p.conv.rows = p.scan.rows = rows_;
  p.conv.channels = p.conv.out_stride = s_.conv_channels();
  p.conv.width = s_.width;
  p.conv.x = projected_.data() + s_.d_inner();
  p.conv.x_stride = s_.projection();
  p.conv.weight = w.conv.data();
  p.conv.bias = given(w.conv_bias, s_.with_biases);
  p.conv.ring = ring_.field();
  p.conv.out = xbc_.data();

  p.scan.heads = s_.heads;
  p.scan.head_dim = s_.head_dim;
  p.scan.groups = s_.groups;
  p.scan.state_size = s_.states;
  p.scan.x = p.scan.y = xbc_.data();
  p.scan.b = xbc_.data() + s_.d_inner();
  p.scan.c = p.scan.b + s_.groups * s_.states;
  p.scan.x_stride = p.scan.b_stride = p.scan.c_stride = p.scan.y_stride = s_.conv_channels();
  p.scan.dt = p.conv.x + s_.conv_channels();
  p.scan.dt_stride = s_.projection();
  p.scan.dt_bias = given(w.dt_bias, s_.with_biases);
  p.scan.a = w.a.data();
  p.scan.d = w.d.data();
  p.scan.state = state_.field();
  p.scan.y = xbc_.data();

  p.gated_norm.x = p.gated_norm.out = xbc_.data();
  p.gated_norm.x_stride = p.gated_norm.out_stride = s_.conv_channels();
  p.gated_norm.gate = projected_.data();
  p.gated_norm.gate_stride = s_.projection();
  p.gated_norm.weight = given(w.gated_norm, s_.with_weights);
  p.gated_norm.order = s_.order;
  p.gated_norm.eps = 1e-5f;
  p.gated_norm.rows = rows_;
  p.gated_norm.cols = s_.d_inner();
  p.gated_norm.groups = s_.groups;
  p.out_proj = {xbc_.data(), s_.conv_channels(), rows_, &w.out_proj,
                given(w.out_bias, s_.with_biases)};
  p.out_proj.add = p.out_proj.out = x_.data();
  p.out_proj.add_stride = p.out_proj.out_stride = s_.d_model;
  return p;
}

class Mamba2Layers : public LayerTest {
 protected:
  Mamba2Weights MakeWeights(const Mamba2Shape& s) {
    Mamba2Weights w;
    w.in_proj = Pack(s.projection(), s.d_model, s.format, true, 11, 0.2f);
    w.out_proj = Pack(s.d_model, s.d_inner(), s.format, true, 12, 0.2f);
    w.norm = RandomTensor(s.d_model, 13, 0.5f, 1.5f);
    w.gated_norm = RandomTensor(s.d_inner(), 14, 0.5f, 1.5f);
    w.conv = RandomTensor(s.width * s.conv_channels(), 15);
    w.conv_bias = RandomTensor(s.conv_channels(), 16);
    w.in_bias = RandomTensor(s.projection(), 17);
    w.out_bias = RandomTensor(s.d_model, 18);
    w.dt_bias = RandomTensor(s.heads, 19, -4, 0);
    w.a = RandomTensor(s.heads, 20, -16, -0.5f);
    w.d = RandomTensor(s.d_inner(), 21);
    return w;
  }
  LayerResult Run(const Mamba2Shape& shape, const std::vector<Segment>& segments, bool fused) {
    const Mamba2Weights w = MakeWeights(shape);
    int64_t rows = 0;
    for (const Segment& s : segments) rows += s.length;
    Mamba2 layer(shape, rows);
    const Mamba2LayerParams params = layer.Params(w, segments);
    const int64_t launches = Launches(
        [&] { fused ? device().Mamba2Layer(params) : device().Device::Mamba2Layer(params); });
    return layer.Result(launches);
  }
  void ExpectSame(const Mamba2Shape& shape, const std::vector<Segment>& segments) {
    Run(shape, segments, true).ExpectSame(Run(shape, segments, false), segments, shape.d_model);
  }
};

// The last but one has groups that cut blocks of inputs, the last is of no shape that fast kernels
// take.
const Mamba2Shape kMamba2Shapes[] = {{520, 8, 64, 1, 16},
                                     {100, 3, 36, 1, 12},
                                     {64, 4, 32, 2, 8},
                                     {64, 6, 12, 2, 8},
                                     {61, 3, 5, 3, 3}};

TEST_F(Mamba2Layers, FusedHasTheBitsOfItsOps) {
  for (Mamba2Shape shape : kMamba2Shapes) {
    for (const int32_t rows : FusedRows(shape.d_model)) {
      shape.with_biases = rows != 8;
      shape.with_weights = rows != 9;
      SCOPED_TRACE(testing::Message() << rows << " rows, " << shape);
      ExpectSame(shape, SingleTokens(rows));
    }
  }
}

TEST_F(Mamba2Layers, FusedHasTheBitsOfItsOpsInEveryFormatAndOrder) {
  Mamba2Shape shape = kMamba2Shapes[2];
  for (const WeightFormat format : kAllWeightFormats) {
    for (const GateOrder order :
         {GateOrder::kGateFirst, GateOrder::kNormFirst, GateOrder::kGateOnly}) {
      shape.format = format;
      shape.order = order;
      SCOPED_TRACE(testing::Message() << shape);
      ExpectSame(shape, SingleTokens(9));
    }
    ExpectSame(shape, SingleTokens(3));
  }
}

TEST_F(Mamba2Layers, FusedHasTheBitsOfItsOpsWithPrompts) {
  ExpectSame(kMamba2Shapes[1],
             {{0, 5, 0, 0, 0}, {5, 1, 1, 2, 9}, {6, 2, -1, -1, 0}, {8, 3, 3, 4, 7}});
}

TEST_F(Mamba2Layers, IsFewLaunches) {
  const Mamba2Shape& shape = kMamba2Shapes[0];
  EXPECT_EQ(Run(shape, SingleTokens(1), true).launches, 5);
  EXPECT_EQ(Run(shape, SingleTokens(8), true).launches, 5);
  EXPECT_EQ(Run(shape, SingleTokens(9), true).launches, 6);
  const std::vector<Segment> many = SingleTokens(40);
  const LayerResult fused = Run(shape, many, true);
  EXPECT_EQ(fused.launches, 6);
  fused.ExpectSame(Run(shape, many, false), many, shape.d_model);
}

}  // namespace
}  // namespace ssmd::kernels::cuda
