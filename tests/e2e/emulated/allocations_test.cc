// Each allocation of a start fails once: the start is refused, and says what there is no memory
// for. Those that come later do no harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tests/simt/simt_control.h"
#include "tests/support/models.h"
#include "tests/support/process.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Engine>> StartEngine(const std::string& folder) {
  std::string error;
  auto device = kernels::MakeCudaDevice({}, &error);
  if (device == nullptr) return absl::ResourceExhaustedError(error);
  EngineOptions options;
  options.models.push_back({"m", folder, {}});
  options.limits.state_slots = 4;
  options.limits.token_budget = 16;
  options.models[0].load.max_rows = 16;
  return Engine::Create(std::move(device), std::move(options));
}

class EmulatedAllocationsTest : public ::testing::TestWithParam<void (*)(int64_t)> {
 protected:
  const simt::ScopedControl control_;
  const TempDir dir_;
};

TEST_P(EmulatedAllocationsTest, EachMayFail) {
  constexpr int64_t kMost = 200;
  WriteRandomMamba(dir_.File("m"), MambaShape(), 1);
  int64_t n = 1;
  for (; n < kMost; ++n) {
    GetParam()(n);
    const auto engine = StartEngine(dir_.File("m"));
    if (engine.ok()) break;
    EXPECT_TRUE(absl::IsResourceExhausted(engine.status())) << n << ": " << engine.status();
    EXPECT_THAT(engine.status().message(), HasSubstr("no memory")) << n;
  }
  EXPECT_GT(n, 2);
  EXPECT_LT(n, kMost);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EmulatedAllocationsTest,
                         ::testing::Values(&simt::FailAllocation, &simt::FailPinnedAllocation),
                         [](const auto& kind) { return kind.index == 0 ? "OfTheGpu" : "Pinned"; });

}  // namespace
}  // namespace ssmd::test
