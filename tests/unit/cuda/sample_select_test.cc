// What a block selects by mass is what cpu/ selects, to the last tie.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/radix_select.h"
#include "kernels/cpu/score_filters.h"
#include "kernels/cuda/draw_select.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

struct SelectByMass {
  static constexpr char kName[] = "select_by_mass";
  static constexpr int kThreads = 128;
  using Shared = SelectShared;
  struct Args {
    const float* scores;
    int32_t count;
    float top_p;
    Cut* cut;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Cut cut =
        SelectFirst(block, block.shared<Shared>(), {0, args.count}, args.scores, Cut(), ScoreKey,
                    MassOfKey, [&](uint64_t total) { return WantedMass(args.top_p, total); });
    if (block.thread() == 0) *args.cut = cut;
  }
};

class SampleSelect : public simt::GpuTest {
 protected:
  void ExpectAsOnCpu(const Tensor& scores, float top_p) {
    const auto count = static_cast<int64_t>(scores.size());
    const auto on_gpu = Upload(scores);
    const auto to = Allocate<Cut>(1);
    Launch<SelectByMass>(stream(), {1}, SelectByMass::kThreads,
                         {on_gpu.get(), static_cast<int32_t>(count), top_p, to.get()});
    const Cut cut = Download(to.get(), 1)[0];

    Tensor masses(scores.size());
    const uint64_t total =
        cpu::ComputeMasses(cpu::KernelsFor(Isa::kScalar), scores.data(), count, masses.data());
    const cpu::Cut expected = cpu::SelectLargest(
        scores.data(), count, cpu::WantedMass(top_p, total),
        [&](int64_t i) { return static_cast<uint64_t>(masses[static_cast<size_t>(i)]); });
    int64_t ties = 0;
    for (int32_t id = 0; id < count; ++id) {
      if (cpu::ScoreKey(scores[static_cast<size_t>(id)]) == cut.key && id <= cut.last_id) ++ties;
    }
    EXPECT_EQ(cut.key, expected.key) << count << " scores, top_p " << top_p;
    EXPECT_EQ(ties, expected.ties) << count << " scores, top_p " << top_p;
  }
};

TEST_F(SampleSelect, IsThatOfCpu) {
  for (int64_t count : {1, 40, 900, 3000}) {
    for (float depth : {0.01f, 3.0f, 20.0f, 200.0f}) {
      for (float top_p : {0.0f, 0.1f, 0.5f, 0.9f, 0.999f}) {
        Tensor scores = RandomTensor(count, static_cast<uint32_t>(count), -depth, 0);
        scores[static_cast<size_t>(count / 2)] = 0;
        ExpectAsOnCpu(scores, top_p);
        for (float& score : scores) score = std::round(score);
        ExpectAsOnCpu(scores, top_p);
      }
    }
  }
}

// Equal masses, and a share that is a whole number of them, or just not.
TEST_F(SampleSelect, EndsExactlyWhereTheMassIsReached) {
  for (int64_t count : {2, 4, 64, 1024}) {
    const Tensor scores(static_cast<size_t>(count), -0.0f);
    for (float top_p : {0.25f, 0.5f, 0.75f}) {
      ExpectAsOnCpu(scores, top_p);
      ExpectAsOnCpu(scores, std::nextafter(top_p, 0.0f));
      ExpectAsOnCpu(scores, std::nextafter(top_p, 1.0f));
    }
  }
}

struct WantedMasses {
  static constexpr char kName[] = "wanted_masses";
  static constexpr int kThreads = 256;
  struct Args {
    const float* top_p;
    const uint64_t* totals;
    uint64_t* out;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int i = block.thread();
    args.out[i] = WantedMass(args.top_p[i], args.totals[i]);
  }
};

TEST_F(SampleSelect, WantedMassesAreThoseOfCpu) {
  constexpr size_t kCount = WantedMasses::kThreads;
  Tensor top_p = RandomTensor(kCount, 8, 0, 1);
  top_p[0] = 0;
  std::vector<uint64_t> totals;
  for (size_t i = 0; i < kCount; ++i) totals.push_back((uint64_t{1} << i % 63) + i * i);
  const auto p_on_gpu = Upload(top_p);
  const auto totals_on_gpu = Upload(totals);
  const auto to = Allocate<uint64_t>(kCount);
  Launch<WantedMasses>(stream(), {1}, kCount, {p_on_gpu.get(), totals_on_gpu.get(), to.get()});
  const std::vector<uint64_t> wanted = Download(to.get(), kCount);
  for (size_t i = 0; i < kCount; ++i) EXPECT_EQ(wanted[i], cpu::WantedMass(top_p[i], totals[i]));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
