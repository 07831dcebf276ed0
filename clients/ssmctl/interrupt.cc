#include "clients/ssmctl/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace ssmd::ctl {
namespace {

void Raise(int event_fd) {
  const uint64_t one = 1;
  // Cannot fail: the counter of an eventfd is far from full.
  [[maybe_unused]] const ssize_t written = ::write(event_fd, &one, sizeof(one));
}

}  // namespace

Interrupt::Interrupt(std::initializer_list<int> signals, std::function<void(int)> handler)
    : handler_(std::move(handler)) {
  sigemptyset(&signals_);
  for (const int signal : signals) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, &previous_);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  signal_fd_ = ::signalfd(-1, &signals_, SFD_CLOEXEC);
  thread_ = std::thread([this] { Wait(); });
}

Interrupt::~Interrupt() {
  Raise(stop_fd_);
  thread_.join();
  for (const int fd : {wake_fd_, stop_fd_, signal_fd_}) ::close(fd);
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

void Interrupt::Clear() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = ::read(wake_fd_, &count, sizeof(count));
}

void Interrupt::Wait() {
  pollfd fds[] = {{stop_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
  while (true) {
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    Raise(wake_fd_);
    handler_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace ssmd::ctl
