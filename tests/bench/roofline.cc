#include "tests/bench/roofline.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "kernels/host_memory.h"
#include "tests/bench/json_text.h"
#include "tests/bench/roofline_loops.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

constexpr int64_t kFmaIterations = 20'000'000;
constexpr int64_t kWordsPerLine = 64;  // ReadAll's unit

// Best wall time of `work(part)` on `threads` threads that start together.
template <typename Work>
double BestSeconds(int threads, int repeats, const Work& work) {
  double best = 1e30;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    std::atomic<int> ready{0};
    std::vector<double> begin(static_cast<size_t>(threads)), end(static_cast<size_t>(threads));
    std::vector<std::thread> running;
    running.reserve(static_cast<size_t>(threads));
    for (int part = 0; part < threads; ++part) {
      running.emplace_back([&, part] {
        ++ready;
        while (ready.load() < threads) std::this_thread::yield();
        begin[static_cast<size_t>(part)] = Seconds();
        work(part);
        end[static_cast<size_t>(part)] = Seconds();
      });
    }
    for (std::thread& thread : running) thread.join();
    best = std::min(best, *std::max_element(end.begin(), end.end()) -
                              *std::min_element(begin.begin(), begin.end()));
  }
  return best;
}

// Keeps results that nobody wants from being optimised away.
std::atomic<uint64_t> sink{0};

double ReadGbPerSecond(const RooflineOptions& options, const kernels::Buffer& buffer, int threads) {
  const auto* words = buffer.as<const uint64_t>();
  const int64_t share =
      static_cast<int64_t>(buffer.bytes() / 8) / threads / kWordsPerLine * kWordsPerLine;
  const double seconds = BestSeconds(threads, options.repeats, [&](int part) {
    sink += ReadAll(options.isa, words + part * share, share);
  });
  return static_cast<double>(share) * 8 * threads / seconds / 1e9;
}

double FmaGflopPerSecond(const RooflineOptions& options, int threads) {
  const double seconds = BestSeconds(threads, options.repeats, [&](int) {
    sink += static_cast<uint64_t>(MultiplyAdd(options.isa, kFmaIterations));
  });
  const auto flops = static_cast<double>(FlopsPerIteration(options.isa) * kFmaIterations);
  return flops * threads / seconds / 1e9;
}

double Int8GopPerSecond(const RooflineOptions& options, int threads) {
  const double seconds = BestSeconds(threads, options.repeats, [&](int) {
    sink += static_cast<uint64_t>(MultiplyAddInt(options.isa, kFmaIterations));
  });
  const auto ops = static_cast<double>(OpsPerIntIteration(options.isa) * kFmaIterations);
  return ops * threads / seconds / 1e9;
}

int64_t DefaultMegabytes() {
  const int64_t last_cache = std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::max(int64_t{1024}, 2 * (last_cache >> 20));
}

}  // namespace

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Roofline MeasureRoofline(const RooflineOptions& options) {
  Roofline result;
  result.cpu = CpuName();
  result.cpus = kernels::MakeCpuDevice({})->threads();
  result.threads = options.threads;
  result.isa = options.isa;
  result.megabytes = options.megabytes > 0 ? options.megabytes : DefaultMegabytes();
  {
    const kernels::Buffer buffer =
        kernels::AllocateHost(static_cast<size_t>(result.megabytes) << 20);
    if (buffer) {
      result.read_gb_s_1 = ReadGbPerSecond(options, buffer, 1);
      result.read_gb_s = ReadGbPerSecond(options, buffer, options.threads);
    }
  }
  result.fma_gflop_s_1 = FmaGflopPerSecond(options, 1);
  result.fma_gflop_s = FmaGflopPerSecond(options, options.threads);
  result.int8_gop_s_1 = Int8GopPerSecond(options, 1);
  result.int8_gop_s = Int8GopPerSecond(options, options.threads);
  return result;
}

std::string ToJson(const Roofline& roofline) {
  return absl::StrFormat(
      R"({"cpu":%s,"cpus":%d,"threads":%d,"isa":"%s","buffer_mb":%d,"read_gb_s_1":%.2f,)"
      R"("read_gb_s":%.2f,"fma_gflop_s_1":%.1f,"fma_gflop_s":%.1f,"int8_gop_s_1":%.1f,)"
      R"("int8_gop_s":%.1f})",
      JsonText(roofline.cpu), roofline.cpus, roofline.threads, std::string(IsaName(roofline.isa)),
      roofline.megabytes, roofline.read_gb_s_1, roofline.read_gb_s, roofline.fma_gflop_s_1,
      roofline.fma_gflop_s, roofline.int8_gop_s_1, roofline.int8_gop_s);
}

std::string ToText(const Roofline& roofline) {
  return absl::StrFormat(
      "%s, %d CPUs, %s\n"
      "  read %6.1f GB/s on 1 thread, %6.1f on %d (buffer of %d MB)\n"
      "  FMA  %6.0f GFLOP/s on 1 thread, %6.0f on %d\n"
      "  int8 %6.0f GOP/s on 1 thread, %6.0f on %d\n",
      roofline.cpu, roofline.cpus, std::string(IsaName(roofline.isa)), roofline.read_gb_s_1,
      roofline.read_gb_s, roofline.threads, roofline.megabytes, roofline.fma_gflop_s_1,
      roofline.fma_gflop_s, roofline.threads, roofline.int8_gop_s_1, roofline.int8_gop_s,
      roofline.threads);
}

}  // namespace ssmd::bench
