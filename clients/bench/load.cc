#include "clients/bench/load.h"

#include <atomic>
#include <optional>
#include <thread>

namespace ssmd::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double Milliseconds(SteadyClock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Hands out the requests: which number, and when it is due.
class Schedule {
 public:
  Schedule(const LoadOptions& options, SteadyClock::time_point start)
      : start_(start),
        end_(start + options.duration),
        rate_(options.rate),
        limit_(options.requests) {}

  struct Ticket {
    int64_t number = 0;
    SteadyClock::time_point due;
  };

  // Nothing once the load is over. In an open loop, waits until the request is due.
  std::optional<Ticket> Next() {
    const int64_t number = next_.fetch_add(1);
    if (limit_ > 0 && number >= limit_) return std::nullopt;
    if (rate_ <= 0) {
      const auto now = SteadyClock::now();
      if (now >= end_) return std::nullopt;
      return Ticket{number, now};
    }
    const auto offset = std::chrono::duration<double>(static_cast<double>(number) / rate_);
    const auto due = start_ + std::chrono::duration_cast<SteadyClock::duration>(offset);
    if (due >= end_) return std::nullopt;
    std::this_thread::sleep_until(due);
    return Ticket{number, due};
  }

 private:
  const SteadyClock::time_point start_;
  const SteadyClock::time_point end_;
  const double rate_;
  const int64_t limit_;
  std::atomic<int64_t> next_ = 0;
};

// One request, measured from `due`.
void RunOne(client::Client* client, const LoadOptions& options, const Schedule::Ticket& ticket,
            LoadReport* report) {
  v1::GenerateRequest request = options.request;
  if (request.sampling().has_seed()) {
    const uint64_t seed = request.sampling().seed() + static_cast<uint64_t>(ticket.number);
    request.mutable_sampling()->set_seed(seed);
  }
  SteadyClock::time_point last;
  bool any = false;
  const auto error = client->Generate(request, options.call, [&](const auto& event) {
    if (event.has_final()) {
      report->prompt_tokens += event.final().usage().prompt_tokens();
      report->generated_tokens += event.final().usage().generated_tokens();
    }
    if (!event.has_delta() || event.delta().echo() || event.delta().token_ids().empty()) return;
    const auto now = SteadyClock::now();
    const int tokens = event.delta().token_ids_size();
    if (!any) report->first_token_ms.push_back(Milliseconds(now - ticket.due));
    // A message may bring several tokens: they shared the wait for it.
    for (int i = any ? 0 : 1; i < tokens; ++i) {
      report->inter_token_ms.push_back(any ? Milliseconds(now - last) / tokens : 0);
    }
    any = true;
    last = now;
  });
  if (error.has_value()) {
    ++report->errors[client::CodeName(error->code)];
    return;
  }
  ++report->succeeded;
  report->total_ms.push_back(Milliseconds(SteadyClock::now() - ticket.due));
}

template <typename T>
void Append(std::vector<T>* to, const std::vector<T>& from) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

void LoadReport::Merge(const LoadReport& other) {
  succeeded += other.succeeded;
  for (const auto& [code, count] : other.errors) errors[code] += count;
  prompt_tokens += other.prompt_tokens;
  generated_tokens += other.generated_tokens;
  Append(&first_token_ms, other.first_token_ms);
  Append(&inter_token_ms, other.inter_token_ms);
  Append(&total_ms, other.total_ms);
}

LoadReport RunLoad(client::Client* client, const LoadOptions& options) {
  const auto start = SteadyClock::now();
  Schedule schedule(options, start);
  std::vector<LoadReport> reports(static_cast<size_t>(options.streams));
  std::vector<std::thread> threads;
  threads.reserve(reports.size());
  for (LoadReport& report : reports) {
    threads.emplace_back([&, client] {
      while (const auto ticket = schedule.Next()) RunOne(client, options, *ticket, &report);
    });
  }
  for (std::thread& thread : threads) thread.join();

  LoadReport total;
  for (const LoadReport& report : reports) total.Merge(report);
  total.seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  return total;
}

}  // namespace ssmd::bench
