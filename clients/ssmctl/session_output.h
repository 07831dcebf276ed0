// Sessions as people and as machines read them.
#ifndef SSMD_CLIENTS_SSMCTL_SESSION_OUTPUT_H_
#define SSMD_CLIENTS_SSMCTL_SESSION_OUTPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "clients/ssmctl/json_writer.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::ctl {

// One object with all that is known of a session.
void WriteSession(const v1::Session& session, JsonWriter* writer);

// The same as lines. `now_unix_ms`: for ages.
std::vector<std::string> DescribeSession(const v1::Session& session, int64_t now_unix_ms);

// A line a session, children below their parents and indented, after a line of headings:
//
//     SESSION                               MODEL   TOKENS  REV  STATE   BYTES    USED  NOTES
//     3f…                                   tales     1204    7  host   196 KB  2m ago
//     ├─ 9a…                                tales     1230    9  device 196 KB  1s ago  running
//     └─ c0…                                …
//
// A session whose parent is not among them stands at the top.
std::vector<std::string> SessionTree(const std::vector<v1::Session>& sessions, int64_t now_unix_ms);

// "device", "host", "disk", "lost"; "none" where nothing was consumed; the number of a tier that
// this program does not know.
std::string TierName(v1::StateTier tier);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_SESSION_OUTPUT_H_
