// A server under load, whatever it speaks. Everything here happens on the load's thread.
#ifndef SSMD_CLIENTS_BENCH_ENDPOINT_H_
#define SSMD_CLIENTS_BENCH_ENDPOINT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clients/bench/timeline.h"
#include "clients/bench/workload.h"

namespace ssmd::bench {

// What a turn asks beside its plan, whatever it is sent over.
struct AskOptions {
  std::string model;  // may be empty where one is served
  float temperature = 1;
  bool ignore_eos = true;  // answers as long as they may be
  bool chat = false;       // messages, and not text
  std::optional<std::chrono::milliseconds> timeout;
};

// What became of a turn, as the client saw it.
struct TurnResult {
  std::string error;    // a code for counting; empty: it succeeded
  std::string message;  // what the server said of it
  std::optional<TimePoint> first_token;
  TimePoint end;
  // Between messages that brought tokens, one for each token after the first. Tokens that came in
  // one message have shared the wait for it.
  std::vector<double> gaps_ms;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
};

// Collects a turn's times as its tokens come.
class TokenTimes {
 public:
  void Note(TimePoint now, int tokens) {
    if (!result_.first_token.has_value()) {
      result_.first_token = now;
      // Those that came with the first were not waited for.
      result_.gaps_ms.insert(result_.gaps_ms.end(), static_cast<size_t>(tokens - 1), 0.0);
    } else {
      const double gap = MillisecondsOf(now - last_) / tokens;
      result_.gaps_ms.insert(result_.gaps_ms.end(), static_cast<size_t>(tokens), gap);
    }
    last_ = now;
    tokens_ += tokens;
  }
  int64_t tokens() const { return tokens_; }
  TurnResult& result() { return result_; }

 private:
  TurnResult result_;
  TimePoint last_;
  int64_t tokens_ = 0;
};

// One conversation with a server, which keeps what was said (or has it sent again). One turn at a
// time.
class Dialogue {
 public:
  virtual ~Dialogue() = default;
  // `done` is called once, and not before this returns.
  virtual void Run(const PlannedTurn& turn, std::function<void(TurnResult)> done) = 0;
  // Gives up what the server keeps of it. The dialogue lives until `done`, which may come at once.
  virtual void Close(std::function<void()> done) = 0;
};

class Endpoint {
 public:
  virtual ~Endpoint() = default;
  // For a conversation of so many turns.
  virtual std::unique_ptr<Dialogue> Open(const std::string& system, size_t turns) = 0;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_ENDPOINT_H_
