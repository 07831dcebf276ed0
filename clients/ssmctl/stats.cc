// `ssmctl stats`: what the daemon is doing, once; `ssmctl top`: the same, refreshed until Ctrl-C.
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <memory>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/interrupt.h"

namespace ssmd::ctl {
namespace {

void WriteModelStats(const v1::ModelStats& stats, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("model").String(stats.model());
  writer->Key("steps").Unsigned(stats.steps());
  writer->Key("running").Int(stats.running());
  writer->Key("waiting").Int(stats.waiting());
  writer->Key("paused").Int(stats.paused());
  writer->Key("slots_used").Int(stats.slots_used());
  writer->Key("slots_free").Int(stats.slots_free());
  writer->Key("sessions").Int(stats.sessions());
  writer->Key("prompt_tokens").Int(stats.prompt_tokens());
  writer->Key("generated_tokens").Int(stats.generated_tokens());
  writer->Key("reused_tokens").Int(stats.reused_tokens());
  writer->Key("recomputed_tokens").Int(stats.recomputed_tokens());
  writer->Key("early_ends").BeginArray();
  for (const v1::EarlyEnd& end : stats.early_ends()) {
    writer->BeginObject();
    writer->Key("request_id").String(end.request_id());
    writer->Key("reason").String(end.reason());
    writer->Key("noticed_step").Unsigned(end.noticed_step());
    writer->Key("freed_step").Unsigned(end.freed_step());
    writer->EndObject();
  }
  writer->EndArray().EndObject();
}

void PrintStatsJson(const Context& context, const v1::GetStatsResponse& stats) {
  JsonWriter writer;
  writer.BeginObject();
  writer.Key("uptime_seconds").Double(stats.uptime_seconds());
  writer.Key("resident_bytes").Int(stats.resident_bytes());
  writer.Key("draining").Bool(stats.draining());
  writer.Key("models").BeginArray();
  for (const v1::ModelStats& model : stats.models()) WriteModelStats(model, &writer);
  context.PrintJson(writer.EndArray().EndObject());
}

std::string Header(const v1::GetStatsResponse& stats) {
  return absl::StrFormat("up %.0f s, %.1f MB resident%s", stats.uptime_seconds(),
                         static_cast<double>(stats.resident_bytes()) / 1e6,
                         stats.draining() ? ", draining" : "");
}

void PrintStats(const Context& context, const v1::GetStatsResponse& stats) {
  context.PrintLine(Header(stats));
  for (const v1::ModelStats& model : stats.models()) {
    context.PrintLine(absl::StrFormat(
        "%s: %d running, %d waiting, %d paused; %d of %d slots; %d sessions", model.model(),
        model.running(), model.waiting(), model.paused(), model.slots_used(),
        model.slots_used() + model.slots_free(), model.sessions()));
    context.PrintLine(absl::StrFormat(
        "    %d steps; tokens: %d read, %d reused, %d recomputed, %d sampled", model.steps(),
        model.prompt_tokens() - model.reused_tokens(), model.reused_tokens(),
        model.recomputed_tokens(), model.generated_tokens()));
    for (const v1::EarlyEnd& end : model.early_ends()) {
      context.PrintLine(absl::StrFormat("    ended early: %s %s, noticed at step %d, freed at %d",
                                        end.request_id(), end.reason(), end.noticed_step(),
                                        end.freed_step()));
    }
  }
}

int RunStats(Context& context) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto stats = client->GetStats(context.CallOptions());
  if (!stats.ok()) return context.Fail(stats.error());
  if (context.json) {
    PrintStatsJson(context, stats.value());
  } else {
    PrintStats(context, stats.value());
  }
  return kOk;
}

// Rates between two looks at the totals.
class Top {
 public:
  explicit Top(Context& context) : context_(context) {}

  void Show(const v1::GetStatsResponse& stats) {
    // Home and clear; only where there is a screen.
    if (::isatty(STDOUT_FILENO)) std::fputs("\x1b[H\x1b[2J", stdout);
    const double seconds = stats.uptime_seconds() - uptime_seconds_;
    context_.PrintLine("ssmd at " + context_.connect.server + ": " + Header(stats));
    context_.PrintLine(absl::StrFormat("%-20s %7s %7s %7s %11s %8s %10s %10s %8s", "MODEL",
                                       "RUNNING", "WAITING", "PAUSED", "SLOTS", "SESSIONS",
                                       "SAMPLED/S", "READ/S", "STEPS/S"));
    for (const v1::ModelStats& model : stats.models()) ShowModel(model, seconds);
    uptime_seconds_ = stats.uptime_seconds();
  }

 private:
  void ShowModel(const v1::ModelStats& model, double seconds) {
    v1::ModelStats& before = before_[model.model()];
    const auto rate = [&](double now, double then) {
      return seconds > 0 ? (now - then) / seconds : 0.0;
    };
    const auto read = [](const v1::ModelStats& stats) {
      return static_cast<double>(stats.prompt_tokens() - stats.reused_tokens());
    };
    context_.PrintLine(absl::StrFormat(
        "%-20s %7d %7d %7d %5d/%-5d %8d %10.0f %10.0f %8.0f", model.model(), model.running(),
        model.waiting(), model.paused(), model.slots_used(),
        model.slots_used() + model.slots_free(), model.sessions(),
        rate(static_cast<double>(model.generated_tokens()),
             static_cast<double>(before.generated_tokens())),
        rate(read(model), read(before)),
        rate(static_cast<double>(model.steps()), static_cast<double>(before.steps()))));
    before = model;
  }

  Context& context_;
  double uptime_seconds_ = 0;
  std::map<std::string, v1::ModelStats> before_;
};

struct TopOptions {
  double interval_seconds = 1;
  int count = 0;
};

int RunTop(Context& context, const TopOptions& options) {
  Interrupt interrupt({SIGINT, SIGTERM}, [](int) {});
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  Top top(context);
  for (int shown = 1;; ++shown) {
    const auto stats = client->GetStats(context.CallOptions());
    if (!stats.ok()) return context.Fail(stats.error());
    if (context.json) {
      PrintStatsJson(context, stats.value());
    } else {
      top.Show(stats.value());
    }
    if (shown == options.count) return kOk;
    pollfd wake = {interrupt.fd(), POLLIN, 0};
    if (::poll(&wake, 1, static_cast<int>(options.interval_seconds * 1000)) != 0) return kOk;
  }
}

}  // namespace

void AddStatsCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("stats", "What the server is doing");
  command->footer("Examples:\n  ssmctl stats\n  ssmctl stats --json");
  command->callback([&context] { context.exit_code = RunStats(context); });
}

void AddTopCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App* command = app.add_subcommand("top", "The same, again and again, with rates");
  command->footer("Examples:\n  ssmctl top\n  ssmctl top --interval 5 --count 12 --json");
  command->add_option("--interval", options->interval_seconds, "Seconds between looks [1]")
      ->check(CLI::Range(0.1, 3600.0));
  command->add_option("--count", options->count, "Stop after so many looks; 0: at Ctrl-C [0]");
  command->callback([&context, options] { context.exit_code = RunTop(context, *options); });
}

}  // namespace ssmd::ctl
