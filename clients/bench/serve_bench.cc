#include "clients/bench/serve_bench.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clients/bench/chart.h"
#include "clients/bench/report.h"
#include "clients/bench/serve_run.h"

namespace ssmd::bench {
namespace {

constexpr const char* kExamples = R"(Examples:
  ssmd-bench serve --streams 16 --duration 30                    # closed loop: each waits for its answer
  ssmd-bench serve --rate 20 --arrivals poisson --streams 256 --prompt-tokens lognormal:300:0.8
      --max-tokens lognormal:100:0.6 --slo-first-token-ms 500 --slo-inter-token-ms 50    # open loop
  ssmd-bench serve --server http://127.0.0.1:8080 --conversations chats.jsonl --chat --think-time exponential:5
      --streams 64 --duration 300 --warm-up 30 --chart load.svg  # real conversations, over HTTP
  ssmd-bench serve --server 127.0.0.1:50051 --compare http://127.0.0.1:8081 --turns 4 --prompt-tokens 200
      --duration 20 --rounds 5                                   # with llama.cpp's server, in turn

Closed loop: each of --streams clients asks again when it has its answer (and has thought). Open loop
(--rate): conversations start at that rate whatever the answers do, with at most --streams requests in
flight; times count from when each was due, so that what waits to be sent is seen as slow.

Servers: HOST:PORT is ssmd over gRPC, http://HOST:PORT any server with OpenAI's API (/v1/completions,
with --chat /v1/chat/completions). A conversation of several turns is a session of ssmd, or all of it is
sent again each turn (--history).

Lengths and times: 512, uniform:100:500, lognormal:MEDIAN:SIGMA, exponential:MEAN.

--conversations takes JSON lines or one JSON array, a conversation each: an array of strings (the user's
turns) or of {"role": "user", "content": "…"}, or an object with such an array as "messages"; or plain text
with lines of "User: …" and "Assistant: …" and an empty line between conversations. The servers answer for
themselves: what an assistant says in the file is not sent.)";

struct Flags {
  ServerOptions server;
  ServerOptions compare;
  std::string protocol = "auto";
  std::string history = "auto";
  std::string prompt_tokens = "0";
  std::string max_tokens = "128";
  std::string turns = "1";
  std::string think_time = "0";
  std::string arrivals = "fixed";
  std::string conversations;
  std::string chart;
  int rounds = 0;
  int duration_seconds = 10;
  double warm_up_seconds = 0;
  double timeout_seconds = 0;
  bool stop_at_eos = false;
  bool json = false;
  ServeOptions serve;
};

int Fail(const std::string& message) {
  std::fprintf(stderr, "ssmd-bench: %s\n", message.c_str());
  return 1;
}

// What a distribution's flag must be, and at most where it is one value.
std::string DistributionProblem(const std::string& text, double fixed_max) {
  const auto parsed = Distribution::Parse(text);
  if (!parsed.ok()) return parsed.error().message;
  if (parsed.value().is_fixed() && parsed.value().fixed() > fixed_max) {
    return "'" + text + "' is more than " + std::to_string(static_cast<int64_t>(fixed_max));
  }
  return "";
}

// REQUIRES: the flag was checked.
Distribution Parsed(const std::string& text) { return Distribution::Parse(text).value(); }

// What flags mean together. Something for people where that is nothing.
std::string Resolve(Flags* flags) {
  ServeOptions& serve = flags->serve;
  std::string& server = flags->server.connect.server;
  const bool http = server.find("://") != std::string::npos;
  if (flags->protocol == "grpc" && http) return "--protocol grpc wants --server HOST:PORT";
  if (flags->protocol == "http" && !http) server = "http://" + server;
  flags->server.connect.tls = !flags->server.connect.ca_file.empty();
  serve.servers = {flags->server};
  if (!flags->compare.connect.server.empty()) {
    flags->compare.connect.ca_file = flags->server.connect.ca_file;
    flags->compare.connect.tls = flags->server.connect.tls;
    flags->compare.token_of_environment = false;  // it is not for others
    serve.servers.push_back(flags->compare);
  }
  serve.rounds = flags->rounds > 0 ? flags->rounds : serve.servers.size() > 1 ? 5 : 1;

  const std::map<std::string, std::optional<History>> histories = {{"auto", std::nullopt},
                                                                   {"session", History::kSession},
                                                                   {"parent", History::kParent},
                                                                   {"resend", History::kResend}};
  serve.history = histories.at(flags->history);
  serve.ask.ignore_eos = !flags->stop_at_eos;
  if (flags->timeout_seconds > 0) {
    serve.ask.timeout =
        std::chrono::milliseconds(static_cast<int64_t>(flags->timeout_seconds * 1000));
  }
  WorkloadOptions& workload = serve.workload;
  workload.lengths = flags->prompt_tokens != "0";
  workload.prompt_tokens = Parsed(flags->prompt_tokens);
  workload.max_tokens = Parsed(flags->max_tokens);
  workload.turns = Parsed(flags->turns);
  workload.think_seconds = Parsed(flags->think_time);
  if (!flags->conversations.empty()) {
    auto conversations = ReadConversations(flags->conversations);
    if (!conversations.ok()) return "--conversations: " + conversations.error().message;
    workload.conversations = std::move(conversations).value();
  }
  LoadOptions& load = serve.load;
  load.arrivals = flags->arrivals == "poisson" ? Arrivals::Kind::kPoisson : Arrivals::Kind::kFixed;
  load.duration = std::chrono::seconds(flags->duration_seconds);
  load.warm_up = DurationOf(flags->warm_up_seconds);
  load.seed = workload.seed;
  serve.progress = isatty(STDERR_FILENO) == 1;
  return "";
}

void WriteChart(const LoadOptions& load, const std::vector<ServerReport>& reports,
                std::ofstream* file) {
  std::vector<ChartSeries> series;
  series.reserve(reports.size());
  for (const ServerReport& report : reports) series.push_back({report.server, report.Total()});
  char title[96];
  if (load.rate > 0) {
    std::snprintf(title, sizeof(title), "Open loop, %g arrivals a second", load.rate);
  } else {
    std::snprintf(title, sizeof(title), "Closed loop, %d clients", load.streams);
  }
  *file << ChartSvg(title, series);
}

int Run(Flags* flags) {
  if (const std::string problem = Resolve(flags); !problem.empty()) return Fail(problem);
  std::ofstream chart;
  if (!flags->chart.empty()) {
    chart.open(flags->chart, std::ios::binary);  // before the load: not to have run for nothing
    if (!chart) return Fail("--chart: cannot write " + flags->chart);
  }
  auto reports = RunServe(flags->serve);
  if (!reports.ok()) return Fail(client::ToString(reports.error()));
  const std::string text = flags->json ? ReportJson(flags->serve.load, reports.value()) + "\n"
                                       : ReportText(flags->serve.load, reports.value());
  std::fputs(text.c_str(), stdout);
  if (!flags->chart.empty()) {
    WriteChart(flags->serve.load, reports.value(), &chart);
    chart.close();
    if (!chart) return Fail("--chart: cannot write " + flags->chart);
  }
  for (const ServerReport& report : reports.value()) {
    if (report.Total().succeeded == 0) return 1;
  }
  return 0;
}

class FlagAdder {
 public:
  explicit FlagAdder(CLI::App* command) : command_(command) {}

  template <typename Value>
  CLI::Option* Add(const char* name, Value& value, const char* help) {
    return command_->add_option(name, value, help)->group(group_)->capture_default_str();
  }
  void AddDistribution(const char* name, std::string& value, double fixed_max, const char* help) {
    command_->add_option(name, value, help)
        ->group(group_)
        ->capture_default_str()
        ->check(CLI::Validator(
            [fixed_max](const std::string& text) { return DistributionProblem(text, fixed_max); },
            "LENGTHS"));
  }
  void Group(const char* name) { group_ = name; }

 private:
  CLI::App* const command_;
  std::string group_ = "Options";
};

void AddServerFlags(FlagAdder* add, Flags* flags) {
  add->Group("Servers");
  add->Add("--server", flags->server.connect.server,
           "HOST:PORT of the daemon (gRPC), or http://HOST:PORT of any server with OpenAI's API");
  add->Add("--protocol", flags->protocol, "What --server speaks; auto: as its address says")
      ->check(CLI::IsMember({"auto", "grpc", "http"}));
  add->Add("--model", flags->server.model, "Name of the model; not needed where one is served");
  add->Add("--token-file", flags->server.connect.token_file,
           "File with the bearer token [the variable SSMD_TOKEN]");
  add->Add("--compare", flags->compare.connect.server,
           "Another server, loaded in turn with the first: A, B, A, B, …");
  add->Add("--compare-model", flags->compare.model, "Its model");
  add->Add("--compare-token-file", flags->compare.connect.token_file, "Its token");
  add->Add("--rounds", flags->rounds, "Rounds of each server; 0: 5 with --compare, otherwise 1")
      ->check(CLI::Range(0, 1000));
  add->Add("--tls-ca", flags->server.connect.ca_file,
           "gRPC: use TLS, verified against this PEM file");
}

void AddAskFlags(FlagAdder* add, Flags* flags) {
  ServeOptions& serve = flags->serve;
  add->Group("What is asked");
  add->Add("--prompt", serve.workload.prompt, "What every request asks");
  add->AddDistribution("--prompt-tokens", flags->prompt_tokens, Workload::kTokensMax,
                       "Or: prompts of so many tokens, each another; 0 is --prompt");
  add->Add("--shared-prefix-tokens", serve.workload.shared_prefix_tokens,
           "Of them, the first so many are the same for all, as a system prompt is")
      ->check(CLI::Range(0, Workload::kTokensMax));
  add->Add("--conversations", flags->conversations, "Or: what users say in this file, see below");
  add->AddDistribution("--turns", flags->turns, Workload::kTurnsMax,
                       "Turns of a conversation that is not from a file");
  add->AddDistribution("--think-time", flags->think_time, 86400,
                       "Seconds between an answer and the next turn");
  add->Add("--history", flags->history,
           "Later turns over HTTP: go on with a session of ssmd, go on from the parent (the answer "
           "before), or resend everything; auto: session with ssmd, otherwise resend")
      ->check(CLI::IsMember({"auto", "session", "parent", "resend"}));
  add->AddDistribution("--max-tokens", flags->max_tokens, Workload::kTokensMax,
                       "Tokens to sample for each");
  add->Add("--temperature", serve.ask.temperature, "0: greedy");
  add->Add("--seed", serve.workload.seed,
           "Of the first request; each next has the next seed. Also of all that is drawn here");
}

void AddLoadFlags(FlagAdder* add, Flags* flags) {
  LoadOptions& load = flags->serve.load;
  add->Group("Load");
  add->Add("--streams", load.streams, "Clients; with --rate, the most requests in flight")
      ->check(CLI::Range(1, 4096));
  add->Add("--rate", load.rate, "Requests (or conversations) that start a second; 0: closed loop")
      ->check(CLI::Range(0.0, 1e6));
  add->Add("--arrivals", flags->arrivals, "With --rate: evenly spaced, or independent")
      ->check(CLI::IsMember({"fixed", "poisson"}));
  add->Add("--duration", flags->duration_seconds,
           "Seconds (of each round) during which requests start")
      ->check(CLI::Range(1, 86400));
  add->Add("--warm-up", flags->warm_up_seconds, "Seconds of load before, which do not count")
      ->check(CLI::Range(0.0, 86400.0));
  add->Add("--requests", load.requests, "Stop (each round) after so many; 0: by duration alone")
      ->check(CLI::NonNegativeNumber);
  add->Add("--timeout", flags->timeout_seconds, "Deadline of a request in seconds; 0: none")
      ->check(CLI::Range(0.0, 1e6));
}

void AddReportFlags(FlagAdder* add, Flags* flags) {
  Objectives& objectives = flags->serve.load.objectives;
  add->Group("Report");
  add->Add("--slo-first-token-ms", objectives.first_token_ms,
           "Goodput counts requests whose first token came within this")
      ->check(CLI::PositiveNumber);
  add->Add("--slo-inter-token-ms", objectives.inter_token_ms,
           "And whose gaps between tokens were within this at their 99th percentile")
      ->check(CLI::PositiveNumber);
  add->Add("--chart", flags->chart, "Draw what was measured into this SVG file");
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  const auto flags = std::make_shared<Flags>();
  flags->server.connect.server = "127.0.0.1:50051";
  flags->serve.workload.prompt = "Once upon a time";
  CLI::App* command =
      app.add_subcommand("serve", "Load a running server with clients, and say what they saw");
  command->footer(kExamples);
  FlagAdder add(command);
  AddServerFlags(&add, flags.get());
  AddAskFlags(&add, flags.get());
  command
      ->add_flag("--chat", flags->serve.ask.chat, "Ask with messages of a chat, and not with text")
      ->group("What is asked");
  command
      ->add_flag("--stop-at-eos", flags->stop_at_eos,
                 "Let answers end by themselves; otherwise ignore_eos makes them --max-tokens long")
      ->group("What is asked");
  AddLoadFlags(&add, flags.get());
  AddReportFlags(&add, flags.get());
  command->add_flag("--json", flags->json, "One JSON object on standard output")->group("Report");
  command->callback([flags, exit_code] { *exit_code = Run(flags.get()); });
}

}  // namespace ssmd::bench
