// A daemon over gRPC: conversations of more than one turn are sessions of its, made before their
// first turn (which is part of that turn's time) and deleted after the last.
//
// gRPC's own threads take the time stamps; what they end is handed to the load's thread.
#ifndef SSMD_CLIENTS_BENCH_GRPC_ENDPOINT_H_
#define SSMD_CLIENTS_BENCH_GRPC_ENDPOINT_H_

#include <memory>
#include <string>

#include "clients/bench/endpoint.h"
#include "clients/bench/event_loop.h"
#include "clients/cpp/channel.h"
#include "ssmd/v1/generation.grpc.pb.h"
#include "ssmd/v1/session.grpc.pb.h"

namespace ssmd::bench {

class GrpcEndpoint final : public Endpoint {
 public:
  GrpcEndpoint(EventLoop* loop, const client::Connection& connection, AskOptions ask);
  // REQUIRES: no call is under way; Load waits for that.
  ~GrpcEndpoint() override;

  std::unique_ptr<Dialogue> Open(const std::string& system, size_t turns) override;

 private:
  class Session;
  class Turn;
  void Prepare(const std::string& session_id, grpc::ClientContext* context) const;

  EventLoop* const loop_;
  const std::string token_;
  const AskOptions ask_;
  const std::unique_ptr<v1::GenerationService::Stub> generation_;
  const std::unique_ptr<v1::SessionService::Stub> sessions_;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_GRPC_ENDPOINT_H_
