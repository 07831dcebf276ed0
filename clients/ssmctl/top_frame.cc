#include "clients/ssmctl/top_frame.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/session_output.h"
#include "clients/ssmctl/stats_output.h"
#include "clients/ssmctl/text.h"
#include "clients/ssmctl/units.h"

namespace ssmd::ctl {
namespace {

ModelRates RatesOf(const v1::ModelStats& now, const v1::ModelStats& before, double seconds) {
  const auto rate = [seconds](double current, double old) {
    return seconds > 0 && current > old ? (current - old) / seconds : 0.0;
  };
  ModelRates rates;
  rates.sampled_per_second = rate(static_cast<double>(now.generated_tokens()),
                                  static_cast<double>(before.generated_tokens()));
  rates.read_per_second =
      rate(static_cast<double>(now.read_tokens()), static_cast<double>(before.read_tokens()));
  rates.steps_per_second =
      rate(static_cast<double>(now.steps()), static_cast<double>(before.steps()));
  rates.first_token = PercentilesOf(now.time_to_first_token(), before.time_to_first_token());
  rates.inter_token = PercentilesOf(now.inter_token(), before.inter_token());
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
    lines->push_back(absl::StrFormat("  %-14s%s", name, text));
  };
  lines->emplace_back();
  lines->push_back(LossyUtf8(model.model()));
  add("slots", absl::StrFormat("%d used, %d free", model.slots_used(), model.slots_free()));
  add("turns", absl::StrFormat("%d running, %d paused; waiting: %d high, %d normal, %d low",
                               model.running(), model.paused(), model.waiting_high(),
                               model.waiting_normal(), model.waiting_low()));
  add("tokens/s",
      absl::StrFormat("%.0f sampled, %.0f read, in %.0f steps/s", rates.sampled_per_second,
                      rates.read_per_second, rates.steps_per_second));
  add("first token", Shown(rates.first_token) + "  (p50 / p95 / p99)");
  add("inter-token", Shown(rates.inter_token));
  const std::string tiers = SessionTiers(model);
  add("sessions", absl::StrFormat("%d%s%s", model.sessions(), tiers.empty() ? "" : ": ", tiers));
  add("states", absl::StrFormat("%s in slots, %s of %s in host memory; %d loading, %d storing",
                                Bytes(DeviceBytes(model)), Bytes(model.host_bytes()),
                                Bytes(model.host_bytes_limit()), model.loading(), model.storing()));
  add("prefixes", absl::StrFormat("%s of %s; %s of tokens hit", Bytes(model.prefixes().bytes()),
                                  Bytes(model.prefixes().bytes_limit()),
                                  rates.prefix_hit_rate.has_value()
                                      ? absl::StrFormat("%.0f%%", *rates.prefix_hit_rate * 100)
                                      : std::string("-")));
}

std::vector<std::string> TopFrame::Lines(const std::string& server) const {
  std::vector<std::string> lines = {"ssmd at " + server + ": " + StatsHeader(now_)};
  for (const v1::ModelStats& model : now_.models()) AddModel(model, &lines);
  if (!now_.has_state_dir()) return lines;
  const v1::StateDirStats& dir = now_.state_dir();
  lines.emplace_back();
  lines.push_back(absl::StrFormat(
      "state directory: %d states, %s of %s; log %s; %d queued, %d failures", dir.stored_states(),
      Bytes(dir.stored_bytes()),
      dir.stored_bytes_limit() > 0 ? Bytes(dir.stored_bytes_limit()) : std::string("no limit"),
      Bytes(dir.log_bytes()), dir.store_queued(), dir.log_failures() + dir.store_failures()));
  return lines;
}

void TopFrame::Write(JsonWriter* writer) const {
  writer->BeginObject().Key("stats");
  WriteStats(now_, writer);
  writer->Key("models").BeginArray();
  for (const v1::ModelStats& model : now_.models()) {
    const ModelRates& rates = rates_.at(model.model());
    writer->BeginObject().Key("model").String(model.model());
    writer->Key("sampled_per_second").Double(rates.sampled_per_second);
    writer->Key("read_per_second").Double(rates.read_per_second);
    writer->Key("steps_per_second").Double(rates.steps_per_second);
    writer->Key("first_token_ms");
    WriteLatency(rates.first_token, writer);
    writer->Key("inter_token_ms");
    WriteLatency(rates.inter_token, writer);
    if (rates.prefix_hit_rate) writer->Key("prefix_hit_rate").Double(*rates.prefix_hit_rate);
    writer->Key("device_bytes").Int(DeviceBytes(model));
    writer->EndObject();
  }
  writer->EndArray().EndObject();
}

}  // namespace ssmd::ctl
