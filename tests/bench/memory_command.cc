// `ssmd-bench memory`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/models/memory_model.h"
#include "kernels/device.h"
#include "tests/bench/commands.h"

namespace ssmd::bench {
namespace {

constexpr char kMemoryExplanation[] =
    R"(Measures what a sample costs a memory of a signal (HiPPO), by how many there were before it: the
update alone, in steps of 512 samples, without sessions and network. One channel.

Examples:
  ssmd-bench memory                                # legs, N = 64, up to a million samples
  ssmd-bench memory --basis=legt --state=32 --json)";

constexpr int kStep = 512;  // samples
constexpr int64_t kWindow = 10000;

struct MemoryFlags {
  std::string basis = "legs";
  int state = 64;
  int threads = 1;
  std::vector<int64_t> after = {1000, 10000, 100000, 1000000};
  int64_t samples = 20000;  // that are measured after each
  bool json = false;
};

struct MemoryRow {
  int64_t after = 0;
  double samples_s = 0;
};

absl::StatusOr<MemoryConfig> ConfigOf(const MemoryFlags& flags) {
  MemoryConfig config;
  config.state_size = flags.state;
  for (const MemoryBasis basis : {MemoryBasis::kLegs, MemoryBasis::kLegt, MemoryBasis::kFourier}) {
    if (flags.basis != MemoryBasisName(basis)) continue;
    config.basis = basis;
    if (basis == MemoryBasis::kFourier && flags.state % 2 == 0) {
      return absl::InvalidArgumentError("--state must be odd for fourier");
    }
    if (basis != MemoryBasis::kLegs) config.window = kWindow;
    return config;
  }
  return absl::InvalidArgumentError("--basis must be legs, legt or fourier, got " + flags.basis);
}

// A memory that has had `position` samples, and goes on in its one slot.
struct FedMemory {
  LanguageModel* model;
  StatePool* pool;
  const Slot* slot;
  int64_t position = 0;

  void FeedTo(int64_t end) {
    while (position < end) {
      Batch batch;
      const int64_t count = std::min<int64_t>(kStep, end - position);
      for (int64_t i = 0; i < count; ++i) {
        const auto sample = static_cast<float>((position + i) % 1000) * 0.001f;
        batch.token_ids.push_back(*kernels::TokenOfSample(sample));
      }
      batch.segments.push_back(
          {0, static_cast<int32_t>(count), slot->index(), slot->index(), position});
      model->Forward(batch, *pool);
      position += count;
    }
  }
};

absl::StatusOr<std::vector<MemoryRow>> MeasureMemory(const MemoryFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const MemoryConfig config, ConfigOf(flags));
  const auto device = kernels::MakeCpuDevice({std::nullopt, flags.threads, false});
  ModelLoadOptions options;
  options.max_rows = kStep;
  SSMD_ASSIGN_OR_RETURN(const auto model, MakeMemoryModel(config, options, device.get()));
  SSMD_ASSIGN_OR_RETURN(const auto pool, StatePool::Create(device.get(), model->state_layout(), 1));
  const Slot slot = pool->Acquire();
  FedMemory memory{model.get(), pool.get(), &slot};
  std::vector<MemoryRow> rows;
  for (const int64_t after : flags.after) {
    memory.FeedTo(after);
    const int64_t begin = memory.position;
    const auto start = std::chrono::steady_clock::now();
    memory.FeedTo(begin + flags.samples);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    rows.push_back({begin, static_cast<double>(flags.samples) / seconds});
  }
  return rows;
}

absl::Status RunMemory(const MemoryFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<MemoryRow> rows, MeasureMemory(flags));
  if (flags.json) {
    std::printf(R"({"bench":"memory","basis":"%s","state":%d,"threads":%d,"rows":[)",
                flags.basis.c_str(), flags.state, flags.threads);
  } else {
    std::printf("%s, N = %d, %d thread%s\n\n   after samples     samples/s\n", flags.basis.c_str(),
                flags.state, flags.threads, flags.threads == 1 ? "" : "s");
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto after = static_cast<long long>(rows[i].after);
    if (flags.json) {
      std::printf(R"(%s{"after":%lld,"samples_s":%.0f})", i == 0 ? "" : ",", after,
                  rows[i].samples_s);
    } else {
      std::printf("%16lld %13.0f\n", after, rows[i].samples_s);
    }
  }
  if (flags.json) std::printf("]}\n");
  return absl::OkStatus();
}

}  // namespace

void AddMemoryCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<MemoryFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand("memory", "Samples a second of a memory of a signal");
  command->footer(kMemoryExplanation);
  command->add_option("--basis", flags->basis, "legs, legt or fourier")->capture_default_str();
  command->add_option("--state", flags->state, "Coefficients: N")
      ->check(CLI::Range(int64_t{1}, kernels::kMaxMemoryState))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--after", flags->after,
                   "Measure after so many samples (or more, where the row before went further)")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--samples", flags->samples, "Samples measured each time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunMemory(*flags); });
}

}  // namespace ssmd::bench
