// See grpc_server.h.
#include "server/grpc/grpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/grpc/admin_service.h"
#include "server/grpc/generation_service.h"
#include "server/grpc/memory_service.h"
#include "server/grpc/model_service.h"
#include "server/grpc/reloading_credentials.h"
#include "server/grpc/session_service.h"

namespace ssmd::server {
namespace {

// Pings tell a connection whose other side is gone without a word: its calls are cancelled then.
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// A client may ping this often; one that pings more is disconnected.
constexpr int kMinPingIntervalMs = 10'000;

void SetLimits(const ServerLimits& limits, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(limits.message_bytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.metadata_bytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.concurrent_streams);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinPingIntervalMs);
  // Two daemons on one port would share its calls.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A few compressed bytes can become gigabytes before any limit sees them.
  for (const auto algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder->SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  grpc::ResourceQuota quota("ssmd");
  quota.Resize(static_cast<size_t>(limits.grpc_memory_bytes));
  builder->SetResourceQuota(quota);
}

class GrpcServerImpl final : public GrpcServer {
 public:
  explicit GrpcServerImpl(const ServiceContext& services)
      : generation_(services),
        session_(services),
        memory_(services),
        model_(services),
        admin_(services) {}
  ~GrpcServerImpl() override { Shutdown(std::chrono::steady_clock::now()); }

  absl::Status Listen(const Config& config) {
    const bool tls = config.certificates != nullptr && config.certificates->Current() != nullptr;
    credentials_ = grpc::InsecureServerCredentials();
    if (tls) credentials_ = std::make_shared<ReloadingCredentials>(config.certificates);
    grpc::ServerBuilder builder;
    SetLimits(config.limits, &builder);
    int port = 0;
    builder.AddListeningPort(config.listen.ToString(), credentials_, &port);
    builder.RegisterService(&generation_);
    builder.RegisterService(&session_);
    builder.RegisterService(&memory_);
    builder.RegisterService(&model_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on --grpc-listen ", config.listen.ToString(),
                       tls ? ": is the port free, and are the TLS files valid?"
                           : ": is the port free, and the address of this machine?"));
    }
    port_ = static_cast<uint16_t>(port);
    SetServing(false);
    SetLive(true);
    return absl::OkStatus();
  }

  uint16_t port() const override { return port_; }

  void SetServing(bool serving) override {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    const std::array<std::string, 6> names = {"",
                                              v1::GenerationService::service_full_name(),
                                              v1::SessionService::service_full_name(),
                                              v1::MemoryService::service_full_name(),
                                              v1::ModelService::service_full_name(),
                                              v1::AdminService::service_full_name()};
    for (const std::string& name : names) health->SetServingStatus(name, serving);
  }

  void SetLive(bool live) override {
    server_->GetHealthCheckService()->SetServingStatus(kLiveHealth, live);
  }

  void Shutdown(TimePoint deadline) override {
    if (server_ == nullptr || shut_down_) return;
    shut_down_ = true;
    const auto left = deadline - std::chrono::steady_clock::now();
    server_->Shutdown(std::chrono::system_clock::now() + std::max(left, Duration::zero()));
    server_->Wait();
  }

 private:
  GenerationService generation_;
  SessionService session_;
  MemoryService memory_;
  ModelService model_;
  AdminService admin_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;  // after the services and credentials, which it calls
  uint16_t port_ = 0;
  bool shut_down_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Config& config,
                                                              const ServiceContext& services) {
  // Process-wide switches of the libraries: health and reflection for every server built from here
  // on; and protobuf would print hostile input on standard error.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  google::protobuf::SetLogHandler(nullptr);
  // gRPC prints what callers do wrong, too; whoever wants that sets its usual variable.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_verbosity(static_cast<gpr_log_severity>(GPR_LOG_SEVERITY_ERROR + 1));
  }
  auto server = std::make_unique<GrpcServerImpl>(services);
  SSMD_RETURN_IF_ERROR(server->Listen(config));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace ssmd::server
