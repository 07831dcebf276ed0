// Thousands of histories of a server (world.h), each made from its number and held against the
// truth at every step.
//
//   SSMD_SIM_SEEDS=5000 sim_test        the first 5,000, in batches of 100; 2,000 without it
//   SSMD_SIM_SEEDS=1234..1234 sim_test  that one again
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/sim/world.h"

namespace ssmd::sim {
namespace {

constexpr uint64_t kDefaultSeeds = 2000;
constexpr uint64_t kBatch = 100;

struct Seeds {
  uint64_t first = 1;
  uint64_t last = 0;
};

Seeds AllSeeds() {
  const char* given = std::getenv("SSMD_SIM_SEEDS");
  Seeds seeds{1, kDefaultSeeds};
  if (given == nullptr) return seeds;
  const std::pair<std::string, std::string> range = absl::StrSplit(given, absl::MaxSplits("..", 1));
  const bool read = range.second.empty() ? absl::SimpleAtoi(range.first, &seeds.last)
                                         : absl::SimpleAtoi(range.first, &seeds.first) &&
                                               absl::SimpleAtoi(range.second, &seeds.last);
  if (read && seeds.first <= seeds.last) return seeds;
  absl::FPrintF(stderr, "SSMD_SIM_SEEDS is a count or first..last, not \"%s\"\n", given);
  std::exit(2);
}

std::vector<Seeds> Batches() {
  const Seeds all = AllSeeds();
  std::vector<Seeds> batches;
  for (uint64_t first = all.first; first <= all.last; first += kBatch) {
    batches.push_back({first, std::min(first + kBatch - 1, all.last)});
  }
  return batches;
}

std::string Name(const Seeds& seeds) { return absl::StrFormat("%dto%d", seeds.first, seeds.last); }

// For a CHECK of ours, which ends the program without a word about the seed; and for a wait that
// nobody ends, as there is but one thread.
constexpr unsigned kSecondsOfASeedMax = 300;  // ten thousand times what one takes
char seed_message[64];
void SayTheSeed(int signal) {
  const bool said = write(STDERR_FILENO, seed_message, strlen(seed_message)) > 0;
  if (signal == SIGALRM || !said) std::_Exit(3);
}

uint64_t Digest(uint64_t seed) {
  absl::SNPrintF(seed_message, sizeof(seed_message), "ended in seed %d\n", seed);
  alarm(kSecondsOfASeedMax);
  SCOPED_TRACE(absl::StrFormat("seed %d (SSMD_SIM_SEEDS=%d..%d runs it alone)", seed, seed, seed));
  World world(seed);
  world.Run();
  alarm(0);
  return world.digest();
}

class SimulationTest : public ::testing::TestWithParam<Seeds> {
 protected:
  void SetUp() override {
    std::signal(SIGABRT, SayTheSeed);
    std::signal(SIGALRM, SayTheSeed);
  }
};

TEST_P(SimulationTest, EveryHistoryIsTheTruth) {
  for (uint64_t seed = GetParam().first; seed <= GetParam().last; ++seed) {
    Digest(seed);
    ASSERT_FALSE(HasFailure()) << "in seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(, SimulationTest, ::testing::ValuesIn(Batches()),
                         [](const auto& test) { return Name(test.param); });

TEST(SimulationSeedTest, GivesTheSameHistoryEachTime) {
  for (const uint64_t seed : {1u, 2u, 3u, 5u, 8u, 13u, 21u, 34u}) {
    EXPECT_EQ(Digest(seed), Digest(seed)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ssmd::sim
