// Carries one generation's events to one gRPC caller.
//
// It pulls: an event is popped only when the one before was taken by gRPC's flow control, so a
// caller that does not read stops its own generation (the engine pauses it when its bounded queue
// is full) and costs at most one serialised message here. It never blocks; what wakes it is posted
// to the WorkQueue, so the step thread only enqueues a closure.
//
// States: waiting for the engine → writing one message → … → finished. Exactly one of {a callback
// at the OutputStream, a write at gRPC, Finish} is outstanding at any time, and each of them leads
// to the next, so the object is never touched after OnDone, where it deletes itself: gRPC calls
// that once, after Finish and after every other callback. The engine always finishes a stream that
// was cancelled.
#ifndef SSMD_SERVER_GRPC_STREAM_WRITER_H_
#define SSMD_SERVER_GRPC_STREAM_WRITER_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "engine/base/mutex.h"
#include "engine/schedule/output_stream.h"
#include "server/access/admission.h"
#include "server/grpc/call.h"

namespace ssmd::server {

class StreamWriter;

// Knows the streams that are open and breaks off calls whose write has been stuck for too long. The
// engine ends the turn of a reader that is too slow by itself; but its error waits behind the
// messages that the reader does not take, and the call with it. Thread-safe.
class StreamWatch {
 public:
  // Breaks off calls whose message was handed to gRPC before `since`. Returns how many.
  int CancelStuck(TimePoint since);
  int open() const;

 private:
  friend class StreamWriter;
  void Add(StreamWriter* writer);
  void Remove(StreamWriter* writer);

  mutable Mutex mutex_;
  std::set<StreamWriter*> writers_ ABSL_GUARDED_BY(mutex_);
};

class StreamWriter final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // Deletes itself. `ticket` is held until the call ends.
  static StreamWriter* Start(const ServiceContext& services, grpc::CallbackServerContext* context,
                             std::shared_ptr<OutputStream> stream, Admission::Ticket ticket);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  friend class StreamWatch;
  StreamWriter(const ServiceContext& services, grpc::CallbackServerContext* context,
               std::shared_ptr<OutputStream> stream, Admission::Ticket ticket);
  ~StreamWriter() override = default;

  // Writes the next event, or finishes, or waits for either.
  void Pump();
  void Write(const GenerateEvent& event);
  bool StuckSince(TimePoint since) const;

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  // Shared with the engine, which pushes.
  const std::shared_ptr<OutputStream> stream_;
  const std::optional<TimePoint> deadline_;
  Admission::Ticket ticket_;
  std::string model_;         // as Started names it
  grpc::ByteBuffer message_;  // being written
  // When message_ was handed to gRPC, in ticks of the steady clock; 0 when none is.
  std::atomic<Duration::rep> writing_since_{0};
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_STREAM_WRITER_H_
