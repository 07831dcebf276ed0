// Start and end of the process: signals, the ready file, the progress line of a model that loads.
#ifndef SSMD_SERVER_LIFECYCLE_H_
#define SSMD_SERVER_LIFECYCLE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "engine/base/clock.h"

namespace ssmd::server {

// Turns SIGTERM and SIGINT into something to wait for; a second one ends the process at once with
// status 1, also when this is gone. SIGPIPE is ignored, and so is SIGHUP: what can be
// reloaded (the token file) reloads by itself. Until it is made, signals do what they do by
// default: a daemon that is still loading has nothing to finish. One a process (signal handlers are
// the process's).
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Calls `tick` every `period` until a signal came, whose number is returned, or tick says false,
  // and then 0 is.
  int Wait(Duration period, const std::function<bool()>& tick);

 private:
  int read_fd_ = -1;
  int write_fd_ = -1;
};

// Written to a temporary file beside it and renamed: whoever sees it sees all of it.
absl::Status WriteReadyFile(const std::string& path, const std::string& grpc_address,
                            const std::string& http_address, int64_t pid);

// Whoever waits for the file must not find one that an earlier daemon left.
void RemoveReadyFile(const std::string& path);

// Says on standard error how far a load is that takes longer than a second: a line that rewrites
// itself on a terminal, else a line for each tenth.
class LoadProgress {
 public:
  LoadProgress(std::string model, bool terminal, const Clock* clock);
  ~LoadProgress();  // ends the terminal's line
  void Update(int64_t bytes_done, int64_t bytes_total);

 private:
  const std::string model_;
  const bool terminal_;
  const Clock* const clock_;
  const TimePoint start_;
  int64_t last_tenth_ = -1;
  int64_t last_percent_ = -1;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_LIFECYCLE_H_
