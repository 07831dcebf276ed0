// The one place where protobuf meets the engine's types, and where every field of every request is
// checked against its documented range and the server's limits. What passes here is well-formed;
// what depends on the engine's own state (does the model exist, is a token id in its vocabulary, is
// the session busy) the engine checks itself.
//
// Errors are INVALID_ARGUMENT, name the field as the proto does, say what is allowed and what came.
// Pure functions; no state. One convert_*.cc a service.
#ifndef SSMD_SERVER_CONVERT_H_
#define SSMD_SERVER_CONVERT_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/limits.h"
#include "server/telemetry/model_observations.h"
#include "ssmd/v1/admin.pb.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/memory.pb.h"
#include "ssmd/v1/model.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {

inline constexpr int32_t kTopLogprobsMax = 20;
inline constexpr int32_t kPageSizeMax = 1000;
inline constexpr int32_t kPageSizeDefault = 100;
inline constexpr int32_t kMaxTokensDefault = 256;

// --- Requests ---
// `tenant` and `deadline` are not of the message: the caller sets them on what is returned.
absl::StatusOr<GenerateRequest> FromProto(const v1::GenerateRequest& request,
                                          const RequestLimits& limits);
absl::StatusOr<EncodeRequest> FromProto(const v1::EncodeRequest& request,
                                        const RequestLimits& limits);
absl::StatusOr<ScoreRequest> FromProto(const v1::ScoreRequest& request,
                                       const RequestLimits& limits);
absl::Status Validate(const v1::TokenizeRequest& request, const RequestLimits& limits);
absl::Status Validate(const v1::DetokenizeRequest& request, const RequestLimits& limits);

// For any source but `fork`, which is served as the ForkSession that AsFork makes of it.
absl::StatusOr<CreateSessionRequest> FromProto(const v1::CreateSessionRequest& request,
                                               const RequestLimits& limits);
v1::ForkSessionRequest AsFork(const v1::CreateSessionRequest& request);
absl::StatusOr<ForkOptions> FromProto(const v1::ForkSessionRequest& request,
                                      const RequestLimits& limits);
absl::StatusOr<RewindTarget> FromProto(const v1::RewindSessionRequest& request,
                                       const RequestLimits& limits);
absl::StatusOr<CheckpointOptions> FromProto(const v1::CheckpointSessionRequest& request,
                                            const RequestLimits& limits);
// Of an import's first message, and those after it. Their chunks are the caller's to count.
absl::StatusOr<Engine::ImportOptions> FromProto(const v1::ImportSessionRequest& first,
                                                const RequestLimits& limits);
absl::Status ValidateNext(const v1::ImportSessionRequest& next);
absl::Status Validate(const v1::GetSessionRequest& request, const RequestLimits& limits);
absl::Status Validate(const v1::ListSessionsRequest& request, const RequestLimits& limits);
absl::Status Validate(const v1::DeleteSessionRequest& request, const RequestLimits& limits);
absl::Status Validate(const v1::ExportSessionRequest& request, const RequestLimits& limits);

absl::Status Validate(const v1::GetModelRequest& request, const RequestLimits& limits);

// Of a memory's stream. `session_id` of an append is the caller's to set, too.
absl::Status Validate(const v1::MemoryOpen& open, const RequestLimits& limits);
// The session that an `open` without one asks for.
absl::StatusOr<CreateSessionRequest> AsCreation(const v1::MemoryOpen& open,
                                                const RequestLimits& limits);
absl::StatusOr<AppendRequest> FromProto(const v1::MemoryAppend& append,
                                        const RequestLimits& limits);
absl::StatusOr<MemoryQuery> FromProto(const v1::MemoryQuery& query, const MemoryConfig& memory,
                                      const RequestLimits& limits);

// --- Responses ---
// The bytes of a token of the model at hand; empty without a tokenizer.
using TokenText = std::function<std::string(int32_t token_id)>;
void ToProto(const GenerateEvent& event, const TokenText& token_text, v1::GenerateResponse* out);
void ToProto(const ScoreResult& result, const TokenText& token_text, v1::ScoreResponse* out);
void ToProto(const EncodeResult& result, v1::EncodeResponse* out);
void ToProto(const SessionInfo& session, v1::Session* out);
void ToProto(const ServedModel& model, v1::Model* out);
void ToProto(const MemoryConfig& memory, v1::Memory* out);
void ToProto(const MemoryReading& reading, v1::MemoryReading* out);
void ToProto(const ModelStats& stats, v1::ModelStats* out);
void ToProto(const ModelObservations& observed, v1::ModelStats* out);
void ToProto(const EngineFigures& figures, v1::StateDirStats* out);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_CONVERT_H_
