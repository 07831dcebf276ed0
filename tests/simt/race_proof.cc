// Run by ctest one at a time, with the exit status that is due (CMakeLists.txt).
#include <numeric>
#include <vector>

#include "tests/simt/gpu_fixture.h"
#include "tests/simt/race_kernel.h"

namespace ssmd::simt {
namespace {

using RaceProof = GpuTest;

std::vector<float> Ascending(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST_F(RaceProof, CleanWithItsBarrier) {
  const auto from = Upload(Ascending(256));
  const auto to = Allocate<float>(256);
  Reverse(stream(), to.get(), from.get(), 256, true);
  EXPECT_EQ(Download(to.get(), 256)[0], 255);
}

TEST_F(RaceProof, ReportedWithoutIt) {
  const auto from = Upload(Ascending(256));
  const auto to = Allocate<float>(256);
  Reverse(stream(), to.get(), from.get(), 256, false);
  stream().Synchronize();
}

}  // namespace
}  // namespace ssmd::simt
