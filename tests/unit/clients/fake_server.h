// A server in this process whose answers a test decides, and which remembers what it was asked.
#ifndef SSMD_TESTS_UNIT_CLIENTS_FAKE_SERVER_H_
#define SSMD_TESTS_UNIT_CLIENTS_FAKE_SERVER_H_

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/client.h"

namespace ssmd::client {

class FakeServer final : public v1::GenerationService::Service {
 public:
  using Writer = grpc::ServerWriter<v1::GenerateResponse>;
  using Handler =
      std::function<grpc::Status(grpc::ServerContext*, const v1::GenerateRequest&, Writer*)>;

  explicit FakeServer(Handler handler) : handler_(std::move(handler)) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeServer() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }
  // Null unless a default health check service was enabled before this was made.
  grpc::HealthCheckServiceInterface* health() const { return server_->GetHealthCheckService(); }
  std::shared_ptr<Client> Connect() const { return Client::Create({.server = address_}).value(); }

  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        Writer* writer) override {
    return handler_(context, *request, writer);
  }

 private:
  const Handler handler_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

inline v1::GenerateResponse DeltaOf(const std::string& text, int tokens) {
  v1::GenerateResponse event;
  event.mutable_delta()->set_text(text);
  for (int i = 0; i < tokens; ++i) event.mutable_delta()->add_token_ids(i);
  return event;
}

}  // namespace ssmd::client

#endif  // SSMD_TESTS_UNIT_CLIENTS_FAKE_SERVER_H_
