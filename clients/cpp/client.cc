#include "clients/cpp/client.h"

#include <utility>

#include "clients/cpp/unary_call.h"

namespace ssmd::client {
struct Generation::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader;
  std::optional<std::stop_callback<std::function<void()>>> cancel;
  bool finished = false;
};

Generation::Generation(std::unique_ptr<Call> call) : call_(std::move(call)) {}

Generation::Generation(Generation&& other) noexcept = default;

Generation::~Generation() {
  if (call_ == nullptr || call_->finished) return;
  Cancel();
  Finish();
}

std::optional<v1::GenerateResponse> Generation::Next() {
  v1::GenerateResponse event;
  if (!call_->reader->Read(&event)) return std::nullopt;
  return event;
}

void Generation::Cancel() { call_->context.TryCancel(); }

std::optional<Error> Generation::Finish() {
  v1::GenerateResponse dropped;
  while (call_->reader->Read(&dropped)) {
  }
  call_->finished = true;
  return ErrorOf(call_->reader->Finish());
}

Result<std::shared_ptr<Client>> Client::Create(const ConnectOptions& options) {
  auto connection = Connect(options);
  if (!connection.ok()) return connection.error();
  return std::make_shared<Client>(std::move(connection).value());
}

Client::Client(Connection connection)
    : connection_(std::move(connection)),
      generation_(v1::GenerationService::NewStub(connection_.channel)),
      sessions_(v1::SessionService::NewStub(connection_.channel)),
      memories_(v1::MemoryService::NewStub(connection_.channel)),
      models_(v1::ModelService::NewStub(connection_.channel)),
      admin_(v1::AdminService::NewStub(connection_.channel)) {}

void Client::Prepare(const CallOptions& options, const std::string& session_id,
                     grpc::ClientContext* context) const {
  if (options.timeout.has_value()) {
    context->set_deadline(std::chrono::system_clock::now() + *options.timeout);
  }
  if (!connection_.token.empty()) {
    context->AddMetadata("authorization", "Bearer " + connection_.token);
  }
  // Metadata is ASCII; what is not an id goes to the server in the request alone, to be refused.
  const bool is_id = session_id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!session_id.empty() && is_id) context->AddMetadata("x-ssmd-session", session_id);
}

Generation Client::Generate(const v1::GenerateRequest& request, const CallOptions& options) {
  auto call = std::make_unique<Generation::Call>();
  Prepare(options, request.session_id(), &call->context);
  // Named, it is never applied twice: a proxy may try it again.
  if (!request.request_id().empty()) call->context.AddMetadata("x-ssmd-retry", "safe");
  call->reader = generation_->Generate(&call->context, request);
  call->cancel.emplace(options.cancel, [context = &call->context] { context->TryCancel(); });
  return Generation(std::move(call));
}

std::optional<Error> Client::Generate(
    const v1::GenerateRequest& request, const CallOptions& options,
    const std::function<void(const v1::GenerateResponse&)>& on_event) {
  Generation generation = Generate(request, options);
  while (auto event = generation.Next()) on_event(*event);
  return generation.Finish();
}

Result<v1::ScoreResponse> Client::Score(const v1::ScoreRequest& request,
                                        const CallOptions& options) {
  return Call(&v1::GenerationService::Stub::Score, generation_, request, options);
}

Result<v1::EncodeResponse> Client::Encode(const v1::EncodeRequest& request,
                                          const CallOptions& options) {
  return Call(&v1::GenerationService::Stub::Encode, generation_, request, options);
}

Result<v1::TokenizeResponse> Client::Tokenize(const v1::TokenizeRequest& request,
                                              const CallOptions& options) {
  return Call(&v1::GenerationService::Stub::Tokenize, generation_, request, options);
}

Result<v1::DetokenizeResponse> Client::Detokenize(const v1::DetokenizeRequest& request,
                                                  const CallOptions& options) {
  return Call(&v1::GenerationService::Stub::Detokenize, generation_, request, options);
}

Result<std::vector<v1::Model>> Client::ListModels(const CallOptions& options) {
  auto response =
      Call(&v1::ModelService::Stub::ListModels, models_, v1::ListModelsRequest(), options);
  if (!response.ok()) return response.error();
  const auto& models = response.value().models();
  return std::vector<v1::Model>(models.begin(), models.end());
}

Result<v1::Model> Client::GetModel(const std::string& name, const CallOptions& options) {
  v1::GetModelRequest request;
  request.set_name(name);
  auto response = Call(&v1::ModelService::Stub::GetModel, models_, request, options);
  if (!response.ok()) return response.error();
  return response.value().model();
}

Result<v1::GetStatsResponse> Client::GetStats(const CallOptions& options) {
  return Call(&v1::AdminService::Stub::GetStats, admin_, v1::GetStatsRequest(), options);
}

Result<int> Client::Drain(const CallOptions& options) {
  auto response = Call(&v1::AdminService::Stub::Drain, admin_, v1::DrainRequest(), options);
  if (!response.ok()) return response.error();
  return static_cast<int>(response.value().remaining());
}

}  // namespace ssmd::client
