// A SessionService in this process that answers with what it was asked, and remembers the metadata.
#ifndef SSMD_TESTS_UNIT_CLIENTS_FAKE_SESSIONS_H_
#define SSMD_TESTS_UNIT_CLIENTS_FAKE_SESSIONS_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client.h"

namespace ssmd::client {

class FakeSessions final : public v1::SessionService::Service {
 public:
  FakeSessions() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    client_ = Client::Create({.server = "127.0.0.1:" + std::to_string(port)}).value();
  }
  ~FakeSessions() override { server_->Shutdown(); }

  Client& client() { return *client_; }
  // Of the latest call; one call at a time.
  std::string request;
  std::string routed_to;  // x-ssmd-session
  // What exports give, and what they claim to.
  std::vector<std::string> chunks;
  int64_t claimed_bytes = 0;
  // What an import brought, and how it is answered: OK, or at the first message already.
  std::string imported;
  grpc::Status import_refusal;

  grpc::Status CreateSession(grpc::ServerContext* context, const v1::CreateSessionRequest* in,
                             v1::CreateSessionResponse* out) override {
    out->mutable_session()->set_session_id("made");
    return Note(*context, *in);
  }
  grpc::Status ForkSession(grpc::ServerContext* context, const v1::ForkSessionRequest* in,
                           v1::ForkSessionResponse* out) override {
    for (int i = 0; i < in->count(); ++i) {
      out->add_sessions()->set_session_id("child" + std::to_string(i));
    }
    return Note(*context, *in);
  }
  grpc::Status RewindSession(grpc::ServerContext* context, const v1::RewindSessionRequest* in,
                             v1::RewindSessionResponse* out) override {
    out->mutable_session()->set_position(in->position());
    return Note(*context, *in);
  }
  grpc::Status CheckpointSession(grpc::ServerContext* context,
                                 const v1::CheckpointSessionRequest* in,
                                 v1::CheckpointSessionResponse* out) override {
    out->mutable_session()->add_checkpoints()->set_name(in->name());
    return Note(*context, *in);
  }
  grpc::Status ExportSession(grpc::ServerContext* context, const v1::ExportSessionRequest* in,
                             grpc::ServerWriter<v1::ExportSessionResponse>* writer) override {
    Note(*context, *in);
    for (size_t i = 0; i < chunks.size(); ++i) {
      v1::ExportSessionResponse message;
      message.set_chunk(chunks[i]);
      if (i == 0) message.set_total_bytes(claimed_bytes);
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }
  grpc::Status ImportSession(grpc::ServerContext* context,
                             grpc::ServerReader<v1::ImportSessionRequest>* reader,
                             v1::ImportSessionResponse* out) override {
    v1::ImportSessionRequest message;
    if (reader->Read(&message)) Note(*context, message);
    if (!import_refusal.ok()) return import_refusal;
    do {
      imported += message.chunk();
    } while (reader->Read(&message));
    out->mutable_session()->set_session_id("imported");
    return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
  }

 private:
  grpc::Status Note(const grpc::ServerContext& context, const google::protobuf::Message& in) {
    request = in.ShortDebugString();
    const auto found = context.client_metadata().find("x-ssmd-session");
    routed_to = found == context.client_metadata().end()
                    ? ""
                    : std::string(found->second.data(), found->second.size());
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<Client> client_;
};

}  // namespace ssmd::client

#endif  // SSMD_TESTS_UNIT_CLIENTS_FAKE_SESSIONS_H_
