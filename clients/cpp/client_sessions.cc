// Client's calls of SessionService. See client.h.
#include "clients/cpp/client.h"
#include "clients/cpp/unary_call.h"

namespace ssmd::client {
namespace {

// The session of a response that holds one.
template <typename Response>
Result<v1::Session> SessionOf(Result<Response> response) {
  if (!response.ok()) return response.error();
  return response.value().session();
}

}  // namespace

Result<v1::Session> Client::CreateSession(const v1::CreateSessionRequest& request,
                                          const CallOptions& options) {
  // A fork goes where its parent is.
  return SessionOf(Call(&v1::SessionService::Stub::CreateSession, sessions_, request, options,
                        request.fork().session_id()));
}

Result<v1::Session> Client::CreateSession(const std::string& model, const CallOptions& options) {
  v1::CreateSessionRequest request;
  request.set_model(model);
  return CreateSession(request, options);
}

Result<v1::Session> Client::GetSession(const std::string& session_id, const CallOptions& options) {
  v1::GetSessionRequest request;
  request.set_session_id(session_id);
  return SessionOf(
      Call(&v1::SessionService::Stub::GetSession, sessions_, request, options, session_id));
}

Result<v1::ListSessionsResponse> Client::ListSessions(const v1::ListSessionsRequest& request,
                                                      const CallOptions& options) {
  return Call(&v1::SessionService::Stub::ListSessions, sessions_, request, options);
}

Result<std::vector<v1::Session>> Client::ForkSession(const v1::ForkSessionRequest& request,
                                                     const CallOptions& options) {
  auto response = Call(&v1::SessionService::Stub::ForkSession, sessions_, request, options,
                       request.session_id());
  if (!response.ok()) return response.error();
  const auto& sessions = response.value().sessions();
  return std::vector<v1::Session>(sessions.begin(), sessions.end());
}

Result<v1::Session> Client::RewindSession(const v1::RewindSessionRequest& request,
                                          const CallOptions& options) {
  return SessionOf(Call(&v1::SessionService::Stub::RewindSession, sessions_, request, options,
                        request.session_id()));
}

Result<v1::Session> Client::CheckpointSession(const v1::CheckpointSessionRequest& request,
                                              const CallOptions& options) {
  return SessionOf(Call(&v1::SessionService::Stub::CheckpointSession, sessions_, request, options,
                        request.session_id()));
}

std::optional<Error> Client::DeleteSession(const std::string& session_id,
                                           std::optional<uint64_t> expected_revision,
                                           const CallOptions& options) {
  v1::DeleteSessionRequest request;
  request.set_session_id(session_id);
  if (expected_revision.has_value()) request.set_expected_revision(*expected_revision);
  auto response =
      Call(&v1::SessionService::Stub::DeleteSession, sessions_, request, options, session_id);
  if (!response.ok()) return response.error();
  return std::nullopt;
}

std::optional<Error> Client::ExportSession(
    const v1::ExportSessionRequest& request, const CallOptions& options,
    const std::function<bool(std::string_view chunk)>& on_chunk) {
  grpc::ClientContext context;
  Prepare(options, request.session_id(), &context);
  const CancelCallback cancel = CancelOn(options.cancel, &context);
  const auto reader = sessions_->ExportSession(&context, request);
  v1::ExportSessionResponse response;
  int64_t total = 0;
  int64_t came = 0;
  bool wanted = true;
  while (reader->Read(&response)) {
    if (response.total_bytes() > 0) total = response.total_bytes();
    came += static_cast<int64_t>(response.chunk().size());
    if (wanted && !on_chunk(response.chunk())) {
      wanted = false;
      context.TryCancel();
    }
  }
  if (auto error = ErrorOf(reader->Finish())) return error;
  if (came == total) return std::nullopt;
  return Error{grpc::StatusCode::DATA_LOSS,
               "the snapshot was to have " + std::to_string(total) + " bytes, and " +
                   std::to_string(came) + " came",
               "", std::nullopt};
}

Result<v1::Session> Client::ImportSession(const v1::ImportSessionRequest& first,
                                          const CallOptions& options,
                                          const std::function<Result<std::string>()>& next) {
  grpc::ClientContext context;
  Prepare(options, "", &context);
  const CancelCallback cancel = CancelOn(options.cancel, &context);
  v1::ImportSessionResponse response;
  const auto writer = sessions_->ImportSession(&context, &response);
  std::optional<Error> stopped;
  // A write that fails means that the server has answered: Finish says what.
  bool open = writer->Write(first);
  while (open) {
    Result<std::string> chunk = next();
    if (!chunk.ok()) {
      stopped = chunk.error();
      context.TryCancel();
      break;
    }
    if (chunk.value().empty()) break;
    v1::ImportSessionRequest message;
    message.set_chunk(std::move(chunk).value());
    open = writer->Write(message);
  }
  if (open) writer->WritesDone();
  auto error = ErrorOf(writer->Finish());
  if (stopped.has_value()) return *stopped;
  if (error.has_value()) return *error;
  return response.session();
}

}  // namespace ssmd::client
