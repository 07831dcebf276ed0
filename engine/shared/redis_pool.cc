#include "engine/shared/redis_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/shared/redis_errors.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

// A verdict and, of a claim, an owner's address; of a list its summaries, which are the most.
constexpr int64_t kVerdictBytesMax = 512 << 10;
static_assert(kVerdictBytesMax > int64_t{kSharedListedMax} * (kSharedSummaryBytes + 256));

bool IsVerdict(const RedisReply& reply) { return reply.is_strings() && !reply.elements.empty(); }

}  // namespace

RedisPool::RedisPool(const Options& options)
    : options_(options),
      server_(options.address, options.bytes_per_second_min),
      breaker_(&clock_, options.retry_after),
      patient_(&server_) {
  for (int i = 0; i < options.connections; ++i) {
    idle_.push_back(std::make_unique<RedisClient>(&server_));
  }
}

absl::StatusOr<std::unique_ptr<RedisClient>> RedisPool::Take(const CircuitBreaker::Pass& pass,
                                                             TimePoint deadline) {
  const MutexLock lock(&mutex_);
  bool in_time = true;
  while (idle_.empty()) {
    SSMD_RETURN_IF_ERROR(breaker_.StillOpenTo(pass));
    if (!in_time) {
      return RedisUnavailable("has all its connections in use: allow more, or ask for less");
    }
    in_time = returned_.WaitUntil(&mutex_, deadline);
  }
  SSMD_RETURN_IF_ERROR(breaker_.StillOpenTo(pass));
  auto client = std::move(idle_.back());
  idle_.pop_back();
  return client;
}

void RedisPool::GiveBack(std::unique_ptr<RedisClient> client) {
  const MutexLock lock(&mutex_);
  idle_.push_back(std::move(client));
  // All of them: after a failure none has to wait any longer.
  returned_.NotifyAll();
}

absl::StatusOr<RedisReply> RedisPool::Judge(absl::StatusOr<RedisReply> reply, const Answer& answer,
                                            const CircuitBreaker::Pass& pass, RedisClient* client) {
  RedisError error;
  if (!reply.ok()) {
    error = {reply.status(), true};
  } else if (reply->is_error()) {
    error = UnderstandRedisError(reply->text);
  } else if (!answer.fits(*reply)) {
    error = {RedisUnavailable("answers what it should not: is it a Redis, and nothing else's?"),
             true};
  }
  if (error.of_server) {
    // Another connection may lead to another server, once a name means a new primary.
    client->Close();
    breaker_.Failed(pass, error.status);
    reachable_ = false;
  } else {
    breaker_.Succeeded(pass);
    reachable_ = true;
  }
  if (error.status.ok()) return reply;
  ++failures_;
  return error.status;
}

template <typename Exchange>
absl::StatusOr<RedisReply> RedisPool::WithClient(const Answer& answer, TimePoint deadline,
                                                 const Exchange& exchange) {
  ++calls_;
  const auto pass = breaker_.Enter(/*may_probe=*/true);
  if (!pass.ok()) {
    ++failures_;
    return pass.status();
  }
  auto client = Take(*pass, deadline);
  if (!client.ok()) {
    breaker_.Left(*pass);
    ++failures_;
    return client.status();
  }
  // Who had to wait for a connection may have too little time left for any server.
  const bool is_fair = deadline - clock_.Now() >= options_.timeout / 2;
  auto reply = exchange(client->get());
  if (!reply.ok() && !is_fair) {
    breaker_.Left(*pass);
    ++failures_;
  } else {
    reply = Judge(std::move(reply), answer, *pass, client->get());
  }
  GiveBack(*std::move(client));
  return reply;
}

absl::StatusOr<RedisReply> RedisPool::Call(absl::Span<const std::string_view> command,
                                           const Answer& answer, TimePoint deadline) {
  return WithClient(answer, deadline, [&](RedisClient* client) {
    return client->Call(command, deadline, answer.bytes_max);
  });
}

absl::StatusOr<std::vector<RedisReply>> RedisPool::Run(const RedisScript& script,
                                                       absl::Span<const std::string_view> keys,
                                                       absl::Span<const std::string_view> arguments,
                                                       TimePoint deadline) {
  const std::string key_count = absl::StrCat(keys.size());
  std::vector<std::string_view> command = {"EVALSHA", script.digest, key_count};
  command.insert(command.end(), keys.begin(), keys.end());
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Answer verdict = {IsVerdict, kVerdictBytesMax};
  auto reply = WithClient(verdict, deadline, [&](RedisClient* client) {
    auto answer = client->Call(command, deadline, verdict.bytes_max);
    if (!answer.ok() || !answer->is_error() || !answer->text.starts_with("NOSCRIPT")) return answer;
    command[0] = "EVAL";
    command[1] = script.text;
    return client->Call(command, deadline, verdict.bytes_max);
  });
  if (!reply.ok()) return reply.status();
  return std::move(reply->elements);
}

absl::StatusOr<RedisReply> RedisPool::CallPatiently(absl::Span<const std::string_view> command,
                                                    Duration patience, const Answer& answer) {
  // A probe should be over soon, so that this call is none.
  if (!breaker_.closed()) {
    const Answer pong = {[](const RedisReply& reply) { return reply.text == "PONG"; },
                         kVerdictBytesMax};
    SSMD_RETURN_IF_ERROR(Call({"PING"}, pong, Deadline()).status());
  }
  const MutexLock lock(&patient_mutex_);
  ++calls_;
  const auto pass = breaker_.Enter(/*may_probe=*/false);
  if (!pass.ok()) {
    ++failures_;
    return pass.status();
  }
  return Judge(patient_.Call(command, Deadline() + patience, answer.bytes_max), answer, *pass,
               &patient_);
}

SharedStoreFigures RedisPool::figures() const {
  SharedStoreFigures figures;
  figures.reachable = reachable_;
  figures.calls = calls_;
  figures.failures = failures_;
  figures.bytes_written = server_.bytes_written;
  figures.bytes_read = server_.bytes_read;
  return figures;
}

}  // namespace ssmd
