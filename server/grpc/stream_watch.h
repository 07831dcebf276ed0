// Breaks off calls whose peer keeps them waiting for too long: one that does not take what it asked
// for, or does not send what it announced. (The engine ends the turn of a reader that is too slow
// by itself; but its error waits behind the messages that the reader does not take, and the call
// with it.)
#ifndef SSMD_SERVER_GRPC_STREAM_WATCH_H_
#define SSMD_SERVER_GRPC_STREAM_WATCH_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <cstddef>
#include <set>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd::server {

class PeerWait;

// A peer that takes or sends so much of a snapshot has done something.
inline constexpr size_t kPeerMarkBytes = size_t{1} << 20;

// Thread-safe. Outlives the calls that it watches.
class StreamWatch {
 public:
  // Breaks off calls that have waited since before `since`. Returns how many.
  int CancelStuck(TimePoint since);
  int open() const;

 private:
  friend class PeerWait;
  void Add(PeerWait* wait);
  void Remove(PeerWait* wait);

  mutable Mutex mutex_;
  std::set<PeerWait*> waits_ ABSL_GUARDED_BY(mutex_);
};

// Since when a call waits for its peer, if it does. A member of the call, which gRPC's OnDone
// destroys: until that returns, the context is alive.
class PeerWait {
 public:
  PeerWait(StreamWatch* watch, grpc::ServerContextBase* context);
  ~PeerWait();
  PeerWait(const PeerWait&) = delete;
  PeerWait& operator=(const PeerWait&) = delete;

  void Begin();  // also: the peer has done something; the time starts anew
  void End();

 private:
  friend class StreamWatch;
  StreamWatch* const watch_;
  grpc::ServerContextBase* const context_;
  std::atomic<Duration::rep> since_{0};  // in ticks of the steady clock; 0: it does not wait
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_STREAM_WATCH_H_
