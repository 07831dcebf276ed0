// A state as a file or a message: the format that the store keeps and that sessions are exported in
// (engine/state/README.md, "Snapshot format"). Sections with a checksum each; the reader takes
// nothing for granted.
//
// Pure functions; thread-safe.
#ifndef SSMD_ENGINE_STATE_SNAPSHOT_H_
#define SSMD_ENGINE_STATE_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/state/layout.h"
#include "engine/state/token_log.h"
#include "kernels/tensor.h"

namespace ssmd {

// What a state's bytes mean. Two states with equal identities can go on from each other's bytes.
struct ModelIdentity {
  std::string fingerprint;       // weights, configuration, number formats (ModelInfo)
  std::string numerics_profile;  // kind of device, kernel revision, weight and state formats
  std::string layout;            // StateLayout::Describe()
};

// The bytes of one slot, outside of the device. Shared by whoever reads them; never changed.
using StateBytes = std::shared_ptr<const kernels::Buffer>;

// What an exported session has beside its state.
struct SnapshotSession {
  std::string model;  // its name where it came from
  uint64_t revision = 0;
  TokenLog history;  // whole
  int64_t pending_tokens = 0;
  std::string text_remainder;
};

struct Snapshot {
  ModelIdentity identity;
  // Tokens that the state has consumed; 0: none, and `state` is null. Of a session, those before
  // what is pending, or fewer: then the next turn feeds what lies between again.
  int64_t state_position = 0;
  uint64_t history_hash = 0;  // History::Hash(state_position)
  StateBytes state;
  std::optional<SnapshotSession> session;  // absent in the store's files
};

// The parts of a snapshot, in order.
struct EncodedSnapshot {
  std::string front;
  StateBytes state;  // null: no state
  size_t size() const { return front.size() + (state ? state->bytes() : 0); }
};

EncodedSnapshot EncodeSnapshot(const Snapshot& snapshot);

// Bytes [begin, end) of the file, which lie in its front, its state or both. REQUIRES: begin <= end
// <= snapshot.size().
std::string SnapshotPart(const EncodedSnapshot& snapshot, size_t begin, size_t end);
// Of a snapshot that is sent in pieces.
inline constexpr size_t kSnapshotPieceBytes = size_t{256} << 10;

struct SnapshotLimits {
  size_t state_bytes = 0;      // exactly so many, or none
  int64_t history_tokens = 0;  // at most
  int32_t vocabulary = 0;      // ids are below it
  bool without_state = false;  // it is left out, whatever its size
};

// DATA_LOSS, naming the section, for anything that was cut off or changed; INVALID_ARGUMENT for
// what was never a snapshot, is of a newer version or exceeds a limit (said before memory is asked
// for); FAILED_PRECONDITION for a state of another size; RESOURCE_EXHAUSTED where there is no
// memory for the state. Checks that the history (when there is one) hashes to history_hash and that
// positions fit together; not the identity.
absl::StatusOr<Snapshot> DecodeSnapshot(absl::Span<const char> bytes, const SnapshotLimits& limits);

// The model's name in the snapshot of a session. Errors as DecodeSnapshot, which checks more.
// INVALID_ARGUMENT where there is no session.
absl::StatusOr<std::string> ModelNameOfSnapshot(absl::Span<const char> bytes);

// INVALID_ARGUMENT: said of a snapshot without a session.
absl::Status NoSessionInSnapshot();

// FAILED_PRECONDITION, naming everything that differs and both values, unless the snapshot's state
// can be gone on from by a model of identity `ours`. `allow_profile`: another numerics profile is
// accepted.
absl::Status CheckIdentity(const ModelIdentity& theirs, const ModelIdentity& ours,
                           bool allow_profile);

// INVALID_ARGUMENT unless every number of the state is finite, which is of `layout`.
absl::Status CheckFinite(absl::Span<const std::byte> state, const StateLayout& layout);

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_SNAPSHOT_H_
