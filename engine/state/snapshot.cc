#include "engine/state/snapshot.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/byte_reader.h"
#include "engine/base/fault_point.h"
#include "engine/base/little_endian.h"
#include "engine/base/status_macros.h"
#include "engine/state/history.h"
#include "engine/state/snapshot_format.h"

namespace ssmd {
namespace {

static_assert(sizeof(LoggedToken) == sizeof(uint32_t));  // as they are in a file
constexpr uint32_t kSampled = uint32_t{1} << 31;
constexpr size_t kStateAlignment = 64;

FaultPoint snapshot_memory("memory.snapshot_state", FaultPoint::Kind::kAllocation);
FaultPoint history_memory("memory.snapshot_history", FaultPoint::Kind::kAllocation);

// Of the sections of text, whose length nothing else limits.
constexpr size_t kTextBytesMax = size_t{4} << 20;

std::string EncodeIdentity(const ModelIdentity& identity) {
  std::string bytes;
  PutBytes(&bytes, identity.fingerprint);
  PutBytes(&bytes, identity.numerics_profile);
  PutBytes(&bytes, identity.layout);
  return bytes;
}

std::string EncodePosition(const Snapshot& snapshot) {
  std::string bytes;
  PutLittleEndian<uint64_t>(&bytes, static_cast<uint64_t>(snapshot.state_position));
  PutLittleEndian<uint64_t>(&bytes, snapshot.history_hash);
  return bytes;
}

std::string EncodeSession(const SnapshotSession& session) {
  std::string bytes;
  PutBytes(&bytes, session.model);
  PutLittleEndian<uint64_t>(&bytes, session.revision);
  PutLittleEndian<uint64_t>(&bytes, static_cast<uint64_t>(session.pending_tokens));
  PutBytes(&bytes, session.text_remainder);
  return bytes;
}

std::string EncodeHistory(const TokenLog& history) {
  std::string bytes;
  bytes.reserve(history.size() * sizeof(uint32_t));
  for (const LoggedToken token : history) {
    PutLittleEndian<uint32_t>(
        &bytes, static_cast<uint32_t>(token.token_id()) | (token.sampled() ? kSampled : 0));
  }
  return bytes;
}

absl::Status Changed(std::string_view section, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the snapshot's section ", std::string(section), " was changed: ", what));
}

// Which sections there are follows from what there is to say.
absl::Status CheckSections(const SnapshotTable& table) {
  std::vector<std::string_view> expected = {kIdentitySection, kPositionSection};
  if (table.Find(kSessionSection) != nullptr) {
    expected.insert(expected.end(), {kSessionSection, kHistorySection});
  }
  if (table.Find(kStateSection) != nullptr) expected.push_back(kStateSection);
  if (table.tags() == expected) return absl::OkStatus();
  return absl::InvalidArgumentError("the snapshot's sections are not those of its format version");
}

absl::Status CheckText(const SnapshotTable& table, std::string_view tag) {
  const SnapshotSection* section = table.Find(tag);
  if (section == nullptr || section->bytes.size() <= kTextBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the snapshot's section %s has %d bytes, more than the %d allowed",
                      std::string(tag), section->bytes.size(), kTextBytesMax));
}

absl::Status CheckLengths(const SnapshotTable& table, const SnapshotLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckText(table, kIdentitySection));
  SSMD_RETURN_IF_ERROR(CheckText(table, kSessionSection));
  if (const auto* history = table.Find(kHistorySection); history != nullptr) {
    const size_t tokens = history->bytes.size() / sizeof(uint32_t);
    if (tokens > static_cast<size_t>(std::max<int64_t>(limits.history_tokens, 0))) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the snapshot's history has %d tokens, more than the %d allowed", tokens,
                          limits.history_tokens));
    }
  }
  if (const auto* state = table.Find(kStateSection);
      state != nullptr && !limits.without_state && state->bytes.size() != limits.state_bytes) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the snapshot's state has %d bytes, and the model's have %d: it is of "
        "another model, or of other formats of numbers (rebuild reads its history again)",
        state->bytes.size(), limits.state_bytes));
  }
  return absl::OkStatus();
}

absl::Status DecodeIdentity(std::string_view bytes, ModelIdentity* identity) {
  ByteReader reader(bytes);
  identity->fingerprint = reader.GetBytes();
  identity->numerics_profile = reader.GetBytes();
  identity->layout = reader.GetBytes();
  if (reader.Finished()) return absl::OkStatus();
  return Changed(kIdentitySection, "its texts do not fit in it");
}

absl::Status DecodePosition(const SnapshotTable& table, Snapshot* snapshot) {
  ByteReader reader(table.Find(kPositionSection)->bytes);
  snapshot->state_position = static_cast<int64_t>(reader.Get<uint64_t>());
  snapshot->history_hash = reader.Get<uint64_t>();
  if (!reader.Finished() || snapshot->state_position < 0) {
    return Changed(kPositionSection, "its numbers are not a position and a hash");
  }
  if ((snapshot->state_position > 0) != (table.Find(kStateSection) != nullptr)) {
    return Changed(kPositionSection, "there is a state if and only if it has consumed tokens");
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenLog> DecodeHistory(std::string_view bytes, int32_t vocabulary) {
  if (bytes.size() % sizeof(uint32_t) != 0) {
    return Changed(kHistorySection, "it is no whole number of tokens");
  }
  TokenLog history;
  history.reserve(bytes.size() / sizeof(uint32_t));
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint32_t)) {
    const auto bits = GetLittleEndian<uint32_t>(bytes.data() + at);
    const auto token_id = static_cast<int32_t>(bits & ~kSampled);
    if (token_id >= vocabulary) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the snapshot's token %d has the id %d, and the model knows %d",
                          history.size(), token_id, vocabulary));
    }
    history.emplace_back(token_id, (bits & kSampled) != 0);
  }
  return history;
}

absl::Status DecodeSession(const SnapshotTable& table, int32_t vocabulary,
                           SnapshotSession* session) {
  ByteReader reader(table.Find(kSessionSection)->bytes);
  session->model = reader.GetBytes();
  session->revision = reader.Get<uint64_t>();
  session->pending_tokens = static_cast<int64_t>(reader.Get<uint64_t>());
  session->text_remainder = reader.GetBytes();
  if (!reader.Finished()) return Changed(kSessionSection, "its fields do not fit in it");
  SSMD_ASSIGN_OR_RETURN(session->history,
                        UnlessOutOfMemory(history_memory, "read the snapshot's history", [&] {
                          return DecodeHistory(table.Find(kHistorySection)->bytes, vocabulary);
                        }));
  return absl::OkStatus();
}

// That the state has consumed a beginning of the history, and nothing of what is pending.
absl::Status CheckPositions(const Snapshot& snapshot) {
  if (snapshot.state_position == 0 && snapshot.history_hash != 0) {
    return Changed(kPositionSection, "the hash of no tokens is 0");
  }
  if (!snapshot.session.has_value()) return absl::OkStatus();
  const SnapshotSession& session = *snapshot.session;
  const auto tokens = static_cast<int64_t>(session.history.size());
  if (session.pending_tokens < 0 || session.pending_tokens > tokens ||
      snapshot.state_position > tokens - session.pending_tokens) {
    return Changed(
        kSessionSection,
        absl::StrFormat("of %d tokens, %d of them pending, no state can be at position %d", tokens,
                        session.pending_tokens, snapshot.state_position));
  }
  History history;
  history.Append(session.history);
  if (history.Hash(snapshot.state_position) != snapshot.history_hash) {
    return Changed(kHistorySection, "the state has consumed other tokens");
  }
  return absl::OkStatus();
}

absl::StatusOr<StateBytes> CopyState(std::string_view bytes) {
  kernels::Buffer buffer;
  if (!bytes.empty()) {
    const size_t padded = (bytes.size() + kStateAlignment - 1) / kStateAlignment * kStateAlignment;
    auto* data = snapshot_memory.Hit()
                     ? nullptr
                     : static_cast<std::byte*>(std::aligned_alloc(kStateAlignment, padded));
    if (data == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("no memory for a state of %d bytes", bytes.size()));
    }
    std::memcpy(data, bytes.data(), bytes.size());
    buffer = kernels::Buffer(
        data, bytes.size(), [](void*, std::byte* freed) { std::free(freed); }, nullptr);
  }
  return std::make_shared<const kernels::Buffer>(std::move(buffer));
}

}  // namespace

std::string SnapshotPart(const EncodedSnapshot& snapshot, size_t begin, size_t end) {
  std::string out;
  out.reserve(end - begin);
  const size_t front = snapshot.front.size();
  if (begin < front) out.append(snapshot.front, begin, std::min(end, front) - begin);
  if (end > front) {
    const char* state = snapshot.state->as<const char>();
    const size_t from = std::max(begin, front) - front;
    out.append(state + from, end - front - from);
  }
  return out;
}

EncodedSnapshot EncodeSnapshot(const Snapshot& snapshot) {
  const std::string identity = EncodeIdentity(snapshot.identity);
  const std::string position = EncodePosition(snapshot);
  std::string session;
  std::string history;
  std::vector<SnapshotSection> sections = {{kIdentitySection, identity},
                                           {kPositionSection, position}};
  if (snapshot.session.has_value()) {
    session = EncodeSession(*snapshot.session);
    history = EncodeHistory(snapshot.session->history);
    sections.push_back({kSessionSection, session});
    sections.push_back({kHistorySection, history});
  }
  if (snapshot.state != nullptr) {
    sections.push_back(
        {kStateSection, {snapshot.state->as<const char>(), snapshot.state->bytes()}});
  }
  EncodedSnapshot encoded;
  encoded.front = absl::StrCat(EncodeSnapshotTable(sections), identity, position, session, history);
  encoded.state = snapshot.state;
  return encoded;
}

absl::Status NoSessionInSnapshot() {
  return absl::InvalidArgumentError(
      "this is a state of a store, without a session: export a session to get one");
}

absl::StatusOr<std::string> ModelNameOfSnapshot(absl::Span<const char> bytes) {
  SSMD_ASSIGN_OR_RETURN(const SnapshotTable table,
                        SnapshotTable::Decode({bytes.data(), bytes.size()}));
  SSMD_RETURN_IF_ERROR(CheckSections(table));
  const SnapshotSection* session = table.Find(kSessionSection);
  if (session == nullptr) return NoSessionInSnapshot();
  SSMD_RETURN_IF_ERROR(CheckText(table, kSessionSection));
  SSMD_RETURN_IF_ERROR(table.CheckDigests());
  return std::string(ByteReader(session->bytes).GetBytes());
}

absl::StatusOr<Snapshot> DecodeSnapshot(absl::Span<const char> bytes,
                                        const SnapshotLimits& limits) {
  SSMD_ASSIGN_OR_RETURN(const SnapshotTable table,
                        SnapshotTable::Decode({bytes.data(), bytes.size()}));
  SSMD_RETURN_IF_ERROR(CheckSections(table));
  SSMD_RETURN_IF_ERROR(CheckLengths(table, limits));
  SSMD_RETURN_IF_ERROR(table.CheckDigests());
  Snapshot snapshot;
  SSMD_RETURN_IF_ERROR(DecodeIdentity(table.Find(kIdentitySection)->bytes, &snapshot.identity));
  SSMD_RETURN_IF_ERROR(DecodePosition(table, &snapshot));
  if (table.Find(kSessionSection) != nullptr) {
    SSMD_RETURN_IF_ERROR(DecodeSession(table, limits.vocabulary, &snapshot.session.emplace()));
  }
  SSMD_RETURN_IF_ERROR(CheckPositions(snapshot));
  const SnapshotSection* state = table.Find(kStateSection);
  if (state != nullptr && !limits.without_state) {
    SSMD_ASSIGN_OR_RETURN(snapshot.state, CopyState(state->bytes));
  }
  return snapshot;
}

}  // namespace ssmd
