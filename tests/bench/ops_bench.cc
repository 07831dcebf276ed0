#include "tests/bench/ops_bench.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

constexpr double kMeasuredSeconds = 0.1;
constexpr double kProbeSeconds = 0.1;
constexpr int64_t kPrompt = 512;
constexpr int64_t kWidth = 768;
constexpr int64_t kHeads = 12;
constexpr int64_t kHeadDim = kWidth / kHeads;
// Arithmetic instructions of 16 channels of Wkv4 and a token: three exponentials of 13, and 18.
constexpr double kWkv4Operations = 57;

// One of the recurrences over states side by side. `run` takes the segment.
struct MeasuredOp {
  const char* name;
  int64_t state_floats;  // of a session
  double operations;     // of a token
  std::function<void(kernels::Device&, const kernels::Segment&, const kernels::StateField&)> run;
};

// Inputs of all ops: numbers around zero, of which each takes as many as it has operands.
class Inputs {
 public:
  Inputs() : values_(static_cast<size_t>(kOperands * kPrompt * kWidth)) {
    uint32_t state = 1;
    for (float& value : values_) {
      state = state * 1664525 + 1013904223;
      value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
    }
  }
  const float* operand(int i) const { return values_.data() + i * kPrompt * kWidth; }

 private:
  static constexpr int64_t kOperands = 14;
  std::vector<float> values_;
};

template <typename Params>
Params Common(const kernels::Segment& segment, const kernels::StateField& state,
              const Inputs& inputs, std::vector<float>& y) {
  Params params;
  params.segments = &segment;
  params.segment_count = 1;
  params.rows = segment.length;
  params.r = inputs.operand(0);
  params.k = inputs.operand(1);
  params.v = inputs.operand(2);
  params.x_stride = params.y_stride = kWidth;
  params.state = state;
  params.y = y.data();
  return params;
}

MeasuredOp Wkv4Op(const Inputs& inputs, std::vector<float>& y) {
  return {"wkv4", 3 * kWidth, kWkv4Operations * kWidth,
          [&](kernels::Device& device, const kernels::Segment& segment,
              const kernels::StateField& state) {
            auto params = Common<kernels::Wkv4Params>(segment, state, inputs, y);
            params.channels = kWidth;
            params.decay = params.bonus = inputs.operand(3);
            device.Wkv4(params);
          }};
}

MeasuredOp Wkv6Op(const Inputs& inputs, std::vector<float>& y) {
  return {"wkv6", kWidth * kHeadDim, 3.0 * kWidth * kHeadDim,
          [&](kernels::Device& device, const kernels::Segment& segment,
              const kernels::StateField& state) {
            auto params = Common<kernels::Wkv6Params>(segment, state, inputs, y);
            params.heads = kHeads;
            params.head_dim = kHeadDim;
            params.decay = params.bonus = inputs.operand(3);
            params.decay_row = inputs.operand(4);
            params.decay_stride = kWidth;
            device.Wkv6(params);
          }};
}

MeasuredOp Wkv7Op(const Inputs& inputs, std::vector<float>& y) {
  return {"wkv7", kWidth * kHeadDim, 5.0 * kWidth * kHeadDim,
          [&](kernels::Device& device, const kernels::Segment& segment,
              const kernels::StateField& state) {
            auto params = Common<kernels::Wkv7Params>(segment, state, inputs, y);
            params.heads = kHeads;
            params.head_dim = kHeadDim;
            params.w_raw = inputs.operand(3);
            params.a_raw = inputs.operand(4);
            params.g = inputs.operand(5);
            params.v_gate = inputs.operand(6);
            params.v_first = inputs.operand(7);
            params.k_k = inputs.operand(8);
            params.k_a = inputs.operand(9);
            params.r_k = inputs.operand(10);
            params.norm_weight = inputs.operand(11);
            params.norm_bias = inputs.operand(12);
            params.norm_eps = 64e-5f;
            device.Wkv7(params);
          }};
}

// The least seconds of a run, over sessions in turn, so that each finds its state out of the
// caches.
class Sessions {
 public:
  Sessions(kernels::Device& device, int64_t bytes)
      : device_(device), slab_(device.Allocate(static_cast<size_t>(bytes))) {}

  explicit operator bool() const { return static_cast<bool>(slab_); }

  double SecondsOf(const MeasuredOp& op, int64_t tokens) {
    const size_t state_bytes = static_cast<size_t>(op.state_floats) * sizeof(float);
    device_.Zero(slab_.data(), slab_.bytes());
    const kernels::StateField state = {slab_.data(), state_bytes, 0};
    const auto sessions = static_cast<int32_t>(slab_.bytes() / state_bytes);
    const double begin = Seconds();
    double now = begin;
    int64_t runs = 0;
    for (; now - begin < kMeasuredSeconds; now = Seconds()) {
      for (int64_t i = 0; i < kPrompt / tokens; ++i, ++runs) {
        const auto slot = static_cast<int32_t>(runs % sessions);
        op.run(device_, {0, static_cast<int32_t>(tokens), slot, slot, 1}, state);
      }
    }
    return (now - begin) / static_cast<double>(runs);
  }

 private:
  kernels::Device& device_;
  const kernels::Buffer slab_;
};

OpFigures FiguresOf(const MeasuredOp& op, int64_t tokens, double seconds) {
  OpFigures figures;
  figures.op = op.name;
  figures.tokens = tokens;
  figures.microseconds = seconds * 1e6;
  figures.gb_s = 2e-9 * static_cast<double>(op.state_floats) * sizeof(float) / seconds;
  figures.gflop_s = 2e-9 * op.operations * static_cast<double>(tokens) / seconds;
  return figures;
}

}  // namespace

std::vector<OpFigures> MeasureOps(const OpsOptions& options, const MachineProbe& probe) {
  const auto device = kernels::MakeCpuDevice({options.isa, options.threads});
  Sessions sessions(*device, probe.megabytes() << 20);
  std::vector<OpFigures> all;
  if (!sessions) return all;
  const Inputs inputs;
  std::vector<float> y(static_cast<size_t>(kPrompt * kWidth));
  for (const MeasuredOp& op : {Wkv4Op(inputs, y), Wkv6Op(inputs, y), Wkv7Op(inputs, y)}) {
    for (const int64_t tokens : {int64_t{1}, kPrompt}) {
      OpFigures& best = all.emplace_back(FiguresOf(op, tokens, sessions.SecondsOf(op, tokens)));
      for (int repeat = 0; repeat < options.repeats; ++repeat) {
        best.read_gb_s =
            std::max(best.read_gb_s, probe.ReadGbPerSecond(options.threads, kProbeSeconds));
        best.fma_gflop_s = std::max(
            best.fma_gflop_s, probe.GopPerSecond(Arithmetic::kFma, options.threads, kProbeSeconds));
        const OpFigures again = FiguresOf(op, tokens, sessions.SecondsOf(op, tokens));
        best.microseconds = std::min(best.microseconds, again.microseconds);
        best.gb_s = std::max(best.gb_s, again.gb_s);
        best.gflop_s = std::max(best.gflop_s, again.gflop_s);
      }
    }
  }
  return all;
}

std::string ToJson(const std::vector<OpFigures>& figures) {
  const auto one = [](std::string* out, const OpFigures& f) {
    absl::StrAppendFormat(out,
                          R"({"op":"%s","tokens":%d,"us":%.2f,"gb_s":%.2f,"read_gb_s":%.2f,)"
                          R"("gflop_s":%.2f,"fma_gflop_s":%.2f})",
                          f.op, f.tokens, f.microseconds, f.gb_s, f.read_gb_s, f.gflop_s,
                          f.fma_gflop_s);
  };
  return "[" + absl::StrJoin(figures, ",", one) + "]";
}

std::string ToText(const std::vector<OpFigures>& figures) {
  std::string text;
  for (const OpFigures& f : figures) {
    absl::StrAppendFormat(&text,
                          "%-5s %3d tokens  %8.1f us  %6.1f GB/s (%3.0f%% of a read)  %6.1f "
                          "GFLOP/s (%3.0f%% of FMA)\n",
                          f.op, f.tokens, f.microseconds, f.gb_s, 100 * f.gb_s / f.read_gb_s,
                          f.gflop_s, 100 * f.gflop_s / f.fma_gflop_s);
  }
  return text;
}

}  // namespace ssmd::bench
