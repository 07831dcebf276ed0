// The random numbers of the GPU have the bits of kernels/random.h.
#include "kernels/cuda/random.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/ops.h"
#include "kernels/random.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::kernels::cuda {
namespace {

using RandomOnGpu = simt::GpuTest;

struct Gumbels {
  static constexpr char kName[] = "gumbels";
  static constexpr int kThreads = 256;
  struct Args {
    DrawKey key;
    int32_t first;
    double* out;  // (blocks · threads)
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t i = block.x() * block.threads() + block.thread();
    args.out[i] = GumbelOf(WordsOf(args.key, args.first + static_cast<int32_t>(i)));
  }
};

struct Logarithms {
  static constexpr char kName[] = "logarithms";
  static constexpr int kThreads = 256;
  struct Args {
    const double* in;
    double* out;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t i = block.x() * block.threads() + block.thread();
    args.out[i] = Log(args.in[i]);
  }
};

TEST_F(RandomOnGpu, GumbelNumbersHaveTheSameBits) {
  constexpr int64_t kTokens = 1024;
  const auto out = Allocate<double>(kTokens);
  std::mt19937_64 engine(3);
  for (int round = 0; round < 60; ++round) {
    const DrawKey key = {engine(), static_cast<uint32_t>(engine()), engine()};
    const auto first = static_cast<int32_t>(engine() % kMaxVocabulary);
    Launch<Gumbels>(stream(), {kTokens / Gumbels::kThreads}, Gumbels::kThreads,
                    {key, first, out.get()});
    const std::vector<double> ours = Download(out.get(), kTokens);
    for (int32_t i = 0; i < kTokens; ++i) {
      ASSERT_EQ(std::bit_cast<uint64_t>(ours[static_cast<size_t>(i)]),
                std::bit_cast<uint64_t>(Gumbel(key, first + i)))
          << "seed " << key.seed << ", token " << first + i;
    }
  }
}

TEST_F(RandomOnGpu, LogarithmsHaveTheSameBits) {
  std::vector<double> in = {0x1p-1022,   0x1p-53, 0x1p-52,     0.5,  0.70710678, 0.70710679,
                            1 - 0x1p-53, 1.0,     1 + 0x1p-52, 36.7, 1e300,      300000};
  std::mt19937_64 engine(4);
  while (in.size() < 8192) {
    const double x = std::bit_cast<double>(engine() >> 1);
    if (std::isnormal(x)) in.push_back(x);
  }
  const auto from = Upload(in);
  const auto to = Allocate<double>(in.size());
  Launch<Logarithms>(stream(), {static_cast<int64_t>(in.size()) / Logarithms::kThreads},
                     Logarithms::kThreads, {from.get(), to.get()});
  const std::vector<double> out = Download(to.get(), in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint64_t>(out[i]), std::bit_cast<uint64_t>(kernels::Log(in[i])))
        << in[i];
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
