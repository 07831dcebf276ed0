#include "engine/shared/session_summary.h"

#include <cstdint>

#include "engine/base/model_name.h"
#include "engine/session/change_codec.h"
#include "engine/session/session_errors.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

// Of the order of the fields below. Readers of another version leave the session out of lists.
enum class SummaryVersion : uint8_t { kNone, kFirst };

constexpr size_t kLastTokensMax = 16;

template <typename Coder>
void CodeSummary(Coder& coder, typename Coder::template Ref<SessionInfo> session) {
  coder.Text(session.model);
  coder.Number(session.revision);
  coder.Size(session.position);
  coder.Size(session.pending_tokens);
  coder.Ids(session.last_token_ids);
  coder.Number(session.history_hash);
  coder.Text(session.parent_id);
  coder.Size(session.parent_position);
  coder.Size(session.created_unix_ms);
  coder.Size(session.used_unix_ms);
  coder.Size(session.expires_unix_ms);
}

// Callers are sent these as they are.
bool CanBe(const SessionInfo& session) {
  return IsModelName(session.model) && session.pending_tokens <= session.position &&
         session.last_token_ids.size() <= kLastTokensMax &&
         (session.parent_id.empty() || IsSessionId(session.parent_id));
}

}  // namespace

std::string EncodeSessionSummary(const SessionInfo& session) {
  ChangeWriter writer;
  writer.Choice(SummaryVersion::kFirst, SummaryVersion::kFirst);
  CodeSummary<ChangeWriter>(writer, session);
  return writer.Take();
}

absl::StatusOr<SessionInfo> DecodeSessionSummary(const std::string& id, std::string_view bytes) {
  const ResolveState no_states = [](const std::string&, int64_t, size_t) { return nullptr; };
  ChangeReader reader(bytes, no_states);
  SessionInfo session;
  auto version = SummaryVersion::kNone;
  reader.Choice(version, SummaryVersion::kFirst);
  CodeSummary<ChangeReader>(reader, session);
  if (bytes.size() > kSharedSummaryBytes || !IsSessionId(id) || version != SummaryVersion::kFirst ||
      !reader.ok() || !reader.at_end() || !CanBe(session)) {
    return absl::DataLossError(
        "a session's summary in the shared store is damaged, or another version of this program "
        "wrote it");
  }
  session.session_id = id;
  return session;
}

}  // namespace ssmd
