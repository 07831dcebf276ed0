#include "tests/bench/overload_bench.h"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "tests/bench/measured_turn.h"

namespace ssmd::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kConnections = 4;
// Of what the daemon can do when it is never idle: arrivals at which it is looked at.
constexpr double kRamp[] = {0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.25};

SteadyClock::duration SecondsOf(double seconds) {
  return std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds));
}

// All threads of this process, and those that they start, onto the last of its CPUs.
void StayOnOneCpu() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &allowed)) --last;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return;
  while (const dirent* task = readdir(tasks)) {
    const int id = std::atoi(task->d_name);
    if (id > 0) sched_setaffinity(id, sizeof(one), &one);
  }
  closedir(tasks);
}

class OverloadBench {
 public:
  OverloadBench(const OverloadOptions& options, ServerUnderTest* server)
      : options_(options), server_(*server), calls_(server->address(), kConnections) {}

  absl::StatusOr<OverloadFigures> Run();

 private:
  struct Moment {
    SteadyClock::time_point time;
    absl::StatusOr<std::string> metrics;
  };
  Moment Look() const { return {SteadyClock::now(), server_.Metrics()}; }
  void StartCall();
  absl::StatusOr<LoadFigures> Difference(double rate, const Moment& from, const Moment& to);
  // As many calls under way as the daemon runs and half of those that may wait, all the time.
  absl::StatusOr<LoadFigures> Saturate();
  absl::StatusOr<LoadFigures> Arrive(double rate);

  const OverloadOptions options_;
  ServerUnderTest& server_;
  AsyncCalls calls_;
  std::atomic<uint32_t> next_prompt_ = 0;
  std::mt19937_64 random_{1};
};

void OverloadBench::StartCall() {
  const uint32_t number = next_prompt_.fetch_add(1);
  calls_.Start(
      TurnRequest("", AnyTokens(options_.prompt_tokens, server_.model().vocabulary_size(), number),
                  options_.answer_tokens));
}

absl::StatusOr<LoadFigures> OverloadBench::Difference(double rate, const Moment& from,
                                                      const Moment& to) {
  SSMD_RETURN_IF_ERROR(from.metrics.status());
  SSMD_RETURN_IF_ERROR(to.metrics.status());
  const auto served = [](const std::string& metrics) {
    return MetricsSum(metrics, "ssmd_requests_total", "outcome=\"ok\"");
  };
  const auto histogram = [&](const char* name) {
    return MetricsHistogramOf(*to.metrics, name).Since(MetricsHistogramOf(*from.metrics, name));
  };
  LoadFigures figures;
  figures.rate = rate;
  figures.seconds = std::chrono::duration<double>(to.time - from.time).count();
  figures.served = served(*to.metrics) - served(*from.metrics);
  figures.inter_token = histogram("ssmd_inter_token_latency_seconds");
  figures.first_token = histogram("ssmd_time_to_first_token_seconds");
  figures.calls = calls_.TakeReport();
  return figures;
}

absl::StatusOr<LoadFigures> OverloadBench::Saturate() {
  std::atomic<bool> more = true;
  calls_.SetOnEnd([&] {
    if (more) StartCall();
  });
  for (int i = 0; i < options_.running + options_.waiting / 2; ++i) StartCall();
  std::this_thread::sleep_for(SecondsOf(options_.warm_up_s));
  calls_.TakeReport();
  const Moment from = Look();
  std::this_thread::sleep_for(SecondsOf(options_.seconds));
  auto figures = Difference(0, from, Look());
  more = false;
  calls_.WaitForAll();
  calls_.SetOnEnd(nullptr);
  calls_.TakeReport();
  return figures;
}

absl::StatusOr<LoadFigures> OverloadBench::Arrive(double rate) {
  std::exponential_distribution<double> gap_s(rate);
  const auto begin = SteadyClock::now();
  const auto measured = begin + SecondsOf(options_.warm_up_s);
  const auto end = measured + SecondsOf(options_.seconds);
  std::optional<Moment> from;
  std::thread looker;  // beside the arrivals, which do not wait for the answer
  auto due = begin;
  while (due < end) {
    std::this_thread::sleep_until(due);
    if (!looker.joinable() && due >= measured) {
      calls_.TakeReport();
      looker = std::thread([&] { from = Look(); });
    }
    StartCall();
    due += SecondsOf(gap_s(random_));
  }
  if (looker.joinable()) looker.join();
  absl::StatusOr<LoadFigures> figures =
      from.has_value() ? Difference(rate, *from, Look())
                       : absl::InvalidArgumentError("nothing arrived in the time: raise --seconds");
  calls_.WaitForAll();
  calls_.TakeReport();
  return figures;
}

absl::StatusOr<OverloadFigures> OverloadBench::Run() {
  SSMD_ASSIGN_OR_RETURN(const LoadFigures saturated, Saturate());
  if (saturated.served == 0) {
    return absl::InvalidArgumentError("nothing was served in the time: raise --seconds");
  }
  const double capacity = saturated.served / saturated.seconds;
  OverloadFigures figures;
  for (const double part : kRamp) {
    SSMD_ASSIGN_OR_RETURN(LoadFigures rung, Arrive(part * capacity));
    figures.ramp.push_back(std::move(rung));
  }
  const auto peak = std::max_element(
      figures.ramp.begin(), figures.ramp.end(),
      [](const auto& a, const auto& b) { return a.served / a.seconds < b.served / b.seconds; });
  for (int pair = 0; pair < options_.pairs; ++pair) {
    SSMD_ASSIGN_OR_RETURN(const LoadFigures at_peak, Arrive(peak->rate));
    figures.peak.Merge(at_peak);
    SSMD_ASSIGN_OR_RETURN(const LoadFigures above, Arrive(options_.factor * peak->rate));
    figures.overload.Merge(above);
  }
  return figures;
}

template <typename T>
void Append(std::vector<T>* to, const std::vector<T>& from) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

void LoadFigures::Merge(const LoadFigures& other) {
  rate = other.rate;
  seconds += other.seconds;
  served += other.served;
  inter_token.Merge(other.inter_token);
  first_token.Merge(other.first_token);
  calls.started += other.calls.started;
  calls.succeeded += other.calls.succeeded;
  calls.tokens += other.calls.tokens;
  for (const auto& [code, count] : other.calls.errors) calls.errors[code] += count;
  Append(&calls.first_token_ms, other.calls.first_token_ms);
  Append(&calls.inter_token_ms, other.calls.inter_token_ms);
  Append(&calls.refused_ms, other.calls.refused_ms);
}

double TokensPerSecond(const OverloadOptions& options, const LoadFigures& figures) {
  return figures.served * options.answer_tokens / figures.seconds;
}

absl::StatusOr<OverloadFigures> MeasureOverload(const OverloadOptions& options,
                                                ServerUnderTest* server) {
  SSMD_RETURN_IF_ERROR(
      server->Start({"--max-running", absl::StrCat(options.running), "--max-waiting",
                     absl::StrCat(options.waiting), "--state-slots",
                     absl::StrCat(options.running + 1), "--prefix-cache-bytes", "0"}));
  StayOnOneCpu();  // after the daemon's start, which would inherit it
  return OverloadBench(options, server).Run();
}

}  // namespace ssmd::bench
