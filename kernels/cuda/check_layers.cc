#include "kernels/cuda/check_layers.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace ssmd::kernels::cuda {
namespace {

constexpr int kLayerSlots = 11;
constexpr int64_t kLayerRowCounts[] = {3, kLayerCheckRows};
constexpr size_t kPaddedRow = 4;

// In disorder, one to another slot, one that is padding.
std::vector<Segment> SegmentsOf(int64_t rows) {
  std::vector<Segment> segments;
  for (int32_t i = 0; i < rows; ++i) {
    const int32_t to = i == 1 ? kLayerSlots - 1 : i;
    segments.push_back({static_cast<int32_t>(rows) - 1 - i, 1, i, to, 5 + i});
    if (i == kPaddedRow) segments.back().src_slot = segments.back().dst_slot = -1;
  }
  return segments;
}

// Where `at` is when what begins at `from` lies at `to`.
const float* Moved(const float* at, const float* from, float* to) { return to + (at - from); }

// The rows between the ops of a layer, where those of `like` lie.
CheckRows RowsLike(CheckSpace& space, const MatMulParams& product) {
  return {space, {kLayerCheckRows, product.w->outputs, product.out_stride, product.out}, -1, 1};
}
CheckRows RowsLike(CheckSpace& space, const ConvSiluParams& conv) {
  return {space, {kLayerCheckRows, conv.channels, conv.out_stride, conv.out}, -1, 1};
}
CheckRows RowsLike(CheckSpace& space, const RmsNormParams& norm) {
  return {space, {kLayerCheckRows, norm.cols, norm.out_stride, norm.out}, -1, 1};
}
CheckRows ResidualLike(CheckSpace& space, const RmsNormParams& norm) {
  return {space, {kLayerCheckRows, norm.cols, norm.x_stride, norm.x}, -2, 3};
}
CheckStates RingLike(CheckSpace& space, const ConvSiluParams& conv) {
  return {space, kLayerSlots, std::max<int64_t>(1, (conv.width - 1) * conv.channels), nullptr};
}

// What a layer leaves behind.
struct LayerOutcome {
  std::vector<float> x, ring, state;
};

template <typename Params>
class LayerCheck {
 public:
  LayerCheck(CheckSpace& space, CheckRows& x, CheckStates& ring, CheckStates& state)
      : space_(space),
        x_(x),
        ring_(ring),
        state_(state),
        segments_(space.Allocate(kLayerCheckRows * sizeof(Segment))) {}

  // `set_rows(segments, rows)` makes params of so many rows.
  template <typename SetRows>
  std::string Run(const LayerRuns<Params>& runs, const SetRows& set_rows) {
    if (space_.out_of_memory()) return "";
    Comparison comparison({});
    for (const int64_t rows : kLayerRowCounts) {
      const Params params = set_rows(segments_.as<Segment>(), rows);
      const LayerOutcome apart = Outcome(runs.apart, params, rows);
      const LayerOutcome fused = Outcome(runs.fused, params, rows);
      std::vector<bool> written(kLayerCheckRows);
      for (const Segment& s : SegmentsOf(rows)) {
        if (s.dst_slot >= 0) written[static_cast<size_t>(s.first_row)] = true;
      }
      constexpr char kOtherwise[] = "bits are not those of the ops one by one";
      x_.CompareBits(fused.x, apart.x, written, kOtherwise, &comparison);
      for (int slot = 0; slot < kLayerSlots; ++slot) {
        ring_.CompareBits(fused.ring, apart.ring, slot, kOtherwise, &comparison);
        state_.CompareBits(fused.state, apart.state, slot, kOtherwise, &comparison);
      }
    }
    return comparison.Problem();
  }

 private:
  LayerOutcome Outcome(const std::function<void(const Params&)>& run, const Params& params,
                       int64_t rows) {
    const std::vector<Segment> segments = SegmentsOf(rows);
    space_.stream().CopyIn(segments_.data(), segments.data(), segments.size() * sizeof(Segment));
    x_.Reset();
    ring_.Reset();
    state_.Reset();
    run(params);
    return {x_.Read(), ring_.Read(), state_.Read()};
  }

  CheckSpace& space_;
  CheckRows& x_;
  CheckStates& ring_;
  CheckStates& state_;
  const Buffer segments_;
};

template <typename Op>
void SetSegments(const Segment* segments, int64_t rows, Op* op) {
  op->segments = segments;
  op->segment_count = op->rows = rows;
}

std::string ShapeOf(const char* name, const RmsNormParams& norm,
                    std::initializer_list<const PackedMatrix*> matrices) {
  std::string text = std::string("layer ") + name + " width=" + std::to_string(norm.cols);
  for (const PackedMatrix* w : matrices) {
    text += " " + std::string(WeightFormatName(w->format)) + ":" + std::to_string(w->outputs) +
            "x" + std::to_string(w->inputs);
  }
  return text;
}

}  // namespace

std::string CheckLayer(CheckSpace& space, const MambaLayerParams& like,
                       const LayerRuns<MambaLayerParams>& runs) {
  const SelectiveScanParams& scan = like.scan;
  CheckRows x = ResidualLike(space, like.norm), normed = RowsLike(space, like.norm);
  CheckRows xz = RowsLike(space, like.in_proj), u = RowsLike(space, like.conv);
  CheckRows dbc = RowsLike(space, like.x_proj), dt = RowsLike(space, like.dt_proj);
  CheckRows own_y(space, {kLayerCheckRows, scan.channels, scan.y_stride, scan.y}, -1, 1);
  CheckStates ring = RingLike(space, like.conv);
  CheckStates state(
      space, kLayerSlots, PaddedChannels(scan.channels) * scan.state_size, [&](int64_t i) {
        return i / (scan.state_size * kChannelBlock) * kChannelBlock + i % kChannelBlock >=
               scan.channels;
      });
  CheckRows& y = scan.y == scan.x ? u : own_y;
  LayerCheck<MambaLayerParams> check(space, x, ring, state);
  return check.Run(runs, [&](const Segment* segments, int64_t rows) {
    MambaLayerParams p = like;
    p.norm.x = p.out_proj.add = p.out_proj.out = x.data();
    p.norm.out = normed.data();
    p.in_proj.x = normed.data();
    p.in_proj.out = xz.data();
    p.conv.x = Moved(like.conv.x, like.in_proj.out, xz.data());
    p.conv.out = u.data();
    p.x_proj.x = p.scan.x = u.data();
    p.x_proj.out = dbc.data();
    p.dt_proj.x = Moved(like.dt_proj.x, like.x_proj.out, dbc.data());
    p.dt_proj.out = dt.data();
    for (RmsNormParams* norm : {&p.dt_norm, &p.b_norm, &p.c_norm}) {
      if (norm->rows == 0) continue;
      norm->out = dbc.data() + (norm->out - like.x_proj.out);
      norm->x = norm->out;
      norm->rows = rows;
    }
    p.scan.dt = dt.data();
    p.scan.b = Moved(scan.b, like.x_proj.out, dbc.data());
    p.scan.c = Moved(scan.c, like.x_proj.out, dbc.data());
    p.scan.z = Moved(scan.z, like.in_proj.out, xz.data());
    p.scan.y = y.data();
    p.out_proj.x = y.data();
    p.conv.ring = ring.field();
    p.scan.state = state.field();
    SetSegments(segments, rows, &p.conv);
    SetSegments(segments, rows, &p.scan);
    p.norm.rows = p.in_proj.rows = p.x_proj.rows = p.dt_proj.rows = p.out_proj.rows = rows;
    return p;
  });
}

std::string CheckLayer(CheckSpace& space, const Mamba2LayerParams& like,
                       const LayerRuns<Mamba2LayerParams>& runs) {
  const SsdScanParams& scan = like.scan;
  const int64_t lanes = PaddedLanes(scan.head_dim);
  CheckRows x = ResidualLike(space, like.norm), normed = RowsLike(space, like.norm);
  CheckRows projected = RowsLike(space, like.in_proj), xbc = RowsLike(space, like.conv);
  CheckStates ring = RingLike(space, like.conv);
  CheckStates state(space, kLayerSlots, scan.heads * scan.state_size * lanes,
                    [&](int64_t i) { return i % lanes >= scan.head_dim; });
  LayerCheck<Mamba2LayerParams> check(space, x, ring, state);
  return check.Run(runs, [&](const Segment* segments, int64_t rows) {
    Mamba2LayerParams p = like;
    const auto of_xbc = [&](const float* at) { return Moved(at, like.conv.out, xbc.data()); };
    const auto of_projected = [&](const float* at) {
      return Moved(at, like.in_proj.out, projected.data());
    };
    p.norm.x = p.out_proj.add = p.out_proj.out = x.data();
    p.norm.out = normed.data();
    p.in_proj.x = normed.data();
    p.in_proj.out = projected.data();
    p.conv.x = of_projected(like.conv.x);
    p.conv.out = p.scan.y = p.gated_norm.out = xbc.data();
    p.scan.x = of_xbc(scan.x);
    p.scan.b = of_xbc(scan.b);
    p.scan.c = of_xbc(scan.c);
    if (scan.dt != nullptr) p.scan.dt = of_projected(scan.dt);
    p.scan.chunk_scratch = nullptr;
    p.gated_norm.x = of_xbc(like.gated_norm.x);
    p.gated_norm.gate = of_projected(like.gated_norm.gate);
    p.out_proj.x = of_xbc(like.out_proj.x);
    p.conv.ring = ring.field();
    p.scan.state = state.field();
    SetSegments(segments, rows, &p.conv);
    SetSegments(segments, rows, &p.scan);
    p.norm.rows = p.in_proj.rows = p.gated_norm.rows = p.out_proj.rows = rows;
    return p;
  });
}

std::string LayerShape(const MambaLayerParams& layer) {
  const SelectiveScanParams& scan = layer.scan;
  return ShapeOf("mamba", layer.norm,
                 {layer.in_proj.w, layer.x_proj.w, layer.dt_proj.w, layer.out_proj.w}) +
         " states=" + std::to_string(scan.state_size) +
         " taps=" + std::to_string(layer.conv.width) + (layer.dt_norm.rows > 0 ? " dt_norm" : "") +
         (layer.b_norm.rows > 0 ? " b_norm" : "") + (layer.c_norm.rows > 0 ? " c_norm" : "");
}

std::string LayerShape(const Mamba2LayerParams& layer) {
  const SsdScanParams& scan = layer.scan;
  return ShapeOf("mamba2", layer.norm, {layer.in_proj.w, layer.out_proj.w}) +
         " heads=" + std::to_string(scan.heads) + " groups=" + std::to_string(scan.groups) +
         " states=" + std::to_string(scan.state_size) +
         " taps=" + std::to_string(layer.conv.width) +
         " order=" + std::to_string(static_cast<int>(layer.gated_norm.order));
}

}  // namespace ssmd::kernels::cuda
