#include "engine/session/session_change.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "engine/session/change_codec.h"

namespace ssmd {
namespace {

constexpr uint64_t kVersion = 1;

// What a record consists of, once for both directions: Code<ChangeWriter> takes its structs by
// const reference and writes them, Code<ChangeReader> fills them. The order of the fields, and of
// SessionChange's alternatives, is the format; a change of it needs a new kVersion.
template <typename Coder, typename T>
using Ref = typename Coder::template Ref<T>;

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionKey> key) {
  coder.Text(key.tenant);
  coder.Text(key.id);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionLifetime> lifetime) {
  coder.Size(lifetime.ttl_ms);
  coder.Size(lifetime.idle_ms);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, Usage> usage) {
  coder.Size(usage.prompt_tokens);
  coder.Size(usage.reused_tokens);
  coder.Size(usage.computed_tokens);
  coder.Size(usage.recomputed_tokens);
  coder.Size(usage.generated_tokens);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, ChoiceResult> choice) {
  coder.Choice(choice.reason, FinishReason::kPartial);
  coder.Text(choice.stop_reason);
  coder.Text(choice.text);
  coder.Ids(choice.token_ids);
  coder.Ids(choice.history_token_ids);
  coder.Text(choice.session_id);
  coder.Number(choice.revision);
  Code<Coder>(coder, choice.usage);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, TurnResult> result) {
  coder.Text(result.key.request_id);
  coder.Number(result.key.body_hash);
  coder.Number(result.base_revision);
  coder.Choice(result.state_source, StateSource::kReplayed);
  coder.Number(result.seed);
  coder.List(result.choices, [&](auto& choice) { Code<Coder>(coder, choice); });
  Code<Coder>(coder, result.usage);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionPoint> point) {
  coder.Number(point.revision);
  coder.Size(point.position);
  coder.Size(point.pending_tokens);
  coder.Text(point.text_remainder);
  coder.State(point.state);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionCommit> commit) {
  coder.Tokens(commit.appended);
  coder.Size(commit.pending_tokens);
  coder.Text(commit.text_remainder);
  coder.State(commit.state);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionCreated> change) {
  Code<Coder>(coder, change.key);
  coder.Text(change.model);
  coder.Text(change.model_fingerprint);
  Code<Coder>(coder, change.lifetime);
  coder.Size(change.unix_ms);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionCommitted> change) {
  Code<Coder>(coder, change.key);
  coder.Number(change.revision);
  Code<Coder>(coder, change.commit);
  coder.Maybe(change.result, [&](auto& result) { Code<Coder>(coder, result); });
  coder.Size(change.unix_ms);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionForked> change) {
  Code<Coder>(coder, change.key);
  coder.Text(change.parent_id);
  coder.Text(change.checkpoint);
  coder.Size(change.position);
  Code<Coder>(coder, change.commit);
  Code<Coder>(coder, change.lifetime);
  coder.Size(change.unix_ms);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, ResultKept> change) {
  Code<Coder>(coder, change.key);
  Code<Coder>(coder, change.result);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionRewound> change) {
  Code<Coder>(coder, change.key);
  coder.Number(change.revision);
  coder.Text(change.checkpoint);
  coder.Size(change.position);
  coder.Size(change.pending_tokens);
  coder.Text(change.text_remainder);
  coder.State(change.state);
  coder.Size(change.unix_ms);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionCheckpointed> change) {
  Code<Coder>(coder, change.key);
  coder.Number(change.revision);
  coder.Text(change.name);
  coder.Flag(change.remove);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionDeleted> change) {
  Code<Coder>(coder, change.key);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, StateStored> change) {
  Code<Coder>(coder, change.key);
  coder.Number(change.revision);
  coder.Text(change.checkpoint);
  coder.State(change.state);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionImage::Checkpoint> checkpoint) {
  coder.Text(checkpoint.name);
  coder.Tokens(checkpoint.history);
  Code<Coder>(coder, checkpoint.point);
}

template <typename Coder>
void Code(Coder& coder, Ref<Coder, SessionImage> image) {
  Code<Coder>(coder, image.key);
  coder.Text(image.model);
  coder.Text(image.model_fingerprint);
  coder.Number(image.revision);
  coder.Tokens(image.history);
  coder.Size(image.pending_tokens);
  coder.Text(image.text_remainder);
  coder.State(image.state);
  coder.Text(image.parent_id);
  coder.Size(image.parent_position);
  coder.List(image.turn_ends, [&](auto& point) { Code<Coder>(coder, point); });
  coder.List(image.checkpoints, [&](auto& checkpoint) { Code<Coder>(coder, checkpoint); });
  coder.List(image.results, [&](auto& result) { Code<Coder>(coder, result); });
  Code<Coder>(coder, image.lifetime);
  coder.Size(image.created_unix_ms);
  coder.Size(image.used_unix_ms);
}

// The alternative number `kind` of SessionChange, read into it. False when there is none.
template <size_t I = 0>
bool ReadAlternative(ChangeReader& reader, uint64_t kind, SessionChange* change) {
  if constexpr (I < std::variant_size_v<SessionChange>) {
    if (kind != I) return ReadAlternative<I + 1>(reader, kind, change);
    Code<ChangeReader>(reader, change->emplace<I>());
    return reader.ok();
  } else {
    return false;
  }
}

absl::Status Damaged(size_t change) {
  return absl::DataLossError(absl::StrFormat(
      "a record of session changes cannot be read (at change %d): it is damaged, or "
      "another version of this program wrote it",
      change));
}

}  // namespace

std::string EncodeChanges(const std::vector<SessionChange>& changes) {
  ChangeWriter writer;
  writer.Number(kVersion);
  writer.Number(static_cast<uint64_t>(changes.size()));
  for (const SessionChange& change : changes) {
    writer.Number(static_cast<uint64_t>(change.index()));
    std::visit(
        [&writer](const auto& alternative) {
          using T = std::decay_t<decltype(alternative)>;
          Code<ChangeWriter>(writer, static_cast<const T&>(alternative));
        },
        change);
  }
  return writer.Take();
}

absl::StatusOr<std::vector<SessionChange>> DecodeChanges(std::string_view record,
                                                         const ResolveState& resolve) {
  ChangeReader reader(record, resolve);
  uint64_t version = 0;
  uint64_t count = 0;
  reader.Number(version);
  reader.Number(count);
  std::vector<SessionChange> changes;
  if (version != kVersion) return Damaged(0);
  while (reader.ok() && changes.size() < count) {
    uint64_t kind = 0;
    reader.Number(kind);
    if (!ReadAlternative(reader, kind, &changes.emplace_back())) return Damaged(changes.size());
  }
  if (!reader.ok() || !reader.at_end()) return Damaged(changes.size());
  return changes;
}

}  // namespace ssmd
