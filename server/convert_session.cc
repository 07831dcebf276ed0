// SessionService: both ways. See convert.h.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "server/convert.h"
#include "server/convert_checks.h"
#include "server/convert_enums.h"

namespace ssmd::server {
namespace {

constexpr size_t kCheckpointNameMax = 64;
constexpr int64_t kLifetimeSecondsMax = 315360000;  // ten years
constexpr int kForksMax = 1000;
constexpr int kTurnsMax = 64;

absl::Status CheckCheckpoint(const char* field, const std::string& name) {
  const bool fits = !name.empty() && name.size() <= kCheckpointNameMax &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
                             c == '_' || c == '-';
                    });
  if (fits) return absl::OkStatus();
  return InvalidField(absl::StrCat(field, " must have 1 to ", kCheckpointNameMax,
                                   " characters of A-Z a-z 0-9 . _ -"));
}

absl::Status CheckPosition(int64_t position) {
  if (position >= 0) return absl::OkStatus();
  return InvalidField(absl::StrCat("position must not be negative, got ", position));
}

absl::StatusOr<SessionLifetime> ConvertLifetime(const v1::SessionLifetime& in,
                                                const RequestLimits& limits) {
  SessionLifetime out = limits.lifetime;
  if (in.has_ttl_seconds()) {
    SSMD_RETURN_IF_ERROR(
        CheckInt("lifetime.ttl_seconds", in.ttl_seconds(), 0, kLifetimeSecondsMax));
    out.ttl_ms = in.ttl_seconds() * 1000;
  }
  if (in.has_idle_seconds()) {
    SSMD_RETURN_IF_ERROR(
        CheckInt("lifetime.idle_seconds", in.idle_seconds(), 0, kLifetimeSecondsMax));
    out.idle_ms = in.idle_seconds() * 1000;
  }
  return out;
}

void Add(const PointInfo& in, google::protobuf::RepeatedPtrField<v1::SessionPoint>* points) {
  v1::SessionPoint* out = points->Add();
  out->set_name(in.name);
  out->set_revision(in.revision);
  out->set_position(in.position);
  out->set_held(in.held);
}

template <typename Request>
std::optional<uint64_t> ExpectedRevision(const Request& request) {
  if (!request.has_expected_revision()) return std::nullopt;
  return request.expected_revision();
}

}  // namespace

absl::StatusOr<CreateSessionRequest> FromProto(const v1::CreateSessionRequest& request,
                                               const RequestLimits& limits) {
  CreateSessionRequest out;
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  out.model = request.model();
  SSMD_ASSIGN_OR_RETURN(out.lifetime, ConvertLifetime(request.lifetime(), limits));
  out.parse_special = request.parse_special();
  switch (request.source_case()) {
    case v1::CreateSessionRequest::kText: {
      SSMD_ASSIGN_OR_RETURN(out.prompt, ConvertText(request.text(), limits));
      break;
    }
    case v1::CreateSessionRequest::kTokenIds: {
      SSMD_ASSIGN_OR_RETURN(out.prompt, ConvertTokenIds(request.token_ids(), limits.prompt_tokens,
                                                        "--max-prompt-tokens"));
      break;
    }
    case v1::CreateSessionRequest::kMessages: {
      SSMD_ASSIGN_OR_RETURN(out.prompt, ConvertMessages(request.messages(), limits));
      break;
    }
    case v1::CreateSessionRequest::kFork:
    case v1::CreateSessionRequest::SOURCE_NOT_SET:
      break;
  }
  return out;
}

v1::ForkSessionRequest AsFork(const v1::CreateSessionRequest& request) {
  v1::ForkSessionRequest fork;
  fork.set_session_id(request.fork().session_id());
  if (!request.fork().checkpoint().empty()) fork.set_checkpoint(request.fork().checkpoint());
  if (request.has_lifetime()) *fork.mutable_lifetime() = request.lifetime();
  return fork;
}

absl::StatusOr<ForkOptions> FromProto(const v1::ForkSessionRequest& request,
                                      const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckSessionId(request.session_id(), limits));
  ForkOptions out;
  if (request.has_count()) out.count = request.count();
  SSMD_RETURN_IF_ERROR(CheckInt("count", out.count, 1, kForksMax));
  if (request.has_checkpoint()) {
    SSMD_RETURN_IF_ERROR(CheckCheckpoint("checkpoint", request.checkpoint()));
    out.checkpoint = request.checkpoint();
  } else if (request.has_position()) {
    SSMD_RETURN_IF_ERROR(CheckPosition(request.position()));
    out.position = request.position();
  }
  out.expected_revision = ExpectedRevision(request);
  SSMD_ASSIGN_OR_RETURN(out.lifetime, ConvertLifetime(request.lifetime(), limits));
  return out;
}

absl::StatusOr<RewindTarget> FromProto(const v1::RewindSessionRequest& request,
                                       const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckSessionId(request.session_id(), limits));
  RewindTarget out;
  switch (request.to_case()) {
    case v1::RewindSessionRequest::kCheckpoint:
      SSMD_RETURN_IF_ERROR(CheckCheckpoint("checkpoint", request.checkpoint()));
      out.checkpoint = request.checkpoint();
      break;
    case v1::RewindSessionRequest::kPosition:
      SSMD_RETURN_IF_ERROR(CheckPosition(request.position()));
      out.position = request.position();
      break;
    case v1::RewindSessionRequest::kTurns:
      SSMD_RETURN_IF_ERROR(CheckInt("turns", request.turns(), 1, kTurnsMax));
      out.turns = request.turns();
      break;
    case v1::RewindSessionRequest::TO_NOT_SET:
      return InvalidField("where to is needed: set checkpoint, position or turns");
  }
  out.allow_recompute = request.allow_recompute();
  out.expected_revision = ExpectedRevision(request);
  return out;
}

absl::StatusOr<CheckpointOptions> FromProto(const v1::CheckpointSessionRequest& request,
                                            const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckSessionId(request.session_id(), limits));
  SSMD_RETURN_IF_ERROR(CheckCheckpoint("name", request.name()));
  CheckpointOptions out;
  out.name = request.name();
  out.remove = request.remove();
  out.expected_revision = ExpectedRevision(request);
  return out;
}

absl::StatusOr<Engine::ImportOptions> FromProto(const v1::ImportSessionRequest& first,
                                                const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", first.model(), limits));
  if (first.has_total_bytes() && first.total_bytes() < 1) {
    return InvalidField(absl::StrCat("total_bytes must be at least 1, got ", first.total_bytes()));
  }
  Engine::ImportOptions out;
  out.model = first.model();
  out.allow_inexact = first.allow_inexact();
  out.rebuild = first.rebuild();
  SSMD_ASSIGN_OR_RETURN(out.lifetime, ConvertLifetime(first.lifetime(), limits));
  return out;
}

absl::Status ValidateNext(const v1::ImportSessionRequest& next) {
  const bool more = !next.model().empty() || next.has_allow_inexact() || next.has_rebuild() ||
                    next.has_lifetime() || next.has_total_bytes();
  if (more) return InvalidField("only the first message of an import may hold more than a chunk");
  // Messages without end that bring nothing would never be an import too large.
  if (next.chunk().empty()) return InvalidField("chunk must not be empty after the first message");
  return absl::OkStatus();
}

absl::Status Validate(const v1::GetSessionRequest& request, const RequestLimits& limits) {
  return CheckSessionId(request.session_id(), limits);
}

absl::Status Validate(const v1::ListSessionsRequest& request, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  SSMD_RETURN_IF_ERROR(CheckName("parent_id", request.parent_id(), limits));
  SSMD_RETURN_IF_ERROR(CheckInt("page_size", request.page_size(), 0, kPageSizeMax));
  return CheckName("page_token", request.page_token(), limits);
}

absl::Status Validate(const v1::DeleteSessionRequest& request, const RequestLimits& limits) {
  return CheckSessionId(request.session_id(), limits);
}

absl::Status Validate(const v1::ExportSessionRequest& request, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckSessionId(request.session_id(), limits));
  if (request.checkpoint().empty()) return absl::OkStatus();
  return CheckCheckpoint("checkpoint", request.checkpoint());
}

void ToProto(const SessionInfo& session, v1::Session* out) {
  out->set_session_id(session.session_id);
  out->set_model(session.model);
  out->set_revision(session.revision);
  out->set_position(session.position);
  out->set_pending_tokens(session.pending_tokens);
  out->mutable_last_token_ids()->Add(session.last_token_ids.begin(), session.last_token_ids.end());
  out->set_running(session.running);
  out->set_created_unix_ms(session.created_unix_ms);
  out->set_used_unix_ms(session.used_unix_ms);
  out->set_expires_unix_ms(session.expires_unix_ms);
  out->set_history_hash(session.history_hash);
  out->set_waiting_turns(session.waiting_turns);
  if (session.tier.has_value()) out->set_tier(ToWire(*session.tier));
  out->set_state_position(session.state_position);
  out->set_state_bytes(session.state_bytes);
  out->set_parent_id(session.parent_id);
  out->set_parent_position(session.parent_position);
  for (const PointInfo& point : session.checkpoints) Add(point, out->mutable_checkpoints());
  for (const PointInfo& point : session.turn_ends) Add(point, out->mutable_turn_ends());
}

}  // namespace ssmd::server
