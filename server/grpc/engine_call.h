// One call with a unary answer that the engine gives when its steps have run.
//
// Lives until OnDone, where it deletes itself. The engine answers on the step thread; the answer is
// turned into a message on the WorkQueue. gRPC calls OnCancel and OnDone only after the handler has
// returned, so `cancel_` is written before it is read.
#ifndef SSMD_SERVER_GRPC_ENGINE_CALL_H_
#define SSMD_SERVER_GRPC_ENGINE_CALL_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/grpc/call.h"
#include "server/telemetry/metrics.h"
#include "server/work_queue.h"

namespace ssmd::server {

// `Rpc` has the types Message (of a request with a model), Answer, Request and Result, kName,
// kStart (the engine's method) and
//   static void Fill(const Result&, const ServiceContext&, const std::string& model, Answer*)
template <typename Rpc>
class EngineCall final : public grpc::ServerUnaryReactor {
 public:
  static grpc::ServerUnaryReactor* Start(const ServiceContext& services,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response) {
    auto* call = new EngineCall(services, context, response);
    if (const absl::Status status = call->Begin(request); !status.ok()) {
      services.metrics->CountRefused(call->model_, status);
      LogCall(services, call->info_, status);
      call->Finish(ToGrpc(status, context));
    }
    return call;
  }
  void OnCancel() override {
    if (cancel_) cancel_();
  }
  void OnDone() override { delete this; }

 private:
  using Result = absl::StatusOr<typename Rpc::Result>;

  EngineCall(const ServiceContext& services, grpc::CallbackServerContext* context,
             grpc::ByteBuffer* response)
      : services_(services), context_(context), response_(response) {}
  ~EngineCall() override = default;

  absl::Status Begin(const grpc::ByteBuffer& bytes) {
    SSMD_RETURN_IF_ERROR(BeginCall(services_, Rpc::kName, context_, &info_));
    typename Rpc::Message message;
    SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
    model_ = message.model();
    SSMD_ASSIGN_OR_RETURN(typename Rpc::Request request, FromProto(message, services_.limits));
    SSMD_ASSIGN_OR_RETURN(ticket_, AdmitWork(services_, info_.caller));
    request.tenant = info_.caller.tenant;
    request.deadline = DeadlineOf(*context_);
    cancel_ = (services_.engine->*Rpc::kStart)(
        std::move(request), info_.request_id,
        [this, caller = std::this_thread::get_id()](Result result) {
          // An answer on this thread came at once: a refusal. Others come from the step
          // thread.
          const bool refused = std::this_thread::get_id() == caller;
          // Shared, because a std::function must be copyable.
          auto shared = std::make_shared<Result>(std::move(result));
          services_.work->Post([this, shared, refused] { Answer(*shared, refused); });
        });
    return absl::OkStatus();
  }

  // `refused`: the engine never accepted the call, and so does not report it.
  void Answer(const Result& result, bool refused) {
    absl::Status status = result.status();
    if (status.ok()) {
      typename Rpc::Answer answer;
      Rpc::Fill(*result, services_, model_, &answer);
      status = SerializeMessage(answer, response_);
    }
    if (refused) {
      services_.metrics->CountRefused(model_, status);
      LogCall(services_, info_, status);
    }
    Finish(ToGrpc(status, context_));
  }

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallInfo info_;
  std::string model_;
  Admission::Ticket ticket_;
  std::function<void()> cancel_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_ENGINE_CALL_H_
