#include "clients/ssmctl/stats_output.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/ssmctl/enum_names.h"
#include "clients/ssmctl/generation_result.h"
#include "clients/ssmctl/session_output.h"
#include "clients/ssmctl/text.h"
#include "clients/ssmctl/units.h"

namespace ssmd::ctl {
namespace {

using TierCounts = google::protobuf::RepeatedPtrField<v1::TierCount>;

void WriteTiers(const TierCounts& counts, JsonWriter* writer) {
  writer->BeginObject();
  for (const v1::TierCount& count : counts) {
    writer->Key(TierName(count.tier())).Int(count.count());
  }
  writer->EndObject();
}

void WritePrefixes(const v1::PrefixStats& prefixes, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("queries").Int(prefixes.queries());
  writer->Key("hits").Int(prefixes.hits());
  writer->Key("queried_tokens").Int(prefixes.queried_tokens());
  writer->Key("hit_tokens").Int(prefixes.hit_tokens());
  writer->Key("evictions").Int(prefixes.evictions());
  writer->Key("states").Int(prefixes.states());
  writer->Key("bytes").Int(prefixes.bytes());
  writer->Key("bytes_limit").Int(prefixes.bytes_limit());
  writer->EndObject();
}

void WriteLatency(const v1::Latency& latency, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("bounds_ms").BeginArray();
  for (const double bound : latency.bounds_ms()) writer->Double(bound);
  writer->EndArray();
  writer->Key("counts").BeginArray();
  for (const uint64_t count : latency.counts()) writer->Unsigned(count);
  writer->EndArray();
  writer->Key("sum_ms").Double(latency.sum_ms());
  writer->EndObject();
}

void WriteSteps(const v1::ModelStats& stats, JsonWriter* writer) {
  writer->Key("steps_by_phase").BeginObject();
  for (const v1::PhaseSteps& steps : stats.steps_by_phase()) {
    writer->Key(steps.phase());
    WriteLatency(steps.duration(), writer);
  }
  writer->EndObject();
}

void WriteStates(const v1::ModelStats& stats, JsonWriter* writer) {
  writer->Key("session_tiers");
  WriteTiers(stats.session_tiers(), writer);
  writer->Key("held_states").Int(stats.held_states());
  writer->Key("device_states").Int(stats.device_states());
  writer->Key("host_states").Int(stats.host_states());
  writer->Key("host_bytes").Int(stats.host_bytes());
  writer->Key("host_bytes_limit").Int(stats.host_bytes_limit());
  writer->Key("loading").Int(stats.loading());
  writer->Key("storing").Int(stats.storing());
  writer->Key("loads").BeginObject();
  for (const v1::SourceCount& count : stats.loads()) {
    writer->Key(LowerCase(StateSourceName(count.source()))).Int(count.count());
  }
  writer->EndObject();
  writer->Key("evictions");
  WriteTiers(stats.evictions(), writer);
  writer->Key("prefixes");
  WritePrefixes(stats.prefixes(), writer);
}

void WriteEarlyEnds(const v1::ModelStats& stats, JsonWriter* writer) {
  writer->Key("early_ends").BeginArray();
  for (const v1::EarlyEnd& end : stats.early_ends()) {
    writer->BeginObject();
    writer->Key("request_id").String(end.request_id());
    writer->Key("reason").String(end.reason());
    writer->Key("noticed_step").Unsigned(end.noticed_step());
    writer->Key("freed_step").Unsigned(end.freed_step());
    writer->EndObject();
  }
  writer->EndArray();
}

void WriteModelStats(const v1::ModelStats& stats, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("model").String(stats.model());
  writer->Key("steps").Unsigned(stats.steps());
  writer->Key("running").Int(stats.running());
  writer->Key("waiting").Int(stats.waiting());
  writer->Key("waiting_limit").Int(stats.waiting_limit());
  writer->Key("waiting_low").Int(stats.waiting_low());
  writer->Key("waiting_normal").Int(stats.waiting_normal());
  writer->Key("waiting_high").Int(stats.waiting_high());
  writer->Key("paused").Int(stats.paused());
  writer->Key("slots_used").Int(stats.slots_used());
  writer->Key("slots_free").Int(stats.slots_free());
  writer->Key("sessions").Int(stats.sessions());
  writer->Key("fed_tokens").Int(stats.fed_tokens());
  writer->Key("read_tokens").Int(stats.read_tokens());
  writer->Key("prompt_tokens").Int(stats.prompt_tokens());
  writer->Key("generated_tokens").Int(stats.generated_tokens());
  writer->Key("reused_tokens").Int(stats.reused_tokens());
  writer->Key("recomputed_tokens").Int(stats.recomputed_tokens());
  WriteStates(stats, writer);
  writer->Key("time_to_first_token");
  WriteLatency(stats.time_to_first_token(), writer);
  writer->Key("inter_token");
  WriteLatency(stats.inter_token(), writer);
  writer->Key("queue");
  WriteLatency(stats.queue(), writer);
  WriteSteps(stats, writer);
  writer->Key("outcomes").BeginObject();
  for (const v1::OutcomeCount& ended : stats.outcomes()) {
    writer->Key(ended.outcome()).Int(ended.count());
  }
  writer->EndObject();
  WriteEarlyEnds(stats, writer);
  writer->EndObject();
}

void WriteStateDir(const v1::StateDirStats& stats, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("log_bytes").Int(stats.log_bytes());
  writer->Key("log_records").Int(stats.log_records());
  writer->Key("log_syncs").Int(stats.log_syncs());
  writer->Key("log_failures").Int(stats.log_failures());
  writer->Key("stored_states").Int(stats.stored_states());
  writer->Key("stored_bytes").Int(stats.stored_bytes());
  writer->Key("stored_bytes_limit").Int(stats.stored_bytes_limit());
  writer->Key("store_queued").Int(stats.store_queued());
  writer->Key("store_failures").Int(stats.store_failures());
  writer->EndObject();
}

void DescribeModel(const v1::ModelStats& model, std::vector<std::string>* lines) {
  lines->push_back(absl::StrFormat(
      "%s: %d running, %d waiting, %d paused; %d of %d slots; %d sessions",
      LossyUtf8(model.model()), model.running(), model.waiting(), model.paused(),
      model.slots_used(), model.slots_used() + model.slots_free(), model.sessions()));
  lines->push_back(
      absl::StrFormat("    %d steps; tokens: %d read, %d of them again; %d reused, %d sampled",
                      model.steps(), model.read_tokens(), model.recomputed_tokens(),
                      model.reused_tokens(), model.generated_tokens()));
  if (model.outcomes_size() > 0) {
    lines->push_back("    requests: " +
                     absl::StrJoin(model.outcomes(), ", ", [](std::string* out, const auto& ended) {
                       absl::StrAppendFormat(out, "%d %s", ended.count(),
                                             LossyUtf8(ended.outcome()));
                     }));
  }
  if (const std::string tiers = SessionTiers(model); !tiers.empty()) {
    lines->push_back("    sessions: " + tiers);
  }
  lines->push_back(absl::StrFormat("    states: %d held, %d in slots, %d in host memory (%s of %s)",
                                   model.held_states(), model.device_states(), model.host_states(),
                                   Bytes(model.host_bytes()), Bytes(model.host_bytes_limit())));
  const v1::PrefixStats& prefixes = model.prefixes();
  if (prefixes.queries() > 0) {
    lines->push_back(absl::StrFormat(
        "    prefixes: %d of %d prompts found one; %d of %d tokens reused; %d states, %s",
        prefixes.hits(), prefixes.queries(), prefixes.hit_tokens(), prefixes.queried_tokens(),
        prefixes.states(), Bytes(prefixes.bytes())));
  }
  for (const v1::EarlyEnd& end : model.early_ends()) {
    lines->push_back(absl::StrFormat("    ended early: %s %s, noticed at step %d, freed at %d",
                                     LossyUtf8(end.request_id()), LossyUtf8(end.reason()),
                                     end.noticed_step(), end.freed_step()));
  }
}

}  // namespace

void WriteStats(const v1::GetStatsResponse& stats, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("uptime_seconds").Double(stats.uptime_seconds());
  writer->Key("resident_bytes").Int(stats.resident_bytes());
  writer->Key("draining").Bool(stats.draining());
  writer->Key("device_failure").String(stats.device_failure());
  writer->Key("kernels_off").BeginArray();
  for (const std::string& kernel : stats.kernels_off()) writer->String(kernel);
  writer->EndArray();
  writer->Key("models").BeginArray();
  for (const v1::ModelStats& model : stats.models()) WriteModelStats(model, writer);
  writer->EndArray();
  if (stats.has_state_dir()) {
    writer->Key("state_dir");
    WriteStateDir(stats.state_dir(), writer);
  }
  writer->EndObject();
}

std::vector<std::string> DescribeStats(const v1::GetStatsResponse& stats) {
  std::vector<std::string> lines = {StatsHeader(stats)};
  for (std::string& line : Troubles(stats)) lines.push_back(std::move(line));
  for (const v1::ModelStats& model : stats.models()) DescribeModel(model, &lines);
  if (stats.has_state_dir()) {
    const v1::StateDirStats& dir = stats.state_dir();
    lines.push_back(
        absl::StrFormat("state directory: %d states, %s; log %s, %d records; %d failures",
                        dir.stored_states(), Bytes(dir.stored_bytes()), Bytes(dir.log_bytes()),
                        dir.log_records(), dir.log_failures() + dir.store_failures()));
  }
  return lines;
}

std::string StatsHeader(const v1::GetStatsResponse& stats) {
  return absl::StrFormat("up %.0f s, %s resident%s", stats.uptime_seconds(),
                         Bytes(stats.resident_bytes()), stats.draining() ? ", draining" : "");
}

std::vector<std::string> Troubles(const v1::GetStatsResponse& stats) {
  std::vector<std::string> lines;
  if (!stats.device_failure().empty()) {
    lines.push_back("the device has failed: " + LossyUtf8(stats.device_failure()));
  }
  if (stats.kernels_off_size() > 0) {
    lines.push_back("fast kernels are off: " + LossyUtf8(absl::StrJoin(stats.kernels_off(), ", ")));
  }
  return lines;
}

std::string SessionTiers(const v1::ModelStats& stats) {
  std::string text;
  int64_t empty = stats.sessions();
  const auto add = [&text](int64_t count, const std::string& name) {
    if (count > 0) text += absl::StrFormat("%s%d %s", text.empty() ? "" : ", ", count, name);
  };
  for (const v1::TierCount& count : stats.session_tiers()) {
    add(count.count(), TierName(count.tier()));
    empty -= count.count();
  }
  add(empty, "none");
  return text;
}

}  // namespace ssmd::ctl
