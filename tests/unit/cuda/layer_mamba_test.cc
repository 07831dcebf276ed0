// A layer of Mamba-1 with its ops fused: the bits of the ops one by one, in fewer launches.
#include <algorithm>

#include "kernels/cuda/kernel_table.h"
#include "kernels/cuda/runtime.h"
#include "tests/unit/cuda/layer_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

struct MambaShape {
  int64_t d_model, d_inner, rank, states;
  WeightFormat format = WeightFormat::kBf16;
  int64_t width = 4;
  bool with_biases = true;
  bool with_norms = false;   // of Δ's input, B and C
  bool with_weight = true;   // of the norm
  bool norms_apart = false;  // B and C alone have norms

  int64_t dbc() const { return rank + 2 * states; }
};
std::ostream& operator<<(std::ostream& out, const MambaShape& s) {
  return out << s.d_model << " to " << s.d_inner << ", rank " << s.rank << ", N = " << s.states
             << ", " << WeightFormatName(s.format) << (s.with_norms ? ", norms" : "");
}

class Mamba {
 public:
  Mamba(const MambaShape& shape, int64_t rows)
      : s_(shape),
        x_(RandomTensor(rows * s_.d_model, 1, -2, 3)),
        normed_(static_cast<size_t>(rows * s_.d_model)),
        xz_(static_cast<size_t>(rows * 2 * s_.d_inner)),
        u_(static_cast<size_t>(rows * s_.d_inner)),
        dbc_(static_cast<size_t>(rows * s_.dbc())),
        dt_(static_cast<size_t>(rows * s_.d_inner)),
        rows_(rows),
        ring_(kLayerSlots, (s_.width - 1) * s_.d_inner, 2),
        state_(kLayerSlots, PaddedChannels(s_.d_inner) * s_.states, 3) {
    for (int slot = 0; slot < kLayerSlots; ++slot) ClearPadding(state_.at(slot));
  }

  // Weights, the same for all of a shape.
  struct Weights {
    PackedMatrix in_proj, x_proj, dt_proj, out_proj;
    Tensor norm, conv, conv_bias, in_bias, dt_bias, out_bias, a, d;
  };

  MambaLayerParams Params(const Weights& w, const std::vector<Segment>& segments);
  LayerResult Result(int64_t launches) const { return {x_, ring_.slab(), state_.slab(), launches}; }

 private:
  void ClearPadding(float* state) const {
    for (int64_t channel = s_.d_inner; channel < PaddedChannels(s_.d_inner); ++channel) {
      for (int64_t n = 0; n < s_.states; ++n) {
        state[(channel / 64 * s_.states + n) * 64 + channel % 64] = 0;
      }
    }
  }
  MatMulParams Product(const float* x, int64_t x_stride, const PackedMatrix& w, const Tensor* bias,
                       float* out) const {
    MatMulParams product = {x, x_stride, rows_, &w, nullptr, nullptr, 0, out, w.outputs};
    if (s_.with_biases && bias != nullptr) product.bias = bias->data();
    return product;
  }
  RmsNormParams InPlace(float* x, int64_t cols) const {
    return {x, s_.dbc(), nullptr, nullptr, 1e-6f, rows_, cols, x, s_.dbc()};
  }

  const MambaShape s_;
  Tensor x_, normed_, xz_, u_, dbc_, dt_;
  const int64_t rows_;
  Slots ring_, state_;
};

MambaLayerParams Mamba::Params(const Weights& w, const std::vector<Segment>& segments) {
  MambaLayerParams p;
  p.norm = {x_.data(), s_.d_model, nullptr,    s_.with_weight ? w.norm.data() : nullptr,
            1e-5f,     rows_,      s_.d_model, normed_.data(),
            s_.d_model};
  p.in_proj = Product(normed_.data(), s_.d_model, w.in_proj, &w.in_bias, xz_.data());
  const auto count = static_cast<int64_t>(segments.size());
  p.conv = {segments.data(), count,         rows_,
            s_.d_inner,      s_.width,      xz_.data(),
            2 * s_.d_inner,  w.conv.data(), s_.with_biases ? w.conv_bias.data() : nullptr,
            ring_.field(),   u_.data(),     s_.d_inner};
  p.x_proj = Product(u_.data(), s_.d_inner, w.x_proj, nullptr, dbc_.data());
  float* b = dbc_.data() + s_.rank;
  float* c = b + s_.states;
  if (s_.with_norms) {
    if (!s_.norms_apart) p.dt_norm = InPlace(dbc_.data(), s_.rank);
    p.b_norm = InPlace(b, s_.states);
    p.c_norm = InPlace(c, s_.states);
  }
  p.dt_proj = Product(dbc_.data(), s_.dbc(), w.dt_proj, &w.dt_bias, dt_.data());
  p.scan = {segments.data(), count,
            rows_,           s_.d_inner,
            s_.states,       u_.data(),
            s_.d_inner,      dt_.data(),
            s_.d_inner,      b,
            s_.dbc(),        c,
            s_.dbc(),        xz_.data() + s_.d_inner,
            2 * s_.d_inner,  w.a.data(),
            w.d.data(),      state_.field(),
            u_.data(),       s_.d_inner};
  p.out_proj = Product(u_.data(), s_.d_inner, w.out_proj, &w.out_bias, x_.data());
  p.out_proj.add = x_.data();
  p.out_proj.add_stride = s_.d_model;
  return p;
}

class MambaLayer : public LayerTest {
 protected:
  Mamba::Weights MakeWeights(const MambaShape& s) {
    const bool exact = s.format == WeightFormat::kF32 || s.format == WeightFormat::kF16;
    const WeightFormat selection = exact ? s.format : WeightFormat::kBf16;
    Mamba::Weights w;
    w.in_proj = Pack(2 * s.d_inner, s.d_model, s.format, true, 11, 0.2f);
    w.x_proj = Pack(s.dbc(), s.d_inner, selection, false, 12, 0.3f);
    w.dt_proj = Pack(s.d_inner, s.rank, selection, false, 13, 0.4f);
    w.out_proj = Pack(s.d_model, s.d_inner, s.format, true, 14, 0.2f);
    w.norm = RandomTensor(s.d_model, 15, 0.5f, 1.5f);
    w.conv = RandomTensor(s.width * s.d_inner, 16);
    w.conv_bias = RandomTensor(s.d_inner, 17);
    w.in_bias = RandomTensor(2 * s.d_inner, 18);
    w.dt_bias = RandomTensor(s.d_inner, 19, -4, 0);
    w.out_bias = RandomTensor(s.d_model, 20);
    w.a = RandomTensor(PaddedChannels(s.d_inner) * s.states, 21, -16, -0.5f);
    w.d = RandomTensor(s.d_inner, 22);
    return w;
  }
  LayerResult Run(const MambaShape& shape, const Mamba::Weights& w,
                  const std::vector<Segment>& segments, bool fused) {
    int64_t rows = 0;
    for (const Segment& s : segments) rows += s.length;
    Mamba layer(shape, rows);
    const MambaLayerParams params = layer.Params(w, segments);
    const int64_t launches = Launches(
        [&] { fused ? device().MambaLayer(params) : device().Device::MambaLayer(params); });
    return layer.Result(launches);
  }
  // Returns the fused one.
  LayerResult ExpectSame(const MambaShape& shape, const Mamba::Weights& w,
                         const std::vector<Segment>& segments) {
    LayerResult fused = Run(shape, w, segments, true);
    fused.ExpectSame(Run(shape, w, segments, false), segments, shape.d_model);
    return fused;
  }
};

// Of the first, products of the residual's side have several segments of inputs; the last is of no
// shape that fast kernels take.
const MambaShape kMambaShapes[] = {{.d_model = 520, .d_inner = 576, .rank = 36, .states = 16},
                                   {.d_model = 100, .d_inner = 196, .rank = 4, .states = 8},
                                   {.d_model = 64, .d_inner = 72, .rank = 200, .states = 20},
                                   {.d_model = 61, .d_inner = 65, .rank = 3, .states = 5}};

TEST_F(MambaLayer, FusedHasTheBitsOfItsOps) {
  for (MambaShape shape : kMambaShapes) {
    for (const int32_t rows : FusedRows(shape.d_model)) {
      shape.with_norms = rows == 3 || rows == 40;
      shape.with_biases = rows != 8;
      shape.with_weight = rows != 9;
      SCOPED_TRACE(testing::Message() << rows << " rows, " << shape);
      ExpectSame(shape, MakeWeights(shape), SingleTokens(rows));
    }
  }
}

TEST_F(MambaLayer, FusedHasTheBitsOfItsOpsInEveryFormat) {
  for (const WeightFormat format : kAllWeightFormats) {
    for (const int32_t rows : {3, 9}) {
      const MambaShape shape = {100, 196, 12, 16, format};
      SCOPED_TRACE(testing::Message() << rows << " rows, " << shape);
      ExpectSame(shape, MakeWeights(shape), SingleTokens(rows));
    }
  }
}

TEST_F(MambaLayer, FusedHasTheBitsOfItsOpsWithPrompts) {
  for (const bool with_norms : {false, true}) {
    MambaShape shape = kMambaShapes[1];
    shape.with_norms = with_norms;
    const std::vector<Segment> segments = {
        {0, 5, 0, 0, 0}, {5, 1, 1, 2, 9}, {6, 2, -1, -1, 0}, {8, 3, 3, 4, 7}};
    ExpectSame(shape, MakeWeights(shape), segments);
  }
}

// A prompt by itself, cut, and token by token: fused or not.
TEST_F(MambaLayer, APromptHasTheBitsOfItsTokens) {
  const MambaShape shape = kMambaShapes[1];
  const Mamba::Weights w = MakeWeights(shape);
  constexpr int32_t kTokens = 11;
  const LayerResult whole = Run(shape, w, {{0, kTokens, 0, 0, 0}}, true);
  Mamba steps(shape, kTokens);
  for (int32_t t = 0; t < kTokens; ++t) {
    // One row: that of the token.
    const std::vector<Segment> token = {{0, 1, 0, 0, t}};
    MambaLayerParams params = steps.Params(w, token);
    const auto at = t * shape.d_model;
    params.norm.x += at;
    params.out_proj.add += at;
    params.out_proj.out += at;
    for (RmsNormParams* norm : {&params.norm}) norm->rows = 1;
    for (MatMulParams* product :
         {&params.in_proj, &params.x_proj, &params.dt_proj, &params.out_proj}) {
      product->rows = 1;
    }
    params.conv.rows = params.scan.rows = 1;
    Launches([&] { device().MambaLayer(params); });
  }
  whole.ExpectSame(steps.Result(0), {{0, kTokens, 0, 0, 0}}, shape.d_model);
}

TEST_F(MambaLayer, OneNormMayBeMissing) {
  MambaShape shape = kMambaShapes[1];
  shape.with_norms = shape.norms_apart = true;
  ExpectSame(shape, MakeWeights(shape), SingleTokens(3));
}

// All of nine rows is fused.
TEST_F(MambaLayer, TakesEitherUnit) {
  const MambaShape& shape = kMambaShapes[1];
  const Mamba::Weights w = MakeWeights(shape);
  const std::vector<Segment> segments = SingleTokens(9);
  std::string error;
  const std::unique_ptr<Gpu> gpu = OpenGpu(0, &error);
  const std::unique_ptr<Stream> stream = gpu->MakeStream();
  const KernelChoice choice(gpu->facts(), /*wgmma=*/true, /*plain=*/false);
  std::vector<std::byte> scratch;
  const auto run = [&](fast::ProductUnit unit) {
    Mamba layer(shape, 9);
    const MambaLayerParams params = layer.Params(w, segments);
    for (const MatMulParams* product :
         {&params.in_proj, &params.x_proj, &params.dt_proj, &params.out_proj}) {
      scratch.resize(std::max(scratch.size(), ProductScratch(9, *product->w)));
    }
    RunMambaLayer({*stream, choice, {unit}, scratch.data(), device()}, params);
    stream->Synchronize();
    return layer.Result(0);
  };
  run(fast::ProductUnit::kWgmma).ExpectSame(run(fast::ProductUnit::kMma), segments, shape.d_model);
}

TEST_F(MambaLayer, IsFewLaunches) {
  MambaShape shape = kMambaShapes[0];
  const Mamba::Weights w = MakeWeights(shape);
  for (const bool with_norms : {false, true}) {
    shape.with_norms = with_norms;
    for (const int32_t rows : {1, 8}) {
      EXPECT_EQ(Run(shape, w, SingleTokens(rows), true).launches, 5) << rows;
    }
    for (const int32_t rows : {9, 40}) {
      EXPECT_EQ(Run(shape, w, SingleTokens(rows), true).launches, 6) << rows;
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
