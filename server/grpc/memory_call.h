// One Memory call: a session of a memory, and what its client does with it, one message after
// another.
//
// Exactly one of {a read, a write, Finish at gRPC; an append, a query at the engine; work on the
// BlockingPool} is outstanding at any time, and each leads to the next, so the object is never
// touched after OnDone, where it deletes itself. What the engine tells is posted to the WorkQueue.
// A cancel gives up the append that is under way; everything else ends soon by itself.
//
// A client may say nothing for as long as it likes: its call holds a ticket of Admission, and is
// broken off when the server drains (StreamWatch `idle`). One that does not read is broken off as
// any other.
#ifndef SSMD_SERVER_GRPC_MEMORY_CALL_H_
#define SSMD_SERVER_GRPC_MEMORY_CALL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/mutex.h"
#include "engine/schedule/output_stream.h"
#include "server/access/admission.h"
#include "server/grpc/call.h"
#include "server/grpc/stream_watch.h"

namespace ssmd::server {

class MemoryCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Deletes itself.
  static MemoryCall* Start(const ServiceContext& services, grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  MemoryCall(const ServiceContext& services, grpc::CallbackServerContext* context);
  ~MemoryCall() override = default;

  absl::Status Begin();
  void WaitForClient();
  // Each begins what ends with Answer or End.
  absl::Status Take(const grpc::ByteBuffer& bytes);
  absl::Status Open(const v1::MemoryOpen& open);
  absl::Status Append(const v1::MemoryAppend& append);
  absl::Status Query(const v1::MemoryQuery& query);

  absl::StatusOr<v1::MemoryOpened> OpenSession(const v1::MemoryOpen& open);
  absl::StatusOr<SessionInfo> CreateSession(const v1::MemoryOpen& open);
  // The events of an append.
  void Pump();
  void Note(const GenerateEvent& event);
  void Answer(const v1::MemoryResponse& response);
  void End(const absl::Status& status);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  CallInfo info_;
  Admission::Ticket ticket_;
  PeerWait idle_;              // for the client's next message
  PeerWait wait_;              // for the client to take an answer
  grpc::ByteBuffer incoming_;  // being read
  grpc::ByteBuffer outgoing_;  // being written
  // Of the session, once it is open.
  std::string session_id_;
  std::string model_;
  MemoryConfig memory_;
  bool temporary_ = false;
  int64_t appends_ = 0;
  v1::MemoryResponse appended_;  // of the append under way, as far as known
  Mutex mutex_;                  // OnCancel may come beside any other callback
  std::shared_ptr<OutputStream> append_ ABSL_GUARDED_BY(mutex_);  // under way
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_MEMORY_CALL_H_
