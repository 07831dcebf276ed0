// See export_call.h.
#include "server/grpc/export_call.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/work_queue.h"

namespace ssmd::server {
grpc::ServerWriteReactor<grpc::ByteBuffer>* ExportCall::Start(const ServiceContext& services,
                                                              grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer& request) {
  auto* call = new ExportCall(services, context);
  if (const absl::Status status = call->Begin(request); !status.ok()) call->End(status);
  return call;
}

absl::Status ExportCall::Begin(const grpc::ByteBuffer& bytes) {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "ExportSession", context_, &info_));
  v1::ExportSessionRequest request;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SSMD_RETURN_IF_ERROR(Validate(request, services_.limits));
  SSMD_ASSIGN_OR_RETURN(ticket_, services_.admission->Enter(info_.caller.tenant));
  SSMD_ASSIGN_OR_RETURN(transfer_, services_.transfers->Enter());
  const auto opened = [this](absl::StatusOr<EncodedSnapshot> snapshot) {
    // Shared, because a std::function must be copyable.
    auto shared = std::make_shared<absl::StatusOr<EncodedSnapshot>>(std::move(snapshot));
    services_.work->Post([this, shared] { Opened(std::move(*shared)); });
  };
  // Nothing of this is touched once the engine has it: the answer may come before it returns.
  PostBlocking(services_,
               [engine = services_.engine, tenant = info_.caller.tenant,
                session_id = request.session_id(), checkpoint = request.checkpoint(),
                opened] { engine->ExportSession(tenant, session_id, checkpoint, opened); });
  return absl::OkStatus();
}

void ExportCall::Opened(absl::StatusOr<EncodedSnapshot> snapshot) {
  if (!snapshot.ok()) {
    End(snapshot.status());
    return;
  }
  snapshot_ = *std::move(snapshot);
  WriteNext();
}

void ExportCall::WriteNext() {
  const size_t size = snapshot_.size();
  if (written_ == size) {
    End(absl::OkStatus());
    return;
  }
  const size_t end = written_ + std::min(kSnapshotPieceBytes, size - written_);
  v1::ExportSessionResponse response;
  response.set_chunk(SnapshotPart(snapshot_, written_, end));
  if (written_ == 0) response.set_total_bytes(static_cast<int64_t>(size));
  if (const absl::Status status = SerializeMessage(response, &message_); !status.ok()) {
    End(status);
    return;
  }
  if (written_ >= next_mark_) {
    wait_.Begin();
    next_mark_ += kPeerMarkBytes;
  }
  written_ = end;
  StartWrite(&message_);
}

void ExportCall::OnWriteDone(bool ok) {
  if (ok) {
    WriteNext();
  } else {
    End(absl::CancelledError("the caller went away"));
  }
}

void ExportCall::End(const absl::Status& status) {
  wait_.End();
  LogCall(services_, info_, status);
  Finish(ToGrpc(status, context_));
}

void ExportCall::OnDone() { delete this; }

}  // namespace ssmd::server
