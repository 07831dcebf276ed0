// Ctrl-C and friends as events. While an Interrupt lives, the given signals do not end the process:
// a thread of its own waits for them and calls the handler.
//
// Make it before anything starts threads (gRPC does): they inherit the blocked signals, and one
// that did not would take the signal itself.
#ifndef SSMD_CLIENTS_SSMCTL_INTERRUPT_H_
#define SSMD_CLIENTS_SSMCTL_INTERRUPT_H_

#include <csignal>
#include <functional>
#include <initializer_list>
#include <thread>

namespace ssmd::ctl {

class Interrupt {
 public:
  // `handler` runs on the waiting thread with the signal's number.
  Interrupt(std::initializer_list<int> signals, std::function<void(int)> handler);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Readable from the first signal until Clear(): for poll(2) beside other input.
  int fd() const { return wake_fd_; }
  void Clear();

 private:
  void Wait();

  const std::function<void(int)> handler_;
  sigset_t signals_;
  sigset_t previous_;
  int wake_fd_ = -1;
  int stop_fd_ = -1;
  int signal_fd_ = -1;
  std::thread thread_;
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_INTERRUPT_H_
