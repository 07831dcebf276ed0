// See report.h: for machines.
#include <string_view>

#include "clients/bench/report.h"
#include "clients/ssmctl/json_writer.h"

namespace ssmd::bench {
namespace {

void WriteTimes(std::string_view name, const Samples& samples, ctl::JsonWriter* json) {
  const Percentiles times = samples.Summary();
  json->Key(name).BeginObject();
  json->Key("mean").Double(times.mean).Key("p50").Double(times.p50).Key("p90").Double(times.p90);
  json->Key("p95").Double(times.p95).Key("p99").Double(times.p99).Key("max").Double(times.max);
  json->EndObject();
}

void WriteGoodput(const Objectives& objectives, const LoadReport& load, ctl::JsonWriter* json) {
  json->Key("goodput").BeginObject();
  if (objectives.first_token_ms) json->Key("slo_first_token_ms").Double(*objectives.first_token_ms);
  if (objectives.inter_token_ms) json->Key("slo_inter_token_ms").Double(*objectives.inter_token_ms);
  json->Key("requests").Int(load.good).Key("share").Double(load.good_share());
  json->Key("requests_per_s").Double(load.PerSecond(static_cast<double>(load.good)));
  json->EndObject();
}

// The members that a single server's report has at its top and a compared one's in "compare".
void WriteLoad(const LoadReport& load, const Objectives& objectives, ctl::JsonWriter* json) {
  json->Key("seconds").Double(load.seconds).Key("succeeded").Int(load.succeeded);
  json->Key("errors").BeginObject();
  for (const auto& [code, count] : load.errors) json->Key(code).Int(count);
  json->EndObject();
  json->Key("prompt_tokens").Int(load.prompt_tokens);
  json->Key("generated_tokens").Int(load.generated_tokens);
  json->Key("requests_per_s").Double(load.requests_per_s());
  json->Key("tokens_per_s").Double(load.tokens_per_s());
  WriteTimes("first_token_ms", load.first_token_ms, json);
  WriteTimes("inter_token_ms", load.inter_token_ms, json);
  WriteTimes("total_ms", load.total_ms, json);
  WriteTimes("send_delay_ms", load.send_delay_ms, json);
  json->Key("first_token_by_turn").BeginArray();
  for (size_t i = 0; i < load.first_token_by_turn.size(); ++i) {
    json->BeginObject().Key("turn").Unsigned(i + 1);
    json->Key("requests").Int(load.first_token_by_turn[i].count());
    WriteTimes("first_token_ms", load.first_token_by_turn[i], json);
    json->EndObject();
  }
  json->EndArray();
  if (objectives.any()) WriteGoodput(objectives, load, json);
}

void WriteServer(const ServerReport& server, const Objectives& objectives, ctl::JsonWriter* json) {
  json->Key("server").String(server.server).Key("protocol").String(server.protocol);
  json->Key("history").String(server.history);
  WriteLoad(server.Total(), objectives, json);
  json->Key("rounds").BeginArray();
  for (const LoadReport& round : server.rounds) {
    json->BeginObject();
    for (const Figure& figure : Figures()) json->Key(figure.name).Double(figure.value(round));
    json->EndObject();
  }
  json->EndArray();
}

void WriteRatios(const ServerReport& first, const ServerReport& second, ctl::JsonWriter* json) {
  json->Key("ratios").BeginObject();
  for (const Figure& figure : Figures()) {
    const Ratio ratio = RatioOf(figure, first, second);
    if (ratio.rounds == 0) continue;
    json->Key(figure.name).BeginObject().Key("median").Double(ratio.median);
    json->Key("min").Double(ratio.min).Key("max").Double(ratio.max);
    json->Key("rounds").Int(ratio.rounds).EndObject();
  }
  json->EndObject();
}

}  // namespace

std::string ReportJson(const LoadOptions& options, const std::vector<ServerReport>& servers) {
  ctl::JsonWriter json;
  json.BeginObject();
  json.Key("mode").String(options.rate > 0 ? "open" : "closed");
  json.Key("streams").Int(options.streams).Key("rate").Double(options.rate);
  if (options.rate > 0) {
    const bool poisson = options.arrivals == Arrivals::Kind::kPoisson;
    json.Key("arrivals").String(poisson ? "poisson" : "fixed");
  }
  json.Key("warm_up_seconds").Double(SecondsOf(options.warm_up));
  WriteServer(servers.front(), options.objectives, &json);
  if (servers.size() > 1) {
    json.Key("compare").BeginObject();
    WriteServer(servers[1], options.objectives, &json);
    json.EndObject();
    WriteRatios(servers[0], servers[1], &json);
  }
  json.EndObject();
  return json.Take();
}

}  // namespace ssmd::bench
