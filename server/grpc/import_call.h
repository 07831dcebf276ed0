// One ImportSession call: collects a snapshot, hands it to the engine.
//
// What it holds is bounded by what the named model's snapshots can have, and refused early where
// the caller says that there is more. A caller that sends less than a MiB in --slow-reader-timeout
// is broken off by the StreamWatch. Exactly one of {a read at gRPC, work on the BlockingPool,
// Finish} is outstanding at any time; OnDone, where it deletes itself, comes after all of them.
#ifndef SSMD_SERVER_GRPC_IMPORT_CALL_H_
#define SSMD_SERVER_GRPC_IMPORT_CALL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "server/access/transfers.h"
#include "server/grpc/call.h"
#include "server/grpc/stream_watch.h"

namespace ssmd::server {

class ImportCall final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  static grpc::ServerReadReactor<grpc::ByteBuffer>* Start(const ServiceContext& services,
                                                          grpc::CallbackServerContext* context,
                                                          grpc::ByteBuffer* response);
  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  ImportCall(const ServiceContext& services, grpc::CallbackServerContext* context,
             grpc::ByteBuffer* response)
      : services_(services),
        context_(context),
        response_(response),
        wait_(services.watch, context) {}
  ~ImportCall() override = default;

  absl::Status Begin();
  absl::Status Take(const grpc::ByteBuffer& bytes);
  absl::Status TakeFirst(const v1::ImportSessionRequest& first);
  absl::Status TakeChunk(const std::string& chunk);
  // Nothing is missing.
  absl::Status CheckWhole() const;
  void Import();
  void End(const absl::Status& status);

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallInfo info_;
  Admission::Ticket ticket_;
  Transfers::Ticket transfer_;
  grpc::ByteBuffer message_;                      // being read
  std::optional<Engine::ImportOptions> options_;  // absent: no message came yet
  int64_t most_ = 0;                              // bytes that the snapshot may have
  std::optional<int64_t> total_;                  // and those that it was said to have
  std::string snapshot_;                          // so far
  size_t next_mark_ = 0;                          // where the caller's time starts anew
  PeerWait wait_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_IMPORT_CALL_H_
