// See report.h: for people.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/bench/report.h"
#include "clients/ssmctl/text.h"

namespace ssmd::bench {
namespace {

constexpr size_t kTurnsShown = 16;
constexpr size_t kMessageBytesShown = 200;

// What a server said, fit for a terminal.
std::string Shown(const std::string& text) {
  std::string line = ctl::ForTerminal(ctl::LossyUtf8(text.substr(0, kMessageBytesShown)));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string TimesLine(const std::string& name, const Samples& samples) {
  const Percentiles times = samples.Summary();
  return absl::StrFormat("%-14s %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, times.mean, times.p50,
                         times.p90, times.p95, times.p99, times.max);
}

std::string TimesHead() {
  return absl::StrFormat("%-14s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90",
                         "p95", "p99", "max");
}

std::string ErrorsText(const LoadReport& load) {
  std::string text;
  for (const auto& [code, count] : load.errors) {
    absl::StrAppendFormat(&text, "failed: %d %s", count, Shown(code));
    const auto message = load.error_messages.find(code);
    if (message != load.error_messages.end() && !message->second.empty()) {
      absl::StrAppend(&text, " (the first: ", Shown(message->second), ")");
    }
    text += '\n';
  }
  return text;
}

std::string GoodputText(const Objectives& objectives, const LoadReport& load) {
  if (!objectives.any()) return "";
  std::string wanted;
  if (objectives.first_token_ms) {
    absl::StrAppendFormat(&wanted, "first token within %g ms", *objectives.first_token_ms);
  }
  if (objectives.inter_token_ms) {
    absl::StrAppendFormat(&wanted, "%sinter-token p99 within %g ms", wanted.empty() ? "" : ", ",
                          *objectives.inter_token_ms);
  }
  return absl::StrFormat("goodput: %.1f%% of requests, %.2f a second (%s)\n",
                         100 * load.good_share(), load.PerSecond(static_cast<double>(load.good)),
                         wanted);
}

std::string TurnsText(const LoadReport& load) {
  const auto& turns = load.first_token_by_turn;
  if (turns.size() < 2) return "";
  std::string text = "first token by turn\n";
  for (size_t i = 0; i < std::min(turns.size(), kTurnsShown); ++i) {
    text += TimesLine(absl::StrCat("  turn ", i + 1), turns[i]);
  }
  if (turns.size() > kTurnsShown) {
    absl::StrAppendFormat(&text, "  and %d more turns (--json has all)\n",
                          turns.size() - kTurnsShown);
  }
  return text;
}

std::string LoadText(const LoadOptions& options, const LoadReport& load) {
  std::string text =
      absl::StrFormat("%d requests in %.1f s: %.1f a second, %.0f tokens a second\n",
                      load.succeeded, load.seconds, load.requests_per_s(), load.tokens_per_s());
  text += ErrorsText(load) + GoodputText(options.objectives, load) + TimesHead();
  text += TimesLine("first token", load.first_token_ms);
  text += TimesLine("inter-token", load.inter_token_ms);
  text += TimesLine("whole request", load.total_ms);
  if (options.rate > 0) text += TimesLine("until sent", load.send_delay_ms);
  return text + TurnsText(load);
}

std::string RatiosText(const ServerReport& first, const ServerReport& second) {
  const LoadReport a = first.Total();
  const LoadReport b = second.Total();
  std::string text = absl::StrFormat("%-24s %10s %10s %8s   %s\n", "all rounds together", "A", "B",
                                     "A by B", "rounds: median (least to most)");
  for (const Figure& figure : Figures()) {
    const double value_a = figure.value(a);
    const double value_b = figure.value(b);
    absl::StrAppendFormat(&text, "%-24s %10.2f %10.2f", figure.label, value_a, value_b);
    if (value_a > 0 && value_b > 0) absl::StrAppendFormat(&text, " %8.2f", value_a / value_b);
    const Ratio ratio = RatioOf(figure, first, second);
    if (ratio.rounds > 0) {
      absl::StrAppendFormat(&text, "   %.2f (%.2f to %.2f)", ratio.median, ratio.min, ratio.max);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string ReportText(const LoadOptions& options, const std::vector<ServerReport>& servers) {
  if (servers.size() == 1) return LoadText(options, servers[0].Total());
  std::string text;
  const char* const names[] = {"A", "B"};
  for (size_t i = 0; i < servers.size(); ++i) {
    absl::StrAppendFormat(&text, "%s: %s\n", names[i], Shown(servers[i].server));
    absl::StrAppend(&text, LoadText(options, servers[i].Total()), "\n");
  }
  return text + RatiosText(servers[0], servers[1]);
}

}  // namespace ssmd::bench
