// A client of ssmd over gRPC, for programs in C++: the stubs of ssmd.v1 with connecting, tokens,
// deadlines, cancellation and errors taken care of.
//
//     auto client = ssmd::client::Client::Create({.server = "127.0.0.1:50051"});
//     if (!client.ok()) …client.error().message…
//     ssmd::v1::GenerateRequest request;
//     request.set_text("Once upon a time");
//     auto error = client.value()->Generate(request, {}, [](const ssmd::v1::GenerateResponse&
//     event) {
//       if (event.has_delta()) std::cout << event.delta().text();
//     });
//
// A Client is thread-safe and is meant to be shared: its calls run over one connection. Calls block
// until they end, their timeout passes or their stop token is triggered; a cancelled call is
// cancelled at the server too. No exceptions: every call returns a Result or an optional Error.
#ifndef SSMD_CLIENTS_CPP_CLIENT_H_
#define SSMD_CLIENTS_CPP_CLIENT_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/channel.h"
#include "clients/cpp/error.h"
#include "ssmd/v1/admin.grpc.pb.h"
#include "ssmd/v1/generation.grpc.pb.h"
#include "ssmd/v1/memory.grpc.pb.h"
#include "ssmd/v1/model.grpc.pb.h"
#include "ssmd/v1/session.grpc.pb.h"

namespace ssmd::client {

// What a server says of itself over grpc.health.v1.
enum class Health : unsigned char {
  kUnknown,
  kServing,
  kNotServing,  // it starts, drains or has lost its device
};

struct CallOptions {
  std::optional<std::chrono::milliseconds> timeout = {};  // none: as long as it takes
  std::stop_token cancel = {};                            // triggering it cancels the call
};

// A generation in progress, event by event. Destroying it before its end cancels it.
//
// One thread calls Next and Finish; Cancel may come from any.
class Generation {
 public:
  Generation(Generation&& other) noexcept;
  Generation& operator=(Generation&&) = delete;
  ~Generation();

  // The next event; nullopt when there are no more, and then Finish says why.
  std::optional<v1::GenerateResponse> Next();
  void Cancel();
  // Nothing when the turn was committed. Events that were not pulled are dropped. Call it once.
  std::optional<Error> Finish();

 private:
  friend class Client;
  struct Call;
  explicit Generation(std::unique_ptr<Call> call);

  std::unique_ptr<Call> call_;
};

// A session of a memory, open to be appended to and asked. Destroying it before its end cancels it.
//
// One thread at a time calls it.
class MemoryStream {
 public:
  MemoryStream(MemoryStream&& other) noexcept;
  MemoryStream& operator=(MemoryStream&&) = delete;
  ~MemoryStream();

  // The answer to a message. After an error the stream is over.
  Result<v1::MemoryResponse> Ask(const v1::MemoryRequest& request);
  // Says that no more comes. Nothing is returned when all went well. Call it once.
  std::optional<Error> Finish();

 private:
  friend class Client;
  struct Call;
  explicit MemoryStream(std::unique_ptr<Call> call);

  std::unique_ptr<Call> call_;
};

class Client {
 public:
  // Does not wait for the server: an unreachable one shows as UNAVAILABLE in the first call.
  static Result<std::shared_ptr<Client>> Create(const ConnectOptions& options);
  explicit Client(Connection connection);

  Generation Generate(const v1::GenerateRequest& request, const CallOptions& options);
  // The same, with a callback for each event, on the calling thread. Nothing is returned when the
  // turn was committed.
  std::optional<Error> Generate(const v1::GenerateRequest& request, const CallOptions& options,
                                const std::function<void(const v1::GenerateResponse&)>& on_event);

  Result<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallOptions& options = {});
  Result<v1::EncodeResponse> Encode(const v1::EncodeRequest& request,
                                    const CallOptions& options = {});
  Result<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                        const CallOptions& options = {});
  Result<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                            const CallOptions& options = {});

  Result<v1::Session> CreateSession(const v1::CreateSessionRequest& request,
                                    const CallOptions& options = {});
  // With an empty history.
  Result<v1::Session> CreateSession(const std::string& model, const CallOptions& options = {});
  Result<v1::Session> GetSession(const std::string& session_id, const CallOptions& options = {});
  Result<v1::ListSessionsResponse> ListSessions(const v1::ListSessionsRequest& request,
                                                const CallOptions& options = {});
  Result<std::vector<v1::Session>> ForkSession(const v1::ForkSessionRequest& request,
                                               const CallOptions& options = {});
  Result<v1::Session> RewindSession(const v1::RewindSessionRequest& request,
                                    const CallOptions& options = {});
  Result<v1::Session> CheckpointSession(const v1::CheckpointSessionRequest& request,
                                        const CallOptions& options = {});
  // Gives the bytes of the snapshot to `on_chunk`, in order, on the calling thread; false stops the
  // export with CANCELLED. What came is whole when nothing is returned.
  std::optional<Error> ExportSession(const v1::ExportSessionRequest& request,
                                     const CallOptions& options,
                                     const std::function<bool(std::string_view chunk)>& on_chunk);
  // `first` holds everything but chunks. `next` gives the following bytes of the snapshot (as many
  // as it likes, up to what the server takes of a message; none at the end), or the error that ends
  // the import.
  Result<v1::Session> ImportSession(const v1::ImportSessionRequest& first,
                                    const CallOptions& options,
                                    const std::function<Result<std::string>()>& next);
  std::optional<Error> DeleteSession(const std::string& session_id,
                                     std::optional<uint64_t> expected_revision = std::nullopt,
                                     const CallOptions& options = {});

  // Ask it to open a session first. `session_id`, which may be empty, is repeated for routers.
  MemoryStream Memory(const std::string& session_id, const CallOptions& options = {});

  Result<std::vector<v1::Model>> ListModels(const CallOptions& options = {});
  Result<v1::Model> GetModel(const std::string& name, const CallOptions& options = {});

  // Of one service ("ssmd.v1.GenerationService"), or of all; NOT_FOUND for one that there is not.
  // No token is asked for.
  Result<Health> CheckHealth(const std::string& service = "", const CallOptions& options = {});

  Result<v1::GetStatsResponse> GetStats(const CallOptions& options = {});
  // Turns that are still waiting or running.
  Result<int> Drain(const CallOptions& options = {});

 private:
  void Prepare(const CallOptions& options, const std::string& session_id,
               grpc::ClientContext* context) const;
  // Runs one unary call of a stub; `session_id` is repeated for routers and may be empty.
  template <typename Response, typename Stub, typename Request>
  Result<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const std::unique_ptr<Stub>& stub, const Request& request,
                        const CallOptions& options, const std::string& session_id = "") const;

  const Connection connection_;
  const std::unique_ptr<v1::GenerationService::Stub> generation_;
  const std::unique_ptr<v1::SessionService::Stub> sessions_;
  const std::unique_ptr<v1::MemoryService::Stub> memories_;
  const std::unique_ptr<v1::ModelService::Stub> models_;
  const std::unique_ptr<v1::AdminService::Stub> admin_;
};

}  // namespace ssmd::client

#endif  // SSMD_CLIENTS_CPP_CLIENT_H_
