#include "clients/bench/grpc_endpoint.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <utility>

#include "clients/cpp/error.h"

namespace ssmd::bench {
namespace {

void SetError(const grpc::Status& status, TurnResult* result) {
  result->error = client::CodeName(status.error_code());
  result->message = status.error_message();
}

v1::GenerateRequest RequestOf(const PlannedTurn& turn, const AskOptions& ask) {
  v1::GenerateRequest request;
  request.set_model(ask.model);
  request.set_max_tokens(turn.max_tokens);
  request.mutable_stop()->set_ignore_eos(ask.ignore_eos);
  request.mutable_sampling()->set_temperature(ask.temperature);
  request.mutable_sampling()->set_seed(turn.seed);
  return request;
}

void AddMessage(v1::ChatRole role, const std::string& content, v1::GenerateRequest* request) {
  auto* const message = request->mutable_messages()->add_messages();
  message->set_role(role);
  message->set_content(content);
}

}  // namespace

// Lives from its making to OnDone, which is the last that gRPC calls.
class GrpcEndpoint::Turn final : public grpc::ClientReadReactor<v1::GenerateResponse> {
 public:
  Turn(GrpcEndpoint* endpoint, v1::GenerateRequest request, std::function<void(TurnResult)> done)
      : loop_(endpoint->loop_), request_(std::move(request)), done_(std::move(done)) {
    endpoint->Prepare(request_.session_id(), &context_);
    endpoint->generation_->async()->Generate(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (event_.has_delta() && !event_.delta().echo() && event_.delta().token_ids_size() > 0) {
      times_.Note(loop_->Now(), event_.delta().token_ids_size());
    }
    if (event_.has_final()) {
      times_.result().prompt_tokens = event_.final().usage().prompt_tokens();
      times_.result().generated_tokens = event_.final().usage().generated_tokens();
    }
    StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    TurnResult& result = times_.result();
    result.end = loop_->Now();
    if (!status.ok()) SetError(status, &result);
    // With the call itself, for whoever hears of its end may give the endpoint up.
    loop_->Post([call = std::unique_ptr<Turn>(this)]() mutable {
      const auto done = std::exchange(call->done_, nullptr);
      TurnResult ended = std::move(call->times_.result());
      call.reset();
      done(std::move(ended));
    });
  }

 private:
  EventLoop* const loop_;
  const v1::GenerateRequest request_;
  std::function<void(TurnResult)> done_;
  grpc::ClientContext context_;
  v1::GenerateResponse event_;
  TokenTimes times_;
};

class GrpcEndpoint::Session final : public Dialogue {
 public:
  Session(GrpcEndpoint* endpoint, std::string system, bool kept)
      : endpoint_(endpoint), system_(std::move(system)), kept_(kept) {}

  // The calls' last references go with what is posted: were a channel's last one to go on a thread
  // of gRPC's, it would wait for itself.
  void Run(const PlannedTurn& turn, std::function<void(TurnResult)> done) override {
    if (!kept_ || !session_id_.empty()) return Ask(turn, std::move(done));
    auto call = std::make_shared<MakeCall>();
    endpoint_->Prepare("", &call->context);
    call->request.set_model(endpoint_->ask_.model);
    endpoint_->sessions_->async()->CreateSession(
        &call->context, &call->request, &call->response,
        [this, call, turn = PlannedTurn(turn),
         done = std::move(done)](const grpc::Status& status) mutable {
          endpoint_->loop_->Post([this, call = std::move(call), turn = std::move(turn),
                                  done = std::move(done), status] {
            if (!status.ok()) {
              TurnResult failed;
              failed.end = endpoint_->loop_->Now();
              SetError(status, &failed);
              return done(std::move(failed));
            }
            session_id_ = call->response.session().session_id();
            Ask(turn, done);
          });
        });
  }

  void Close(std::function<void()> done) override {
    if (session_id_.empty()) return done();
    auto call = std::make_shared<DeleteCall>();
    endpoint_->Prepare(session_id_, &call->context);
    call->request.set_session_id(session_id_);
    endpoint_->sessions_->async()->DeleteSession(
        &call->context, &call->request, &call->response,
        [loop = endpoint_->loop_, call, done = std::move(done)](const grpc::Status&) mutable {
          loop->Post([call = std::move(call), done = std::move(done)] { done(); });
        });
  }

 private:
  template <typename Request, typename Response>
  struct UnaryCall {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  using MakeCall = UnaryCall<v1::CreateSessionRequest, v1::CreateSessionResponse>;
  using DeleteCall = UnaryCall<v1::DeleteSessionRequest, v1::DeleteSessionResponse>;

  void Ask(const PlannedTurn& turn, std::function<void(TurnResult)> done) {
    v1::GenerateRequest request = RequestOf(turn, endpoint_->ask_);
    request.set_session_id(session_id_);
    if (!turn.token_ids.empty()) {
      *request.mutable_token_ids()->mutable_ids() = {turn.token_ids.begin(), turn.token_ids.end()};
    } else if (endpoint_->ask_.chat) {
      if (!system_.empty()) AddMessage(v1::CHAT_ROLE_SYSTEM, system_, &request);
      AddMessage(v1::CHAT_ROLE_USER, turn.text, &request);
      system_.clear();  // the session has it
    } else {
      request.set_text(turn.text);
    }
    new Turn(endpoint_, std::move(request), std::move(done));  // deletes itself
  }

  GrpcEndpoint* const endpoint_;
  std::string system_;
  const bool kept_;
  std::string session_id_;
};

GrpcEndpoint::GrpcEndpoint(EventLoop* loop, const client::Connection& connection, AskOptions ask)
    : loop_(loop),
      token_(connection.token),
      ask_(std::move(ask)),
      generation_(v1::GenerationService::NewStub(connection.channel)),
      sessions_(v1::SessionService::NewStub(connection.channel)) {}

GrpcEndpoint::~GrpcEndpoint() = default;

std::unique_ptr<Dialogue> GrpcEndpoint::Open(const std::string& system, size_t turns) {
  return std::make_unique<Session>(this, system, turns > 1);
}

void GrpcEndpoint::Prepare(const std::string& session_id, grpc::ClientContext* context) const {
  if (ask_.timeout.has_value()) {
    context->set_deadline(std::chrono::system_clock::now() + *ask_.timeout);
  }
  if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
  if (!session_id.empty()) context->AddMetadata("x-ssmd-session", session_id);
}

}  // namespace ssmd::bench
