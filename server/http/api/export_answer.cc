// See export_answer.h.
#include "server/http/api/export_answer.h"

#include <algorithm>
#include <utility>

namespace ssmd::server {

void ExportAnswer::Start(EncodedSnapshot snapshot, std::shared_ptr<Exchange> exchange,
                         std::vector<std::shared_ptr<void>> held) {
  const std::shared_ptr<ExportAnswer> answer(
      new ExportAnswer(std::move(snapshot), std::move(exchange), std::move(held)));
  HttpResponse head;
  head.content_type = "application/octet-stream";
  head.headers = {{"Content-Disposition", "attachment; filename=\"session.ssm\""}};
  answer->exchange_->Begin(std::move(head), "");
  answer->exchange_->Post([answer] { answer->WriteNext(); });
}

void ExportAnswer::WriteNext() {
  const size_t end = std::min(snapshot_.size(), written_ + kSnapshotPieceBytes);
  if (written_ == end) {
    exchange_->End();
    return;
  }
  std::string piece = SnapshotPart(snapshot_, written_, end);
  written_ = end;
  exchange_->Write(std::move(piece), [self = shared_from_this()](bool ok) {
    if (ok) self->WriteNext();
  });
}

}  // namespace ssmd::server
