// One ExportSession call: a snapshot in chunks, one write at a time.
//
// It holds the snapshot (whose state it shares with the engine) until the caller has taken it, and
// a caller that takes less than a MiB in --slow-reader-timeout is broken off by the StreamWatch.
// Exactly one of {work on the BlockingPool, the engine's answer, work on the WorkQueue, a write at
// gRPC, Finish} is outstanding at any time, and each leads to the next; OnDone, where it deletes
// itself, comes after all of them.
#ifndef SSMD_SERVER_GRPC_EXPORT_CALL_H_
#define SSMD_SERVER_GRPC_EXPORT_CALL_H_

#include <cstddef>

#include "server/access/transfers.h"
#include "server/grpc/call.h"
#include "server/grpc/stream_watch.h"

namespace ssmd::server {

class ExportCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const ServiceContext& services,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& request);
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  ExportCall(const ServiceContext& services, grpc::CallbackServerContext* context)
      : services_(services), context_(context), wait_(services.watch, context) {}
  ~ExportCall() override = default;

  absl::Status Begin(const grpc::ByteBuffer& bytes);
  void Opened(absl::StatusOr<EncodedSnapshot> snapshot);
  // Writes the next chunk, or finishes.
  void WriteNext();
  void End(const absl::Status& status);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  CallInfo info_;
  Admission::Ticket ticket_;
  Transfers::Ticket transfer_;
  EncodedSnapshot snapshot_;
  size_t written_ = 0;        // bytes of it that were handed to gRPC
  size_t next_mark_ = 0;      // where the caller's time starts anew
  grpc::ByteBuffer message_;  // being written
  PeerWait wait_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_EXPORT_CALL_H_
