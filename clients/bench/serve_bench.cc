#include "clients/bench/serve_bench.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "clients/bench/load.h"
#include "clients/bench/percentiles.h"

namespace ssmd::bench {
namespace {

constexpr const char* kExamples = R"(Examples:
  ssmd-bench serve --streams 16 --duration 30
  ssmd-bench serve --rate 20 --streams 256 --max-tokens 64 --json    # open loop
Without --rate, each stream asks again when it has its answer. With it, requests start at that rate
whatever the answers do, at most --streams of them at once; times count from when each was due.)";

struct Options {
  client::ConnectOptions connect;
  std::string model;
  std::string prompt = "Once upon a time";
  int prompt_tokens = 0;
  int max_tokens = 128;
  float temperature = 1;
  uint64_t seed = 1;
  int streams = 1;
  double rate = 0;
  int duration_seconds = 10;
  int64_t requests = 0;
  double timeout_seconds = 0;
  bool json = false;
};

int Fail(const client::Error& error) {
  std::fprintf(stderr, "ssmd-bench: %s\n", client::ToString(error).c_str());
  return 1;
}

LoadOptions MakeLoad(const Options& options) {
  LoadOptions load;
  load.streams = options.streams;
  load.rate = options.rate;
  load.duration = std::chrono::seconds(options.duration_seconds);
  load.requests = options.requests;
  if (options.timeout_seconds > 0) {
    load.call.timeout =
        std::chrono::milliseconds(static_cast<int64_t>(options.timeout_seconds * 1000));
  }
  load.request.set_model(options.model);
  load.request.set_max_tokens(options.max_tokens);
  load.request.mutable_stop()->set_ignore_eos(true);  // every answer has the same length
  load.request.mutable_sampling()->set_temperature(options.temperature);
  load.request.mutable_sampling()->set_seed(options.seed);
  if (options.prompt_tokens == 0) {
    load.request.set_text(options.prompt);
  } else {
    // Any ids do: their cost does not depend on which they are.
    for (int i = 0; i < options.prompt_tokens; ++i) {
      load.request.mutable_token_ids()->add_ids(1 + i % 200);
    }
  }
  return load;
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void WriteTimes(const char* name, const std::vector<double>& values, Writer* writer) {
  const Percentiles times = PercentilesOf(values);
  const std::pair<const char*, double> fields[] = {
      {"mean", times.mean}, {"p50", times.p50}, {"p90", times.p90},
      {"p99", times.p99},   {"max", times.max},
  };
  writer->Key(name);
  writer->StartObject();
  for (const auto& [key, value] : fields) {
    writer->Key(key);
    writer->Double(value);
  }
  writer->EndObject();
}

void PrintJson(const Options& options, const LoadReport& report) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  const auto number = [&](const char* key, double value) {
    writer.Key(key);
    writer.Double(value);
  };
  const auto count = [&](const char* key, int64_t value) {
    writer.Key(key);
    writer.Int64(value);
  };
  writer.StartObject();
  writer.Key("mode");
  writer.String(options.rate > 0 ? "open" : "closed");
  count("streams", options.streams);
  number("rate", options.rate);
  number("seconds", report.seconds);
  count("succeeded", report.succeeded);
  writer.Key("errors");
  writer.StartObject();
  for (const auto& [code, errors] : report.errors) count(code.c_str(), errors);
  writer.EndObject();
  count("prompt_tokens", report.prompt_tokens);
  count("generated_tokens", report.generated_tokens);
  number("requests_per_s", static_cast<double>(report.succeeded) / report.seconds);
  number("tokens_per_s", static_cast<double>(report.generated_tokens) / report.seconds);
  WriteTimes("first_token_ms", report.first_token_ms, &writer);
  WriteTimes("inter_token_ms", report.inter_token_ms, &writer);
  WriteTimes("total_ms", report.total_ms, &writer);
  writer.EndObject();
  std::printf("%s\n", buffer.GetString());
}

void PrintTimes(const char* name, const std::vector<double>& values) {
  const Percentiles times = PercentilesOf(values);
  std::printf("%-14s %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, times.mean, times.p50, times.p90,
              times.p99, times.max);
}

void PrintTable(const LoadReport& report) {
  std::printf("%lld requests in %.1f s: %.1f a second, %.0f tokens a second\n",
              static_cast<long long>(report.succeeded), report.seconds,
              static_cast<double>(report.succeeded) / report.seconds,
              static_cast<double>(report.generated_tokens) / report.seconds);
  for (const auto& [code, count] : report.errors) {
    std::printf("failed: %lld %s\n", static_cast<long long>(count), code.c_str());
  }
  std::printf("%-14s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p99", "max");
  PrintTimes("first token", report.first_token_ms);
  PrintTimes("inter-token", report.inter_token_ms);
  PrintTimes("whole request", report.total_ms);
}

int Run(const Options& options) {
  auto client = client::Client::Create(options.connect);
  if (!client.ok()) return Fail(client.error());
  // Before the clock starts: is there a server, and is the model there?
  auto models = client.value()->ListModels({.timeout = std::chrono::seconds(10), .cancel = {}});
  if (!models.ok()) return Fail(models.error());
  const LoadReport report = RunLoad(client.value().get(), MakeLoad(options));
  if (options.json) {
    PrintJson(options, report);
  } else {
    PrintTable(report);
  }
  return report.succeeded > 0 ? 0 : 1;
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<Options>();
  options->connect.server = "127.0.0.1:50051";
  CLI::App* command = app.add_subcommand("serve", "Load a running daemon with real clients");
  command->footer(kExamples);
  const auto add = [&](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->capture_default_str();
  };
  add("--server", options->connect.server, "HOST:PORT of the daemon");
  add("--model", options->model, "Name of the model; not needed where one is served");
  add("--prompt", options->prompt, "What every request asks");
  add("--prompt-tokens", options->prompt_tokens, "Or: so many token ids; 0 is --prompt")
      ->check(CLI::Range(0, 1 << 20));
  add("--max-tokens", options->max_tokens, "Tokens to sample for each")
      ->check(CLI::Range(0, 1 << 20));
  add("--temperature", options->temperature, "0: greedy");
  add("--seed", options->seed, "Of the first request; each next has the next seed");
  add("--streams", options->streams, "Clients; with --rate, the most requests in flight")
      ->check(CLI::Range(1, 4096));
  add("--rate", options->rate, "Requests a second; 0: closed loop")->check(CLI::Range(0.0, 1e6));
  add("--duration", options->duration_seconds, "Seconds during which requests start")
      ->check(CLI::Range(1, 86400));
  add("--requests", options->requests, "Stop after so many; 0: by duration alone");
  add("--timeout", options->timeout_seconds, "Deadline of a request in seconds; 0: none");
  command->add_option("--tls-ca", options->connect.ca_file,
                      "Use TLS, verified against this PEM file");
  command->add_option("--token-file", options->connect.token_file, "File with the bearer token");
  command->add_flag("--json", options->json, "One JSON object on standard output");
  command->callback([options, exit_code] {
    options->connect.tls = !options->connect.ca_file.empty();
    *exit_code = Run(*options);
  });
}

}  // namespace ssmd::bench
