#include "kernels/cuda/selfcheck/check_layers.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/selfcheck/comparison.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int kSettlingSteps = 2;  // from states of zeros
constexpr int64_t kPaddedRow = 4;  // where there are more

int64_t StateElements(const SelectiveScanParams& p) {
  return PaddedChannels(p.channels) * p.state_size;
}
int64_t StateElements(const SsdScanParams& p) {
  return p.heads * p.state_size * PaddedLanes(p.head_dim);
}

// States of one kind, in slots next to each other, zero at first.
class LayerStates {
 public:
  // Of `like`'s format and layer.
  LayerStates(CheckSpace& space, const StateField& like, int64_t slots, int64_t elements)
      : format_(like.format),
        layer_(like.layer),
        slot_floats_((elements + kVectorLanes - 1) / kVectorLanes * kVectorLanes),
        floats_(space, std::vector<float>(static_cast<size_t>(slots * slot_floats_ + kVectorLanes)),
                0, nullptr) {}

  StateField field() const {
    return {reinterpret_cast<std::byte*>(floats_.data()),
            static_cast<size_t>(slot_floats_) * sizeof(float), 0, format_, layer_};
  }
  void Reset() { floats_.Reset(); }
  std::vector<float> Read() { return floats_.Read(); }

 private:
  const StateFormat format_;
  const uint32_t layer_;
  const int64_t slot_floats_;  // at least as many as the elements take
  CheckFloats floats_;
};

// What a layer leaves behind.
struct LayerOutcome {
  std::vector<float> x, ring, state;
};

template <typename Params>
class LayerCheck {
 public:
  LayerCheck(CheckSpace& space, const Params& like)
      : space_(space),
        params_(like),
        rows_(like.norm.rows),
        prompt_(like.conv.segment_count != rows_),
        x_floats_(static_cast<size_t>(rows_ * like.out_proj.out_stride)),
        ring_(space, like.conv.ring, rows_ + 1, (like.conv.width - 1) * like.conv.channels),
        state_(space, like.scan.state, rows_ + 1, StateElements(like.scan)),
        segments_(space.Allocate(static_cast<size_t>(rows_) * sizeof(Segment))) {
    for (int step = 0; step <= kSettlingSteps; ++step) {
      inputs_.push_back(space.Random(x_floats_, -2, 3));
    }
    params_.conv.ring = ring_.field();
    params_.scan.state = state_.field();
  }

  std::string Run(const LayerTwins<Params>& twins) {
    // Otherwise the layer's input would have to be made elsewhere.
    const bool in_place = params_.norm.x == params_.out_proj.out;
    if (space_.out_of_memory() || !in_place) return "";
    const LayerOutcome apart = Result(twins.apart, twins.apart);
    const LayerOutcome together = Result(twins.apart, twins.together);
    constexpr char kOtherBits[] = "ops that go together give other bits than one by one";
    Comparison comparison(Bounds{});
    const auto same = [&](const std::vector<float>& a, const std::vector<float>& b) {
      comparison.Same(a.data(), b.data(), static_cast<int64_t>(a.size()), kOtherBits);
    };
    same(together.ring, apart.ring);
    same(together.state, apart.state);
    const int64_t stride = params_.out_proj.out_stride;
    for (int64_t row = 0; row < rows_; ++row) {
      if (IsPadding(row)) continue;
      comparison.Same(together.x.data() + row * stride, apart.x.data() + row * stride, stride,
                      kOtherBits);
    }
    return comparison.Problem();
  }

 private:
  using RunLayer = std::function<void(const Params& params)>;

  bool IsPadding(int64_t row) const { return !prompt_ && row == kPaddedRow; }
  // Each token to a slot of its own, or one prompt; at last the first to another slot.
  std::vector<Segment> Segments(int step) const {
    const auto last = static_cast<int32_t>(rows_);
    const int32_t first_to = step == kSettlingSteps ? last : 0;
    if (prompt_) return {{0, last, 0, first_to, step * rows_}};
    std::vector<Segment> segments;
    for (int32_t i = 0; i < last; ++i) {
      const bool padding = IsPadding(i);
      segments.push_back({i, 1, padding ? -1 : i, padding ? -1 : i == 0 ? first_to : i, step + i});
    }
    return segments;
  }
  LayerOutcome Result(const RunLayer& settle, const RunLayer& run) {
    ring_.Reset();
    state_.Reset();
    float* x = params_.out_proj.out;
    for (int step = 0; step <= kSettlingSteps; ++step) {
      const std::vector<Segment> segments = Segments(step);
      space_.stream().CopyIn(segments_.data(), segments.data(), segments.size() * sizeof(Segment));
      space_.stream().CopyIn(x, inputs_[static_cast<size_t>(step)].data(),
                             x_floats_ * sizeof(float));
      params_.conv.segments = params_.scan.segments = segments_.template as<Segment>();
      (step < kSettlingSteps ? settle : run)(params_);
    }
    LayerOutcome outcome;
    outcome.x.resize(x_floats_);
    space_.stream().CopyOut(outcome.x.data(), x, x_floats_ * sizeof(float));
    outcome.ring = ring_.Read();
    outcome.state = state_.Read();
    return outcome;
  }

  CheckSpace& space_;
  Params params_;
  const int64_t rows_;
  const bool prompt_;
  const size_t x_floats_;
  LayerStates ring_, state_;
  const Buffer segments_;
  std::vector<std::vector<float>> inputs_;  // of each step
};

}  // namespace

std::string CheckLayer(CheckSpace& space, const LayerTwins<MambaLayerParams>& twins,
                       const MambaLayerParams& like) {
  return LayerCheck<MambaLayerParams>(space, like).Run(twins);
}

std::string CheckLayer(CheckSpace& space, const LayerTwins<Mamba2LayerParams>& twins,
                       const Mamba2LayerParams& like) {
  return LayerCheck<Mamba2LayerParams>(space, like).Run(twins);
}

}  // namespace ssmd::kernels::cuda
