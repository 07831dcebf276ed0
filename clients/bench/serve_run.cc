#include "clients/bench/serve_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <utility>

#include "clients/bench/event_loop.h"
#include "clients/bench/open_server.h"

namespace ssmd::bench {
namespace {

constexpr Duration kProgressEvery = std::chrono::seconds(1);

// Runs one load after the other on one loop, and says how far it is.
class Rounds {
 public:
  Rounds(EventLoop* loop, const ServeOptions& options)
      : loop_(loop), options_(options), signals_(loop->io(), SIGINT) {
    signals_.async_wait([this](auto error, int) {
      if (!error) OnInterrupt();
    });
  }

  bool interrupted() const { return interrupted_; }

  // `next_conversation` is raised past those that were asked.
  LoadReport Run(const OpenedServer& server, const Workload& workload, int round,
                 int64_t first_conversation, int64_t* next_conversation) {
    LoadOptions load_options = options_.load;
    load_options.first_conversation = first_conversation;
    load_options.seed += static_cast<uint64_t>(round);  // every round has its own arrivals
    Load load(loop_, server.endpoint.get(), &workload, load_options, [this] { loop_->Stop(); });
    load_ = &load;
    server_ = &server;
    round_ = round;
    start_ = loop_->Now();
    if (options_.progress) ShowLater(++shown_);
    // Through the loop: it must be running when the load says that it is over.
    loop_->Post([&load] { load.Start(); });
    loop_->Run();
    load_ = nullptr;
    if (options_.progress) std::fprintf(stderr, "\r\033[K");
    *next_conversation = std::max(*next_conversation, load.next_conversation());
    return load.report();
  }

 private:
  void OnInterrupt() {
    interrupted_ = true;
    signals_.clear();  // the next one ends the program
    if (load_ != nullptr) load_->Stop();
    if (options_.progress) std::fprintf(stderr, "\r\033[Kwaiting for what is under way\n");
  }

  void ShowLater(int run) {
    loop_->At(loop_->Now() + kProgressEvery, [this, run] {
      if (run != shown_ || load_ == nullptr) return;
      Show();
      ShowLater(run);
    });
  }

  void Show() const {
    const LoadReport& report = load_->report();
    const Duration planned = options_.load.warm_up + options_.load.duration;
    const double seconds = SecondsOf(loop_->Now() - start_);
    std::string text;
    if (options_.servers.size() > 1 || options_.rounds > 1) {
      text = "round " + std::to_string(round_ + 1) + " of " + std::to_string(options_.rounds) +
             ", " + server_->name + ": ";
    }
    std::fprintf(stderr, "\r\033[K%s%.0f of %.0f s%s, %lld answered, %lld failed, %d in flight",
                 text.c_str(), seconds, SecondsOf(planned),
                 seconds < SecondsOf(options_.load.warm_up) ? " (warm-up)" : "",
                 static_cast<long long>(report.succeeded), static_cast<long long>(report.failed()),
                 load_->in_flight());
    if (load_->waiting() > 0) std::fprintf(stderr, ", %zu wait to be sent", load_->waiting());
    std::fflush(stderr);
  }

  EventLoop* const loop_;
  const ServeOptions& options_;
  boost::asio::signal_set signals_;
  Load* load_ = nullptr;
  const OpenedServer* server_ = nullptr;
  int round_ = 0;
  int shown_ = 0;  // runs whose progress was shown
  TimePoint start_;
  bool interrupted_ = false;
};

// Every request that is under way over HTTP has a connection: more than some systems let a program
// open unless it asks.
void AllowManyConnections() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Ids go where text goes, but for chats and where prompts are put together from what was said.
bool NeedsWords(const ServeOptions& options, const std::vector<OpenedServer>& servers) {
  if (options.ask.chat) return true;
  const Distribution& turns = options.workload.turns;
  if (turns.is_fixed() && turns.fixed() <= 1) return false;
  return std::any_of(servers.begin(), servers.end(),
                     [](const OpenedServer& server) { return server.history == History::kResend; });
}

}  // namespace

client::Result<std::vector<ServerReport>> RunServe(const ServeOptions& options) {
  AllowManyConnections();
  EventLoop loop;
  std::vector<OpenedServer> servers;
  std::vector<ServerReport> reports;
  for (const ServerOptions& server : options.servers) {
    auto opened = OpenServer(&loop, server, options.ask, options.history);
    if (!opened.ok()) return opened.error();
    servers.push_back(std::move(opened).value());
    const OpenedServer& last = servers.back();
    reports.push_back({last.name, last.protocol, NameOf(last.history), {}});
  }
  WorkloadOptions workload_options = options.workload;
  workload_options.chat = options.ask.chat;
  workload_options.as_words = NeedsWords(options, servers);
  const Workload workload(std::move(workload_options));

  Rounds rounds(&loop, options);
  int64_t next_conversation = 0;
  for (int round = 0; round < options.rounds && !rounds.interrupted(); ++round) {
    // Both are asked the same, and no round what one before it was.
    const int64_t first = next_conversation;
    for (size_t i = 0; i < servers.size(); ++i) {
      if (rounds.interrupted()) break;
      reports[i].rounds.push_back(
          rounds.Run(servers[i], workload, round, first, &next_conversation));
    }
  }
  for (ServerReport& report : reports) {
    if (report.rounds.empty()) report.rounds.emplace_back();  // interrupted before its first
  }
  return reports;
}

}  // namespace ssmd::bench
