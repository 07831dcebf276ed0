// One Score call: a unary answer that the engine gives when its steps have run.
//
// Lives until OnDone, where it deletes itself. The engine answers on the step thread; the answer is
// turned into a message on the WorkQueue. gRPC calls OnCancel and OnDone only after the handler has
// returned, so `cancel_` is written before it is read.
#ifndef SSMD_SERVER_GRPC_SCORE_CALL_H_
#define SSMD_SERVER_GRPC_SCORE_CALL_H_

#include <functional>
#include <string>

#include "server/grpc/call.h"

namespace ssmd::server {

class ScoreCall final : public grpc::ServerUnaryReactor {
 public:
  static grpc::ServerUnaryReactor* Start(const ServiceContext& services,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response);
  void OnCancel() override;
  void OnDone() override;

 private:
  ScoreCall(const ServiceContext& services, grpc::CallbackServerContext* context,
            grpc::ByteBuffer* response)
      : services_(services), context_(context), response_(response) {}
  ~ScoreCall() override = default;

  absl::Status Begin(const grpc::ByteBuffer& bytes);
  // `refused`: the engine never accepted the call, and so does not report it.
  void Answer(const absl::StatusOr<ScoreResult>& result, bool refused);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallInfo info_;
  std::string model_;
  Admission::Ticket ticket_;
  std::function<void()> cancel_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_SCORE_CALL_H_
