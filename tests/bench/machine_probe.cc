#include "tests/bench/machine_probe.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "kernels/cpu/affinity.h"
#include "kernels/host_memory.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

// About a millisecond of work: what a thread does between looks at the clock.
constexpr int64_t kIterations = 500'000;
constexpr int64_t kWords = int64_t{1} << 21;

// Keeps results that nobody wants from being optimised away.
std::atomic<uint64_t> sink{0};

// Work a second of `threads` threads, each on one of `cpus` in turn (two that start together are
// otherwise on the same for some time, now and then), that start together and each call `work(part,
// turn)` for turn 0, 1, … until `seconds` have passed; a call returns how much it did.
template <typename Work>
double Rate(const std::vector<int>& cpus, int threads, double seconds, const Work& work) {
  struct alignas(64) Share {
    double begin, end, done;
  };
  std::vector<Share> shares(static_cast<size_t>(threads));
  std::atomic<int> ready{0};
  std::vector<std::thread> running;
  running.reserve(shares.size());
  for (int part = 0; part < threads; ++part) {
    running.emplace_back([&, part] {
      Share& share = shares[static_cast<size_t>(part)];
      kernels::cpu::PinThisThread(cpus[static_cast<size_t>(part) % cpus.size()]);
      ++ready;
      while (ready.load() < threads) std::this_thread::yield();
      share.begin = share.end = Seconds();
      share.done = 0;
      for (int64_t turn = 0; share.end - share.begin < seconds; ++turn) {
        share.done += work(part, turn);
        share.end = Seconds();
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  Share all = shares[0];
  for (size_t i = 1; i < shares.size(); ++i) {
    all.begin = std::min(all.begin, shares[i].begin);
    all.end = std::max(all.end, shares[i].end);
    all.done += shares[i].done;
  }
  return all.done / (all.end - all.begin);
}

int64_t DefaultMegabytes() {
  const int64_t last_cache = std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::max(int64_t{1024}, 2 * (last_cache >> 20));
}

}  // namespace

MachineProbe::MachineProbe(kernels::Isa isa, int64_t megabytes)
    : isa_(isa),
      cpus_(kernels::cpu::AllowedCpus()),
      buffer_(kernels::AllocateHost(
          static_cast<size_t>(megabytes > 0 ? megabytes : DefaultMegabytes()) << 20)) {}

double MachineProbe::ReadGbPerSecond(int threads, double seconds) const {
  if (!buffer_) return 0;
  const auto* words = buffer_.as<const uint64_t>();
  const int64_t share = static_cast<int64_t>(buffer_.bytes() / 8) / threads / kReadUnit * kReadUnit;
  const int64_t piece = std::min(share, kWords);
  const int64_t pieces = share / piece;
  return 8e-9 * Rate(cpus_, threads, seconds, [&](int part, int64_t turn) {
           sink += ReadAll(isa_, words + part * share + turn % pieces * piece, piece);
           return static_cast<double>(piece);
         });
}

double MachineProbe::GopPerSecond(Arithmetic arithmetic, int threads, double seconds) const {
  const auto ops = static_cast<double>(OpsPerIteration(arithmetic, isa_) * kIterations);
  return 1e-9 * Rate(cpus_, threads, seconds, [&](int, int64_t) {
           const double digest = MultiplyAdd(arithmetic, isa_, kIterations);
           sink += static_cast<uint64_t>(static_cast<int64_t>(digest));
           return ops;
         });
}

}  // namespace ssmd::bench
