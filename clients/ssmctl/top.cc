// `ssmctl top`: a live view of the daemon; q or Ctrl-C leaves.
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/interrupt.h"
#include "clients/ssmctl/top_frame.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kTopExamples = R"(Examples:
  ssmctl top
  ssmctl top --once                              # one frame, since the server's start
  ssmctl top --interval 5 --count 12 --json      # one object a frame)";

struct TopOptions {
  double interval_seconds = 1;
  int count = 0;
  bool once = false;
};

// Keys come as they are pressed, and are not shown, for as long as this lives.
class Keys {
 public:
  explicit Keys(bool wanted) {
    if (!wanted || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~Keys() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;
  bool open() const { return changed_; }

 private:
  termios before_{};
  bool changed_ = false;
};

// False when it is time to leave: an interrupt, or q.
bool WaitForNext(const Keys& keys, int wake_fd, double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    const double left =
        std::chrono::duration<double>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    pollfd fds[] = {{wake_fd, POLLIN, 0}, {keys.open() ? STDIN_FILENO : -1, POLLIN, 0}};
    const int ready = ::poll(fds, 2, static_cast<int>(left * 1000) + 1);
    if (ready == 0) return true;
    if (fds[0].revents != 0) return false;
    char key = 0;
    if (fds[1].revents != 0 && (::read(STDIN_FILENO, &key, 1) <= 0 || key == 'q')) return false;
  }
}

std::map<std::string, int64_t> StateBytes(client::Client* client, const Context& context) {
  std::map<std::string, int64_t> bytes;
  const auto models = client->ListModels(context.CallOptions());
  if (!models.ok()) return bytes;
  for (const v1::Model& model : models.value()) {
    bytes[model.name()] = model.state_bytes_per_session();
  }
  return bytes;
}

void Show(const Context& context, const TopFrame& frame, bool screen) {
  if (context.json) {
    JsonWriter writer;
    frame.Write(&writer);
    context.PrintJson(writer);
    return;
  }
  if (screen) std::fputs("\x1b[H\x1b[2J", stdout);  // home and clear
  for (const std::string& line : frame.Lines(context.connect.server)) context.PrintLine(line);
  if (screen) context.PrintLine("\nq leaves");
}

int Run(Context& context, const TopOptions& options) {
  Interrupt interrupt({SIGINT, SIGTERM}, [](int) {});
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const int frames = options.once ? 1 : options.count;
  const bool screen = !context.json && frames != 1 && ::isatty(STDOUT_FILENO) == 1;
  const Keys keys(screen && ::isatty(STDIN_FILENO) == 1);
  const auto state_bytes = StateBytes(client.get(), context);
  v1::GetStatsResponse before;
  for (int shown = 1;; ++shown) {
    const auto stats = client->GetStats(context.CallOptions());
    if (!stats.ok()) return context.Fail(stats.error());
    Show(context, TopFrame(stats.value(), before, state_bytes), screen);
    before = stats.value();
    if (shown == frames) return kOk;
    if (!WaitForNext(keys, interrupt.fd(), options.interval_seconds)) return kOk;
  }
}

}  // namespace

void AddTopCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App* command =
      app.add_subcommand("top", "A live view: slots, queue, rates, latencies, tiers");
  command->footer(kTopExamples);
  command->add_option("--interval", options->interval_seconds, "Seconds between looks [1]")
      ->check(CLI::Range(0.1, 3600.0));
  command->add_option("--count", options->count, "Stop after so many looks; 0: at q or Ctrl-C [0]");
  command->add_flag("--once", options->once, "Only one look");
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
