// See stream_writer.h.
#include "server/grpc/stream_writer.h"

#include <utility>

#include "server/grpc/status.h"
#include "server/work_queue.h"

namespace ssmd::server {
namespace {

// gRPC's clock and ours may differ by this much about when a deadline is.
constexpr std::chrono::milliseconds kClockSlack(10);

}  // namespace

StreamWriter* StreamWriter::Start(const ServiceContext& services,
                                  grpc::CallbackServerContext* context,
                                  std::shared_ptr<OutputStream> stream, Admission::Ticket ticket) {
  auto* writer = new StreamWriter(services, context, std::move(stream), std::move(ticket));
  writer->Pump();
  return writer;
}

StreamWriter::StreamWriter(const ServiceContext& services, grpc::CallbackServerContext* context,
                           std::shared_ptr<OutputStream> stream, Admission::Ticket ticket)
    : services_(services),
      context_(context),
      stream_(std::move(stream)),
      deadline_(DeadlineOf(*context)),
      ticket_(std::move(ticket)),
      wait_(services.watch, context) {}

void StreamWriter::Pump() {
  if (const auto event = stream_->Pop()) {
    Write(*event);
  } else if (const auto status = stream_->status()) {
    Finish(ToGrpc(*status, context_));
  } else {
    stream_->NotifyWhenReady([this] { services_.work->Post([this] { Pump(); }); });
  }
}

void StreamWriter::Write(const GenerateEvent& event) {
  if (const auto* started = std::get_if<StartedEvent>(&event)) model_ = started->model;
  v1::GenerateResponse response;
  ToProto(
      event, [this](int32_t id) { return services_.engine->TokenBytes(model_, id); }, &response);
  if (const absl::Status status = SerializeMessage(response, &message_); !status.ok()) {
    stream_->Cancel();
    Finish(ToGrpc(status));
    return;
  }
  wait_.Begin();
  {
    MutexLock lock(&mutex_);
    writing_ = true;
  }
  StartWrite(&message_);
}

void StreamWriter::OnWriteDone(bool ok) {
  wait_.End();
  bool given_up = false;
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    given_up = given_up_;
  }
  if (ok) stream_->NoteAccepted();
  if (!ok || given_up) stream_->Cancel();
  if (ok) {
    Pump();
  } else {
    // The caller is gone: nobody reads the status, but gRPC wants one.
    Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away"));
  }
}

void StreamWriter::OnCancel() {
  // An expired deadline cancels the call as well. The engine watches the same deadline, and tells a
  // turn that ran out of time from one that was given up.
  if (deadline_.has_value() && std::chrono::steady_clock::now() + kClockSlack >= *deadline_) return;
  {
    // A caller that leaves on reading a message may be heard of before that message is known to be
    // written. A partial commit keeps what it has read.
    MutexLock lock(&mutex_);
    given_up_ = true;
    if (writing_) return;
  }
  stream_->Cancel();
}

void StreamWriter::OnDone() { delete this; }

}  // namespace ssmd::server
