// Client's streams of MemoryService. See client.h.
#include <utility>

#include "clients/cpp/client.h"

namespace ssmd::client {

struct MemoryStream::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::MemoryRequest, v1::MemoryResponse>> stream;
  std::optional<std::stop_callback<std::function<void()>>> cancel;
  bool finished = false;
};

MemoryStream::MemoryStream(std::unique_ptr<Call> call) : call_(std::move(call)) {}

MemoryStream::MemoryStream(MemoryStream&& other) noexcept = default;

MemoryStream::~MemoryStream() {
  if (call_ == nullptr || call_->finished) return;
  call_->context.TryCancel();
  Finish();
}

Result<v1::MemoryResponse> MemoryStream::Ask(const v1::MemoryRequest& request) {
  v1::MemoryResponse response;
  // A write that fails means that the server has answered: Finish says what.
  if (call_->stream->Write(request) && call_->stream->Read(&response)) return response;
  if (auto error = Finish(); error.has_value()) return *error;
  Error early;
  early.code = grpc::StatusCode::INTERNAL;
  early.message = "the server ended the stream without an answer";
  return early;
}

std::optional<Error> MemoryStream::Finish() {
  call_->stream->WritesDone();
  v1::MemoryResponse dropped;
  while (call_->stream->Read(&dropped)) {
  }
  call_->finished = true;
  return ErrorOf(call_->stream->Finish());
}

MemoryStream Client::Memory(const std::string& session_id, const CallOptions& options) {
  auto call = std::make_unique<MemoryStream::Call>();
  Prepare(options, session_id, &call->context);
  call->stream = memories_->Memory(&call->context);
  call->cancel.emplace(options.cancel, [context = &call->context] { context->TryCancel(); });
  return MemoryStream(std::move(call));
}

}  // namespace ssmd::client
