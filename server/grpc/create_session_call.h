// One CreateSession call: answered when the history that it starts with, if any, has been read.
//
// Lives until OnDone, where it deletes itself. The engine is called on the BlockingPool (it may
// wait for a write of the log) and answers there or on the step thread; the answer is turned into a
// message on the WorkQueue.
#ifndef SSMD_SERVER_GRPC_CREATE_SESSION_CALL_H_
#define SSMD_SERVER_GRPC_CREATE_SESSION_CALL_H_

#include <memory>

#include "server/grpc/call.h"
#include "server/grpc/cancellation.h"

namespace ssmd::server {

class CreateSessionCall final : public grpc::ServerUnaryReactor {
 public:
  static grpc::ServerUnaryReactor* Start(const ServiceContext& services,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response);
  void OnCancel() override;
  void OnDone() override;

 private:
  CreateSessionCall(const ServiceContext& services, grpc::CallbackServerContext* context,
                    grpc::ByteBuffer* response)
      : services_(services), context_(context), response_(response) {}
  ~CreateSessionCall() override = default;

  absl::Status Begin(const grpc::ByteBuffer& bytes);
  void Create(CreateSessionRequest request);
  // A session that starts as another's state.
  void Fork(const std::string& model, const std::string& parent_id, const ForkOptions& options);
  void Answer(const absl::StatusOr<SessionInfo>& result);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallInfo info_;
  Admission::Ticket ticket_;
  // Shared with the thread that calls the engine, which may still hold it when the call has ended.
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_CREATE_SESSION_CALL_H_
