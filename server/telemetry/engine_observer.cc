// See engine_observer.h.
#include "server/telemetry/engine_observer.h"

#include "engine/base/errors.h"
#include "server/access/tenant_rates.h"
#include "server/telemetry/names.h"

namespace ssmd::server {

void EngineObserver::OnUnreadableState(const std::string& model, const std::string& stored_id,
                                       const absl::Status& why) {
  const std::string status = absl::StatusCodeToString(why.code());
  log_->Write(LogLevel::kWarn, "state_unreadable",
              {{"model", std::string_view(model)},
               {"state", std::string_view(stored_id)},
               {"status", std::string_view(status)},
               {"message", std::string_view(why.message().data(), why.message().size())}});
}

void EngineObserver::OnDeviceFailure(const std::string& what) {
  log_->Write(LogLevel::kError, "device_failed",
              {{"what", std::string_view(what)},
               {"message", std::string_view("all turns end and the daemon stops; start it again: "
                                            "sessions go on from their last commit")}});
}

void EngineObserver::OnRecovered(const RecoveryRecord& recovery) {
  log_->Write(LogLevel::kInfo, "recovered",
              {{"sessions", recovery.sessions}, {"removed_states", recovery.removed_states}});
  if (recovery.torn_bytes == 0) return;
  log_->Write(
      LogLevel::kWarn, "log_torn",
      {{"bytes", recovery.torn_bytes},
       {"message", std::string_view("the end of the commit log is no whole record and was dropped; "
                                    "after a crash that is a commit that nobody was told of; if "
                                    "nothing crashed, something shortened or damaged the file: "
                                    "restore the state directory from a copy")}});
}

bool EngineObserver::IsSlow(const RequestRecord& request) const {
  const auto longer = [](Duration time, Duration limit) {
    return limit > Duration::zero() && time > limit;
  };
  // Of one that ended before its first token, how long that had been waited for.
  return longer(request.total, slow_.total) ||
         longer(request.first_token.value_or(request.total), slow_.first_token);
}

void EngineObserver::OnRequestEnd(const RequestRecord& request) {
  metrics_->RequestEnd(request);
  if (rates_ != nullptr) {
    rates_->CountTokens(request.tenant,
                        request.usage.prompt_tokens + request.usage.generated_tokens);
  }
  const bool slow = IsSlow(request) && log_->enabled(LogLevel::kWarn);
  if (!slow && !log_->enabled(LogLevel::kInfo)) return;
  const std::string status = absl::StatusCodeToString(request.status.code());
  const std::string reason = ReasonOf(request.status);
  const Usage& usage = request.usage;
  std::vector<LogField> fields = {{"request_id", std::string_view(request.request_id)},
                                  {"tenant", std::string_view(request.tenant)},
                                  {"model", std::string_view(request.model)},
                                  {"session_id", std::string_view(request.session_id)},
                                  {"status", std::string_view(status)},
                                  {"reason", std::string_view(reason)},
                                  {"state_source", std::string_view(NameOf(request.state_source))},
                                  {"reuse_miss", std::string_view(NameOf(request.miss))},
                                  {"prompt_tokens", usage.prompt_tokens},
                                  {"reused_tokens", usage.reused_tokens},
                                  {"computed_tokens", usage.computed_tokens},
                                  {"recomputed_tokens", usage.recomputed_tokens},
                                  {"generated_tokens", usage.generated_tokens},
                                  {"pauses", request.pauses}};
  const auto add = [&fields](std::string_view name, Duration time) {
    fields.push_back({name, Seconds(time) * 1e3});
  };
  add("queue_ms", request.queue - request.load);
  add("load_ms", request.load);
  add("prefill_ms", request.prefill);
  add("decode_ms", request.decode);
  add("client_wait_ms", request.client_wait);
  add("commit_ms", request.commit);
  if (request.first_token.has_value()) add("first_token_ms", *request.first_token);
  add("total_ms", request.total);
  if (!request.trace_id.empty()) {
    fields.push_back({"trace_id", std::string_view(request.trace_id)});
  }
  log_->Write(LogLevel::kInfo, "request", fields);
  if (slow) log_->Write(LogLevel::kWarn, "slow_request", fields);
}

}  // namespace ssmd::server
