// Snapshots to test with.
#ifndef SSMD_TESTS_UNIT_STATE_SNAPSHOT_FIXTURE_H_
#define SSMD_TESTS_UNIT_STATE_SNAPSHOT_FIXTURE_H_

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "engine/state/history.h"
#include "engine/state/snapshot.h"

namespace ssmd::testing {

inline StateBytes MakeState(size_t bytes, float value) {
  auto* data = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  std::fill_n(reinterpret_cast<float*>(data), bytes / 4, value);
  return std::make_shared<const kernels::Buffer>(
      data, bytes, [](void*, std::byte* freed) { std::free(freed); }, nullptr);
}

// Of the tokens 0, 1, 2, …, `pending` of which the state has not consumed.
inline Snapshot MakeSnapshot(int64_t tokens, int64_t pending, bool with_session,
                             size_t state_bytes) {
  TokenLog log;
  for (int64_t i = 0; i < tokens; ++i) log.emplace_back(static_cast<int32_t>(i % 256), i % 3 == 0);
  History history;
  history.Append(log);
  Snapshot snapshot;
  snapshot.identity = {"0123456789abcdef", "cpu/avx2 r1 f32 f32", "layer 0 ssm ssm f32 16 at 0\n"};
  snapshot.state_position = tokens - pending;
  snapshot.history_hash = history.Hash(snapshot.state_position);
  if (snapshot.state_position > 0) snapshot.state = MakeState(state_bytes, 0.25f);
  if (with_session) {
    SnapshotSession& session = snapshot.session.emplace();
    session.model = "tales";
    session.revision = 12;
    session.history = std::move(log);
    session.pending_tokens = pending;
    session.text_remainder = "\xf0\x9f";
  }
  return snapshot;
}

// The file's bytes.
inline std::string Bytes(const Snapshot& snapshot) {
  const EncodedSnapshot encoded = EncodeSnapshot(snapshot);
  std::string bytes = encoded.front;
  if (encoded.state != nullptr) {
    bytes.append(encoded.state->as<const char>(), encoded.state->bytes());
  }
  return bytes;
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_STATE_SNAPSHOT_FIXTURE_H_
