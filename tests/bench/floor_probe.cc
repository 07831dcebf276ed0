#include "tests/bench/floor_probe.h"

#include <algorithm>
#include <utility>

namespace ssmd::bench {
namespace {

constexpr double kReadSeconds = 0.06;
constexpr double kArithmeticSeconds = 0.04;
constexpr double kGpuReadMs = 10;

double Reading(const Moment& moment, double bytes) { return bytes / (moment.read_gb_s * 1e9); }

double Multiplying(const Moment& moment, const Work& work) {
  if (moment.body_gop_s <= 0 || moment.head_gop_s <= 0) return 0;
  return work.body_flops / (moment.body_gop_s * 1e9) + work.head_flops / (moment.head_gop_s * 1e9);
}

class CpuFloorProbe final : public FloorProbe {
 public:
  CpuFloorProbe(const MachineProbe& probe, int threads) : probe_(probe), threads_(threads) {}

  Moment Look(const std::string& weights) const override {
    const auto peak = [&](Arithmetic arithmetic) {
      return probe_.GopPerSecond(arithmetic, threads_, kArithmeticSeconds);
    };
    Moment now;
    now.read_gb_s = probe_.ReadGbPerSecond(threads_, kReadSeconds);
    now.body_gop_s = peak(weights == "f32"    ? Arithmetic::kFma
                          : weights == "bf16" ? Arithmetic::kBf16
                          : weights == "q8"   ? Arithmetic::kInt8
                                              : Arithmetic::kInt4);
    // A model of q4 has its head in q8.
    now.head_gop_s = weights == "q4" ? peak(Arithmetic::kInt8) : now.body_gop_s;
    return now;
  }

 private:
  const MachineProbe& probe_;
  const int threads_;
};

class GpuFloorProbe final : public FloorProbe {
 public:
  GpuFloorProbe(std::unique_ptr<gpu_bench::GpuProbe> probe, const gpu_bench::Ceilings& ceilings)
      : probe_(std::move(probe)), peak_gop_s_(1e3 * ceilings.matrix_tflop_s.median) {}

  Moment Look(const std::string& /*weights*/) const override {
    return {probe_->ReadGbPerSecond(kGpuReadMs), peak_gop_s_, peak_gop_s_};
  }

 private:
  const std::unique_ptr<gpu_bench::GpuProbe> probe_;
  const double peak_gop_s_;
};

}  // namespace

double Moment::Floor(const Work& work) const {
  return std::max(Reading(*this, work.weight_bytes + work.state_bytes), Multiplying(*this, work));
}

double Moment::FloorInTurn(const Work& work) const {
  return std::max(Reading(*this, work.weight_bytes), Multiplying(*this, work)) +
         Reading(*this, work.state_bytes);
}

std::unique_ptr<FloorProbe> MakeCpuFloorProbe(const MachineProbe& probe, int threads) {
  return std::make_unique<CpuFloorProbe>(probe, threads);
}

std::unique_ptr<FloorProbe> MakeGpuFloorProbe(std::unique_ptr<gpu_bench::GpuProbe> probe,
                                              const gpu_bench::Ceilings& ceilings) {
  return std::make_unique<GpuFloorProbe>(std::move(probe), ceilings);
}

}  // namespace ssmd::bench
