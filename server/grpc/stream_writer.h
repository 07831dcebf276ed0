// Carries one generation's events to one gRPC caller.
//
// It pulls: an event is popped only when the one before was taken by gRPC's flow control (which the
// engine is told: a partial commit keeps what was taken, and no more), so a
// caller that does not read stops its own generation (the engine pauses it when its bounded queue
// is full) and costs at most one serialised message here. It never blocks; what wakes it is posted
// to the WorkQueue, so the step thread only enqueues a closure.
//
// States: waiting for the engine → writing one message → … → finished. Exactly one of {a callback
// at the OutputStream, a write at gRPC, Finish} is outstanding at any time, and each of them leads
// to the next, so the object is never touched after OnDone, where it deletes itself: gRPC calls
// that once, after Finish and after every other callback. The engine always finishes a stream that
// was cancelled. A cancel that comes during a write is passed on when it is known what became of
// that, which gRPC says soon then.
#ifndef SSMD_SERVER_GRPC_STREAM_WRITER_H_
#define SSMD_SERVER_GRPC_STREAM_WRITER_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/base/mutex.h"
#include "engine/schedule/output_stream.h"
#include "server/access/admission.h"
#include "server/grpc/call.h"
#include "server/grpc/stream_watch.h"

namespace ssmd::server {

class StreamWriter final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // Deletes itself. `ticket` is held until the call ends.
  static StreamWriter* Start(const ServiceContext& services, grpc::CallbackServerContext* context,
                             std::shared_ptr<OutputStream> stream, Admission::Ticket ticket);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  StreamWriter(const ServiceContext& services, grpc::CallbackServerContext* context,
               std::shared_ptr<OutputStream> stream, Admission::Ticket ticket);
  ~StreamWriter() override = default;

  // Writes the next event, or finishes, or waits for either.
  void Pump();
  void Write(const GenerateEvent& event);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  // Shared with the engine, which pushes.
  const std::shared_ptr<OutputStream> stream_;
  const std::optional<TimePoint> deadline_;
  Admission::Ticket ticket_;
  std::string model_;         // as Started names it
  grpc::ByteBuffer message_;  // being written
  PeerWait wait_;             // while it is
  Mutex mutex_;               // OnCancel may come beside any other callback
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool given_up_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_STREAM_WRITER_H_
