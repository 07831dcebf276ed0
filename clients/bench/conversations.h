// Files of real conversations, whose users' turns a load asks again. Any of
//
//   JSON lines        a conversation a line (or the same values one after the other)
//   JSON              one array of conversations
//   plain text        lines of "User: …" and "Assistant: …", with an empty line between
//   conversations;
//                     a line without either goes on with the one before
//
// where a conversation in JSON is an array of strings (the user's turns) or of messages, or an
// object with such an array as its "messages", "conversations", "conversation" or "turns". A
// message is
// {"role": …, "content": …} or {"from": …, "value": …}. Of the roles, "system" (in front) is what
// the conversation begins with, "user" and "human" are asked, and what "assistant", "gpt", "bot"
// and "tool" said is left out: the server under load answers for itself. Consecutive turns of the
// user are one.
//
// The same file as JSON lines, for other tools:
//   jq -c . conversations.json                # from one array: jq -c '.[]'
#ifndef SSMD_CLIENTS_BENCH_CONVERSATIONS_H_
#define SSMD_CLIENTS_BENCH_CONVERSATIONS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/error.h"

namespace ssmd::bench {

struct Conversation {
  std::string system;                   // may be empty
  std::vector<std::string> user_turns;  // at least one
};

struct ConversationLimits {
  size_t file_bytes = size_t{1} << 28;
  size_t conversations = size_t{1} << 20;
  size_t turns = 1024;
  size_t turn_bytes = size_t{1} << 20;
};

// Conversations without a user's turn are left out. INVALID_ARGUMENT where the text is none of the
// above, passes a limit, or holds no conversation; the message says which line.
client::Result<std::vector<Conversation>> ParseConversations(std::string_view text,
                                                             const ConversationLimits& limits = {});
client::Result<std::vector<Conversation>> ReadConversations(const std::string& path,
                                                            const ConversationLimits& limits = {});

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_CONVERSATIONS_H_
