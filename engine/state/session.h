// A session as the world sees it, and as a turn finds and leaves it.
//
// A committed session is the triple (state, pending, position): the state has consumed exactly the
// history before its last `pending_tokens` tokens. `pending_tokens` is normally 1 (the last sampled
// token); it is 0 on an empty history, after a turn that ended by a stop token, and after one whose
// stop string began where a token began. Every turn feeds the pending tokens first.
#ifndef SSMD_ENGINE_STATE_SESSION_H_
#define SSMD_ENGINE_STATE_SESSION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/state/state_pool.h"
#include "engine/state/token_log.h"

namespace ssmd {

struct SessionInfo {
  std::string session_id;
  std::string model;
  uint64_t revision = 0;
  int64_t position = 0;  // |history|, pending included
  int64_t pending_tokens = 0;
  std::vector<int32_t> last_token_ids;  // the newest of history, at most 16
  bool running = false;                 // a turn is in progress
  bool resident = false;                // holds a device slot (an empty history needs none)
  int64_t created_unix_ms = 0;
  int64_t used_unix_ms = 0;
};

struct SessionPage {
  std::vector<SessionInfo> sessions;
  std::string next_page_token;  // empty at the end
};

// Who a session is, and its state on the device. The identity never changes and may be read
// anywhere; the slot belongs to the step thread. Everything else of a session is in the
// SessionTable, under its lock. Shared: the table, the turn in progress and a deletion on its way
// to the step thread may each be the last to hold it.
class Session {
 public:
  Session(std::string id_in, std::string tenant_in, std::string model_in)
      : id(std::move(id_in)), tenant(std::move(tenant_in)), model(std::move(model_in)) {}

  const std::string id;
  const std::string tenant;
  const std::string model;

  // Empty while the state has consumed nothing.
  Slot slot;
};

// The committed session that a turn builds on.
struct SessionBase {
  uint64_t revision = 0;
  int64_t position = 0;
  std::vector<int32_t> pending;  // the last tokens of history, not consumed yet
  TokenLog recent;               // the newest of history, as many as asked for
  std::string text_remainder;    // bytes at the end of history that are no whole character yet
  bool resident = false;

  int64_t consumed() const { return position - static_cast<int64_t>(pending.size()); }
};

// What a turn makes of a session.
struct SessionCommit {
  TokenLog appended;  // follows the base's history
  int64_t pending_tokens = 0;
  std::string text_remainder;
  Slot slot;  // the new state; empty when it has consumed nothing
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_SESSION_H_
