// See import_call.h.
#include "server/grpc/import_call.h"

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"

namespace ssmd::server {
grpc::ServerReadReactor<grpc::ByteBuffer>* ImportCall::Start(const ServiceContext& services,
                                                             grpc::CallbackServerContext* context,
                                                             grpc::ByteBuffer* response) {
  auto* call = new ImportCall(services, context, response);
  if (const absl::Status status = call->Begin(); !status.ok()) {
    call->End(status);
  } else {
    call->wait_.Begin();
    call->StartRead(&call->message_);
  }
  return call;
}

absl::Status ImportCall::Begin() {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "ImportSession", context_, &info_));
  SSMD_ASSIGN_OR_RETURN(ticket_, services_.admission->Enter(info_.caller.tenant));
  SSMD_ASSIGN_OR_RETURN(transfer_, services_.transfers->Enter());
  return absl::OkStatus();
}

void ImportCall::OnReadDone(bool ok) {
  if (ok) {
    if (const absl::Status status = Take(message_); !status.ok()) {
      End(status);
      return;
    }
    StartRead(&message_);
    return;
  }
  // The end of what the caller sends, or of the caller.
  wait_.End();
  if (context_->IsCancelled()) {
    End(absl::CancelledError("the caller went away"));
  } else if (const absl::Status status = CheckWhole(); !status.ok()) {
    End(status);
  } else {
    PostBlocking(services_, [this] { Import(); });
  }
}

absl::Status ImportCall::Take(const grpc::ByteBuffer& bytes) {
  v1::ImportSessionRequest message;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
  if (!options_.has_value()) {
    SSMD_RETURN_IF_ERROR(TakeFirst(message));
  } else {
    SSMD_RETURN_IF_ERROR(ValidateNext(message));
  }
  return TakeChunk(message.chunk());
}

absl::Status ImportCall::TakeFirst(const v1::ImportSessionRequest& first) {
  SSMD_ASSIGN_OR_RETURN(options_, FromProto(first, services_.limits));
  SSMD_ASSIGN_OR_RETURN(most_, services_.engine->SnapshotBytesMax(options_->model));
  if (!first.has_total_bytes()) return absl::OkStatus();
  total_ = first.total_bytes();
  if (*total_ <= most_) return absl::OkStatus();
  return InvalidField(absl::StrCat("total_bytes is ", *total_,
                                   ", and a snapshot for this model has ", most_, " at most"));
}

absl::Status ImportCall::TakeChunk(const std::string& chunk) {
  const int64_t bytes = static_cast<int64_t>(snapshot_.size() + chunk.size());
  if (total_.has_value() && bytes > *total_) {
    return InvalidField(absl::StrCat("total_bytes is ", *total_, ", but more came"));
  }
  if (bytes > most_) {
    return InvalidField(absl::StrCat("the snapshot has more than the ", most_,
                                     " bytes that one for this model can have"));
  }
  // All at once: growing would copy, and hold both. Memory that nothing came for is not used.
  if (snapshot_.empty()) snapshot_.reserve(static_cast<size_t>(total_.value_or(most_)));
  snapshot_ += chunk;
  if (snapshot_.size() >= next_mark_) {
    wait_.Begin();
    next_mark_ = snapshot_.size() + kPeerMarkBytes;
  }
  return absl::OkStatus();
}

absl::Status ImportCall::CheckWhole() const {
  if (snapshot_.empty()) return InvalidField("no chunk of a snapshot came");
  const auto bytes = static_cast<int64_t>(snapshot_.size());
  if (!total_.has_value() || bytes == *total_) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the snapshot was cut off: total_bytes is ", *total_, ", and ", bytes, " came"));
}

void ImportCall::Import() {
  const absl::StatusOr<SessionInfo> session =
      services_.engine->ImportSession(info_.caller.tenant, *options_, snapshot_);
  absl::Status status = session.status();
  if (status.ok()) {
    v1::ImportSessionResponse response;
    ToProto(*session, response.mutable_session());
    status = SerializeMessage(response, response_);
  }
  End(status);
}

void ImportCall::End(const absl::Status& status) {
  wait_.End();
  LogCall(services_, info_, status);
  Finish(ToGrpc(status, context_));
}

void ImportCall::OnDone() { delete this; }

}  // namespace ssmd::server
