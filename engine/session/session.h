// A session as the world sees it, and as a turn finds and leaves it.
//
// A committed session is the triple (state, pending, position): position = |history|; the last
// `pending_tokens` tokens of it have not been consumed by the state that the session means.
// `pending_tokens` is normally 1 (the last sampled token); it is 0 on an empty history, after a
// turn that ended by a stop token, and after one whose stop string began where a token began. Every
// turn feeds the pending tokens first.
//
// The state that is held may be of an earlier position than that: after a rewind to a position
// whose state was let go, and after a crash. What lies between is fed again by the next turn, and
// counted as recomputed.
#ifndef SSMD_ENGINE_SESSION_SESSION_H_
#define SSMD_ENGINE_SESSION_SESSION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/session/turn_result.h"
#include "engine/state/held_state.h"
#include "engine/state/history.h"

namespace ssmd {

// A place in a session's past that it can go back to, or that a fork can start from.
struct SessionPoint {
  uint64_t revision = 0;
  int64_t position = 0;
  int64_t pending_tokens = 0;
  std::string text_remainder;  // bytes at the end of its history that are no whole character yet
  StateRef state;              // null: not held (or nothing was consumed)

  int64_t consumed() const { return position - pending_tokens; }
};

struct PointInfo {
  std::string name;  // of a checkpoint; empty for a turn end
  uint64_t revision = 0;
  int64_t position = 0;
  bool held = false;  // going back there computes nothing again
};

struct SessionInfo {
  std::string session_id;
  std::string model;
  uint64_t revision = 0;
  int64_t position = 0;  // |history|, pending included
  int64_t pending_tokens = 0;
  std::vector<int32_t> last_token_ids;  // the newest of history, at most 16
  uint64_t history_hash = 0;            // History::Hash(position)
  bool running = false;                 // a turn is in progress
  int waiting_turns = 0;                // behind it
  std::optional<StateTier> tier;        // where the state is; absent: nothing was consumed
  int64_t state_position = 0;           // tokens that the held state has consumed
  int64_t state_bytes = 0;              // of the state and those of checkpoints, shared ones too
  std::string parent_id;                // that it was forked from, though it may be gone
  int64_t parent_position = 0;
  std::vector<PointInfo> checkpoints;  // by name
  std::vector<PointInfo> turn_ends;    // oldest first
  int64_t created_unix_ms = 0;
  int64_t used_unix_ms = 0;
  int64_t expires_unix_ms = 0;  // 0: never
};

struct SessionPage {
  std::vector<SessionInfo> sessions;
  std::string next_page_token;  // empty at the end
};

struct SessionFilter {
  std::string model;      // empty: all
  std::string parent_id;  // empty: all
};

// Who a session is: never changes, may be read anywhere. Everything else of a session is in the
// SessionTable, under its lock. Shared by the table and the turns that run or wait.
struct SessionKey {
  std::string tenant;
  std::string id;
};

// The committed session that a turn builds on.
struct SessionBase {
  uint64_t revision = 0;
  int64_t position = 0;
  int64_t pending_tokens = 0;
  std::string text_remainder;
  StateRef state;   // null: the empty state
  TokenLog unread;  // history from the state's position on; its last pending_tokens are pending
  TokenLog recent;  // the newest of history, as many as asked for

  int64_t consumed() const { return position - pending_tokens; }
  int64_t state_position() const { return state == nullptr ? 0 : state->position; }
  // Tokens that were consumed once and are not in the state that is held.
  int64_t lost_tokens() const { return consumed() - state_position(); }
};

// What a turn makes of a session, or of a child.
struct SessionCommit {
  TokenLog appended;  // follows the base's history
  int64_t pending_tokens = 0;
  std::string text_remainder;
  StateRef state;  // has consumed all but the pending tokens; null when that is nothing
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_H_
