// See lifecycle.h.
#include "server/lifecycle.h"

#include <fcntl.h>
#include <poll.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ssmd::server {
namespace {

// A signal handler can reach nothing but globals: the pipe's end, and whether a signal came before.
std::atomic<int> signal_pipe{-1};
std::atomic<bool> signal_came{false};

void OnSignal(int number) {
  const int saved_errno = errno;
  if (signal_came.exchange(true)) _exit(1);
  const unsigned char byte = static_cast<unsigned char>(number);
  // Cannot fail on a pipe that holds nothing yet.
  if (write(signal_pipe.load(), &byte, 1) != 1) _exit(1);
  errno = saved_errno;
}

void Install(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(number, &action, nullptr);
}

constexpr int64_t kProgressAfterMs = 1000;

}  // namespace

SignalWatch::SignalWatch() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) std::abort();  // at start: the process has no descriptors at all
  read_fd_ = fds[0];
  write_fd_ = fds[1];
  signal_came.store(false);
  signal_pipe.store(write_fd_);
  Install(SIGPIPE, SIG_IGN);
  Install(SIGHUP, SIG_IGN);
  Install(SIGTERM, OnSignal);
  Install(SIGINT, OnSignal);
}

SignalWatch::~SignalWatch() {
  // After one, what is left is being taken down: the next one still ends that with status 1.
  if (!signal_came.load()) {
    Install(SIGTERM, SIG_DFL);
    Install(SIGINT, SIG_DFL);
  }
  signal_pipe.store(-1);
  close(read_fd_);
  close(write_fd_);
}

int SignalWatch::Wait(Duration period, const std::function<bool()>& tick) {
  const int timeout_ms =
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(period).count());
  for (;;) {
    pollfd waited{read_fd_, POLLIN, 0};
    const int ready = poll(&waited, 1, timeout_ms);
    unsigned char number = 0;
    if (ready > 0 && read(read_fd_, &number, 1) == 1) return number;
    if (ready == 0 && !tick()) return 0;
  }
}

absl::Status WriteReadyFile(const std::string& path, const std::string& grpc_address,
                            const std::string& http_address, int64_t pid) {
  rapidjson::StringBuffer json;
  rapidjson::Writer<rapidjson::StringBuffer> writer(json);
  writer.StartObject();
  writer.Key("grpc");
  writer.String(grpc_address.c_str());
  writer.Key("http");
  writer.String(http_address.c_str());
  writer.Key("pid");
  writer.Int64(pid);
  writer.EndObject();
  const std::string text = absl::StrCat(json.GetString(), "\n");

  const std::string temporary = absl::StrCat(path, ".", pid, ".tmp");
  std::FILE* file = std::fopen(temporary.c_str(), "wbe");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const int error = errno;
  std::remove(temporary.c_str());
  return absl::UnavailableError(
      absl::StrCat("cannot write --ready-file ", path, ": ", std::strerror(error)));
}

void RemoveReadyFile(const std::string& path) {
  if (!path.empty()) std::remove(path.c_str());
}

LoadProgress::LoadProgress(std::string model, bool terminal, const Clock* clock)
    : model_(std::move(model)), terminal_(terminal), clock_(clock), start_(clock->Now()) {}

LoadProgress::~LoadProgress() {
  if (terminal_ && last_percent_ >= 0) std::fputs("\n", stderr);
}

void LoadProgress::Update(int64_t bytes_done, int64_t bytes_total) {
  if (bytes_total <= 0) return;
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock_->Now() - start_);
  if (elapsed.count() < kProgressAfterMs) return;
  const double fraction = static_cast<double>(bytes_done) / static_cast<double>(bytes_total);
  const int64_t percent = static_cast<int64_t>(fraction * 100);
  const bool news = terminal_ ? percent != last_percent_ : percent / 10 != last_tenth_;
  if (!news) return;
  last_percent_ = percent;
  last_tenth_ = percent / 10;
  const bool large = bytes_total >= 1'000'000'000;
  const double unit = large ? 1e9 : 1e6;
  const std::string line =
      absl::StrFormat("loading %s: %d%% of %.1f %s", model_, percent,
                      static_cast<double>(bytes_total) / unit, large ? "GB" : "MB");
  std::fputs((terminal_ ? "\r" + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace ssmd::server
