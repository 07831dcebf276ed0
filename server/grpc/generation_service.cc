// See generation_service.h.
#include "server/grpc/generation_service.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "server/grpc/engine_call.h"
#include "server/grpc/stream_writer.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

// A stream that never began. Deletes itself.
class RefusedStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }

 private:
  ~RefusedStream() override = default;
};

struct ScoreRpc {
  using Message = v1::ScoreRequest;
  using Answer = v1::ScoreResponse;
  using Request = ScoreRequest;
  using Result = ScoreResult;
  static constexpr const char* kName = "Score";
  static constexpr auto kStart = &Engine::Score;

  static void Fill(const Result& result, const ServiceContext& services, const std::string& model,
                   Answer* out) {
    ToProto(
        result, [&](int32_t token) { return services.engine->TokenBytes(model, token); }, out);
  }
};

struct EncodeRpc {
  using Message = v1::EncodeRequest;
  using Answer = v1::EncodeResponse;
  using Request = EncodeRequest;
  using Result = EncodeResult;
  static constexpr const char* kName = "Encode";
  static constexpr auto kStart = &Engine::Encode;

  static void Fill(const Result& result, const ServiceContext& /*services*/,
                   const std::string& /*model*/, Answer* out) {
    ToProto(result, out);
  }
};

}  // namespace

absl::StatusOr<GenerationService::Turn> GenerationService::StartTurn(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes, CallInfo* info,
    std::string* model) {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "Generate", context, info));
  v1::GenerateRequest message;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
  *model = message.model();
  SSMD_ASSIGN_OR_RETURN(GenerateRequest request, FromProto(message, services_.limits));
  SSMD_ASSIGN_OR_RETURN(Admission::Ticket ticket, AdmitWork(services_, info->caller));
  request.tenant = info->caller.tenant;
  if (info->trace.has_value()) request.trace_id = info->trace->trace_id;
  request.deadline = DeadlineOf(*context);
  SSMD_ASSIGN_OR_RETURN(auto stream,
                        services_.engine->Generate(std::move(request), info->request_id));
  return Turn{std::move(stream), std::move(ticket)};
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationService::Generate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  CallInfo info;
  std::string model;
  absl::StatusOr<Turn> turn = StartTurn(context, *request, &info, &model);
  if (!turn.ok()) {
    LogCall(services_, info, turn.status());
    services_.metrics->CountRefused(model, turn.status());
    return new RefusedStream(ToGrpc(turn.status(), context));
  }
  return StreamWriter::Start(services_, context, std::move(turn->stream), std::move(turn->ticket));
}

grpc::ServerUnaryReactor* GenerationService::Score(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  return EngineCall<ScoreRpc>::Start(services_, context, *request, response);
}

grpc::ServerUnaryReactor* GenerationService::Encode(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  return EngineCall<EncodeRpc>::Start(services_, context, *request, response);
}

grpc::ServerUnaryReactor* GenerationService::Tokenize(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return ServeUnary<v1::TokenizeRequest, v1::TokenizeResponse>(
      services_, "Tokenize", context, request, response,
      [this](const CallInfo& info, const v1::TokenizeRequest& in, v1::TokenizeResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(const auto ticket, services_.admission->Enter(info.caller.tenant));
        SSMD_ASSIGN_OR_RETURN(
            const auto ids, services_.engine->Tokenize(in.model(), in.text(), in.parse_special()));
        out->mutable_token_ids()->Add(ids.begin(), ids.end());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GenerationService::Detokenize(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return ServeUnary<v1::DetokenizeRequest, v1::DetokenizeResponse>(
      services_, "Detokenize", context, request, response,
      [this](const CallInfo& info, const v1::DetokenizeRequest& in, v1::DetokenizeResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(const auto ticket, services_.admission->Enter(info.caller.tenant));
        SSMD_ASSIGN_OR_RETURN(*out->mutable_text(),
                              services_.engine->Detokenize(
                                  in.model(), {in.token_ids().begin(), in.token_ids().end()}));
        return absl::OkStatus();
      });
}

}  // namespace ssmd::server
