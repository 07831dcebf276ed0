// A thread that lets the engine keep house now and then: end sessions whose time is over, store
// states, shorten the log. All of it may wait for a disk, so no other thread does it.
#ifndef SSMD_SERVER_HOUSEKEEPER_H_
#define SSMD_SERVER_HOUSEKEEPER_H_

#include <optional>
#include <string_view>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/engine.h"
#include "server/telemetry/log.h"

namespace ssmd::server {

class Housekeeper {
 public:
  // Everything outlives it. `clock` is for the log alone.
  Housekeeper(Engine* engine, Log* log, Duration period, const Clock* clock);
  ~Housekeeper() { Stop(); }
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  // Returns when the engine's call in progress has. Idempotent; one thread.
  void Stop();

 private:
  static constexpr std::string_view kStoreBack = "shared_store_back";

  void Run();
  // An error that stays is said once a minute.
  void Report(const absl::Status& status);
  // That the shared store of sessions went or refuses this replica, and why, and that it is back.
  void ReportStore();

  Engine* const engine_;
  Log* const log_;
  const Duration period_;
  const Clock* const clock_;
  std::optional<TimePoint> reported_at_;  // the thread's own
  std::string_view said_ = kStoreBack;    // likewise: of the store, last
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HOUSEKEEPER_H_
