// Load on a server: N clients that each wait for their answer before they ask again (closed loop),
// or arrivals whatever the answers do (open loop), with what the clients saw.
//
// In an open loop a request's times count from when it was due, not from when a client was free to
// send it, so that a slow server cannot hide by slowing its clients (Gil Tene's "coordinated
// omission"). A client's later turns are due when it has thought about the answer before.
//
// Everything here happens on the timeline's thread.
#ifndef SSMD_CLIENTS_BENCH_LOAD_H_
#define SSMD_CLIENTS_BENCH_LOAD_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "clients/bench/arrivals.h"
#include "clients/bench/endpoint.h"
#include "clients/bench/samples.h"
#include "clients/bench/timeline.h"
#include "clients/bench/workload.h"

namespace ssmd::bench {

// What a request must keep to count as good; what is absent is not asked.
struct Objectives {
  std::optional<double> first_token_ms;
  std::optional<double> inter_token_ms;  // of the 99th percentile of its gaps

  bool any() const { return first_token_ms.has_value() || inter_token_ms.has_value(); }
};

struct LoadOptions {
  int streams = 1;  // clients; in an open loop, the most requests in flight
  double rate = 0;  // arrivals of conversations a second; 0: closed loop
  Arrivals::Kind arrivals = Arrivals::Kind::kFixed;
  Duration warm_up{};  // what is due in it is asked and not counted
  Duration duration = std::chrono::seconds(10);
  int64_t requests = 0;  // stop after so many that count; 0: by duration alone
  uint64_t seed = 1;     // of the arrivals
  int64_t first_conversation = 0;
  Objectives objectives;
};

// What the clients saw. Times are in milliseconds.
struct LoadReport {
  double seconds = 0;
  int64_t succeeded = 0;
  std::map<std::string, int64_t> errors;              // by code
  std::map<std::string, std::string> error_messages;  // the first of each
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t good = 0;  // kept the objectives
  Samples first_token_ms;
  Samples inter_token_ms;  // between the messages that brought tokens, by token
  Samples total_ms;
  Samples send_delay_ms;                     // from due to sent
  std::vector<Samples> first_token_by_turn;  // the first turns of conversations, the second, …

  int64_t failed() const;
  double PerSecond(double count) const { return seconds > 0 ? count / seconds : 0; }
  double requests_per_s() const { return PerSecond(static_cast<double>(succeeded)); }
  double tokens_per_s() const { return PerSecond(static_cast<double>(generated_tokens)); }
  // Of all requests, failed ones too.
  double good_share() const;
  void Add(int turn, TimePoint due, const TurnResult& result, const Objectives& objectives);
  void Merge(const LoadReport& other);
};

class Load {
 public:
  // The first three outlive it. `done` is called once, when the last answer has come and the last
  // conversation is given up.
  Load(Timeline* timeline, Endpoint* endpoint, const Workload* workload, const LoadOptions& options,
       std::function<void()> done);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Start();
  // Sends no more; what is under way is waited for.
  void Stop();

  const LoadReport& report() const { return report_; }
  int in_flight() const { return in_flight_; }
  size_t waiting() const { return waiting_.size(); }  // due, for want of a free stream
  int64_t next_conversation() const { return next_conversation_; }

 private:
  struct Talk;
  void ScheduleArrival();
  void Begin(TimePoint due);
  void ScheduleTurn(const std::shared_ptr<Talk>& talk, TimePoint due);
  void OnDue(const std::shared_ptr<Talk>& talk);
  void Send(const std::shared_ptr<Talk>& talk);
  void OnEnd(const std::shared_ptr<Talk>& talk, const TurnResult& result);
  void Close(const std::shared_ptr<Talk>& talk);
  void FinishIfOver();
  bool Counts(TimePoint due) const { return due >= count_from_; }
  bool Over() const;
  // `action`, at that time, if this still lives then.
  void At(TimePoint time, std::function<void()> action);

  Timeline* const timeline_;
  Endpoint* const endpoint_;
  const Workload* const workload_;
  const LoadOptions options_;
  const std::function<void()> done_;
  std::optional<Arrivals> arrivals_;
  TimePoint start_;
  TimePoint count_from_;
  TimePoint end_;
  TimePoint last_end_;
  std::unordered_set<std::shared_ptr<Talk>> talks_;
  std::deque<std::shared_ptr<Talk>> waiting_;
  LoadReport report_;
  int64_t next_conversation_;
  int64_t counted_ = 0;  // requests that count and were due
  int in_flight_ = 0;
  bool arrivals_over_ = false;
  bool stopped_ = false;
  bool finished_ = false;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // only to be looked whether
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_LOAD_H_
