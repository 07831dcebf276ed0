#include "clients/ssmctl/top_frame.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/ssmctl/enum_names.h"
#include "clients/ssmctl/generation_result.h"
#include "clients/ssmctl/session_output.h"
#include "clients/ssmctl/stats_output.h"
#include "clients/ssmctl/text.h"
#include "clients/ssmctl/units.h"

namespace ssmd::ctl {
namespace {

// What is new of counts by name; nothing of those that there was nothing of.
template <typename Counts, typename Name>
NamedCounts NewOf(const Counts& now, const Counts& before, const Name& name) {
  NamedCounts counts;
  for (const auto& entry : now) {
    int64_t count = entry.count();
    for (const auto& old : before) {
      if (name(old) == name(entry)) count -= old.count();
    }
    if (count > 0) counts.emplace_back(name(entry), count);
  }
  return counts;
}

std::vector<std::pair<std::string, Percentiles>> StepsOf(const v1::ModelStats& now,
                                                         const v1::ModelStats& before) {
  std::vector<std::pair<std::string, Percentiles>> steps;
  for (const v1::PhaseSteps& entry : now.steps_by_phase()) {
    v1::Latency old;
    for (const v1::PhaseSteps& candidate : before.steps_by_phase()) {
      if (candidate.phase() == entry.phase()) old = candidate.duration();
    }
    const auto duration = PercentilesOf(entry.duration(), old);
    if (duration.has_value()) steps.emplace_back(entry.phase(), *duration);
  }
  return steps;
}

// Requests that ended, and how those did that were not "ok".
void CountEnds(const v1::ModelStats& now, const v1::ModelStats& before, double seconds,
               ModelRates* rates) {
  int64_t ended = 0;
  for (auto& [outcome, count] :
       NewOf(now.outcomes(), before.outcomes(),
             [](const v1::OutcomeCount& entry) { return LossyUtf8(entry.outcome()); })) {
    ended += count;
    if (outcome != "ok") rates->failures.emplace_back(outcome, count);
  }
  if (seconds > 0) rates->ended_per_second = static_cast<double>(ended) / seconds;
}

ModelRates RatesOf(const v1::ModelStats& now, const v1::ModelStats& before, double seconds) {
  const auto rate = [seconds](double current, double old) {
    return seconds > 0 && current > old ? (current - old) / seconds : 0.0;
  };
  ModelRates rates;
  CountEnds(now, before, seconds, &rates);
  rates.sampled_per_second = rate(static_cast<double>(now.generated_tokens()),
                                  static_cast<double>(before.generated_tokens()));
  rates.read_per_second =
      rate(static_cast<double>(now.read_tokens()), static_cast<double>(before.read_tokens()));
  rates.steps_per_second =
      rate(static_cast<double>(now.steps()), static_cast<double>(before.steps()));
  if (rates.steps_per_second > 0) {
    rates.tokens_per_step =
        rate(static_cast<double>(now.fed_tokens()), static_cast<double>(before.fed_tokens())) /
        rates.steps_per_second;
  }
  rates.first_token = PercentilesOf(now.time_to_first_token(), before.time_to_first_token());
  rates.inter_token = PercentilesOf(now.inter_token(), before.inter_token());
  rates.queue = PercentilesOf(now.queue(), before.queue());
  rates.steps = StepsOf(now, before);
  rates.loads = NewOf(now.loads(), before.loads(), [](const v1::SourceCount& entry) {
    return LowerCase(StateSourceName(entry.source()));
  });
  rates.evictions = NewOf(now.evictions(), before.evictions(),
                          [](const v1::TierCount& entry) { return TierName(entry.tier()); });
  const int64_t queried = now.prefixes().queried_tokens() - before.prefixes().queried_tokens();
  const int64_t hit = now.prefixes().hit_tokens() - before.prefixes().hit_tokens();
  if (queried > 0 && hit >= 0) {
    rates.prefix_hit_rate = static_cast<double>(hit) / static_cast<double>(queried);
  }
  return rates;
}

std::string Shown(const std::optional<Percentiles>& latency) {
  if (!latency.has_value()) return "-";
  return absl::StrFormat("%.1f / %.1f / %.1f ms", latency->p50_ms, latency->p95_ms,
                         latency->p99_ms);
}

// "3 host, 2 disk"
std::string Shown(const NamedCounts& counts) {
  return absl::StrJoin(counts, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.second, " ", entry.first);
  });
}

std::string Shown(const std::vector<std::pair<std::string, Percentiles>>& steps) {
  return absl::StrJoin(steps, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppendFormat(out, "%s %.1f", LossyUtf8(entry.first), entry.second.p95_ms);
  });
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

std::string Line(const char* name, const std::string& text) {
  return absl::StrFormat("  %-14s%s", name, text);
}

void WriteCounts(const NamedCounts& counts, JsonWriter* writer) {
  writer->BeginObject();
  for (const auto& [name, count] : counts) writer->Key(name).Int(count);
  writer->EndObject();
}

void WriteLatency(const std::optional<Percentiles>& latency, JsonWriter* writer) {
  writer->BeginObject().Key("count").Unsigned(latency.has_value() ? latency->count : 0);
  if (latency.has_value()) {
    writer->Key("p50").Double(latency->p50_ms);
    writer->Key("p95").Double(latency->p95_ms);
    writer->Key("p99").Double(latency->p99_ms);
  }
  writer->EndObject();
}

}  // namespace

TopFrame::TopFrame(v1::GetStatsResponse now, const v1::GetStatsResponse& before,
                   std::map<std::string, int64_t> state_bytes)
    : now_(std::move(now)), state_bytes_(std::move(state_bytes)) {
  // A server that is younger than the look before is another one.
  const bool same = before.uptime_seconds() <= now_.uptime_seconds();
  const double seconds = now_.uptime_seconds() - (same ? before.uptime_seconds() : 0);
  for (const v1::ModelStats& model : now_.models()) {
    v1::ModelStats old;
    for (const v1::ModelStats& candidate : before.models()) {
      if (same && candidate.model() == model.model()) old = candidate;
    }
    rates_[model.model()] = RatesOf(model, old, seconds);
  }
}

int64_t TopFrame::DeviceBytes(const v1::ModelStats& model) const {
  const auto found = state_bytes_.find(model.model());
  return found == state_bytes_.end() ? 0 : model.device_states() * found->second;
}

void TopFrame::AddModel(const v1::ModelStats& model, std::vector<std::string>* lines) const {
  const ModelRates& rates = rates_.at(model.model());
  const auto add = [lines](const char* name, const std::string& text) {
    lines->push_back(Line(name, text));
  };
  lines->emplace_back();
  lines->push_back(LossyUtf8(model.model()));
  add("requests", absl::StrFormat("%.1f/s ended%s%s", rates.ended_per_second,
                                  rates.failures.empty() ? "" : ": ", Shown(rates.failures)));
  add("turns", absl::StrFormat("%d running, %d paused", model.running(), model.paused()));
  add("waiting", absl::StrFormat("%d of %d: %d high, %d normal, %d low", model.waiting(),
                                 model.waiting_limit(), model.waiting_high(),
                                 model.waiting_normal(), model.waiting_low()));
  add("first token", Shown(rates.first_token) + "  (p50 / p95 / p99)");
  add("inter-token", Shown(rates.inter_token));
  add("queue", Shown(rates.queue));
  add("tokens/s",
      absl::StrFormat("%.0f sampled, %.0f read", rates.sampled_per_second, rates.read_per_second));
  add("steps", absl::StrFormat("%.0f/s of %.1f tokens; ms (p95): %s", rates.steps_per_second,
                               rates.tokens_per_step, OrDash(Shown(rates.steps))));
  add("slots", absl::StrFormat("%d used, %d free", model.slots_used(), model.slots_free()));
  const std::string tiers = SessionTiers(model);
  add("sessions", absl::StrFormat("%d%s%s", model.sessions(), tiers.empty() ? "" : ": ", tiers));
  add("states", absl::StrFormat("%s in slots, %s of %s in host memory", Bytes(DeviceBytes(model)),
                                Bytes(model.host_bytes()), Bytes(model.host_bytes_limit())));
  add("found", OrDash(Shown(rates.loads)));
  add("moves", absl::StrFormat("%d loading, %d storing; evicted: %s", model.loading(),
                               model.storing(), OrDash(Shown(rates.evictions))));
  add("prefixes", absl::StrFormat("%s of %s; %s of tokens hit", Bytes(model.prefixes().bytes()),
                                  Bytes(model.prefixes().bytes_limit()),
                                  rates.prefix_hit_rate.has_value()
                                      ? absl::StrFormat("%.0f%%", *rates.prefix_hit_rate * 100)
                                      : std::string("-")));
}

std::vector<std::string> TopFrame::Lines(const std::string& server) const {
  std::vector<std::string> lines = {"ssmd at " + server + ": " + StatsHeader(now_)};
  for (std::string& line : Troubles(now_)) lines.push_back(std::move(line));
  for (const v1::ModelStats& model : now_.models()) AddModel(model, &lines);
  if (!now_.has_state_dir()) return lines;
  const v1::StateDirStats& dir = now_.state_dir();
  lines.emplace_back();
  lines.emplace_back("state directory");
  lines.push_back(
      Line("states", absl::StrFormat("%d, %s of %s; %d reads and writes queued",
                                     dir.stored_states(), Bytes(dir.stored_bytes()),
                                     dir.stored_bytes_limit() > 0 ? Bytes(dir.stored_bytes_limit())
                                                                  : std::string("no limit"),
                                     dir.store_queued())));
  lines.push_back(Line("log", absl::StrFormat("%s; %d records, %d syncs", Bytes(dir.log_bytes()),
                                              dir.log_records(), dir.log_syncs())));
  lines.push_back(Line("failures", absl::StrFormat("%d of the log, %d of states",
                                                   dir.log_failures(), dir.store_failures())));
  return lines;
}

void TopFrame::Write(JsonWriter* writer) const {
  writer->BeginObject().Key("stats");
  WriteStats(now_, writer);
  writer->Key("models").BeginArray();
  for (const v1::ModelStats& model : now_.models()) {
    const ModelRates& rates = rates_.at(model.model());
    writer->BeginObject().Key("model").String(model.model());
    writer->Key("requests_per_second").Double(rates.ended_per_second);
    writer->Key("failures");
    WriteCounts(rates.failures, writer);
    writer->Key("sampled_per_second").Double(rates.sampled_per_second);
    writer->Key("read_per_second").Double(rates.read_per_second);
    writer->Key("steps_per_second").Double(rates.steps_per_second);
    writer->Key("tokens_per_step").Double(rates.tokens_per_step);
    writer->Key("first_token_ms");
    WriteLatency(rates.first_token, writer);
    writer->Key("inter_token_ms");
    WriteLatency(rates.inter_token, writer);
    writer->Key("queue_ms");
    WriteLatency(rates.queue, writer);
    writer->Key("step_ms").BeginObject();
    for (const auto& [phase, duration] : rates.steps) {
      writer->Key(phase);
      WriteLatency(duration, writer);
    }
    writer->EndObject();
    writer->Key("loads");
    WriteCounts(rates.loads, writer);
    writer->Key("evictions");
    WriteCounts(rates.evictions, writer);
    if (rates.prefix_hit_rate) writer->Key("prefix_hit_rate").Double(*rates.prefix_hit_rate);
    writer->Key("device_bytes").Int(DeviceBytes(model));
    writer->EndObject();
  }
  writer->EndArray().EndObject();
}

}  // namespace ssmd::ctl
