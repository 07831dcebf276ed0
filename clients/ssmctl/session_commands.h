// The actions of `ssmctl sessions`: what its flags hold, and a function for each. They return the
// exit status.
#ifndef SSMD_CLIENTS_SSMCTL_SESSION_COMMANDS_H_
#define SSMD_CLIENTS_SSMCTL_SESSION_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "clients/ssmctl/context.h"

namespace ssmd::ctl {

struct SessionOptions {
  std::string model;
  std::string id;
  std::optional<uint64_t> expected_revision;
  std::optional<int64_t> ttl_seconds;
  std::optional<int64_t> idle_seconds;
  // create
  std::optional<std::string> text;
  std::string tokens;
  std::string from;  // ID or ID@CHECKPOINT
  bool parse_special = false;
  // list
  int32_t page_size = 0;
  std::string page_token;
  std::string parent;
  // fork, rewind, checkpoint, export
  std::optional<int32_t> count;
  std::string checkpoint;
  std::optional<int64_t> position;
  std::optional<int32_t> turns;
  bool allow_recompute = false;
  std::string name;
  bool remove = false;
  // export, import
  std::string file;
  bool rebuild = false;
  bool allow_inexact = false;
};

int CreateSession(Context& context, const SessionOptions& options);
int ListSessions(Context& context, const SessionOptions& options);
int GetSession(Context& context, const SessionOptions& options);
int ForkSession(Context& context, const SessionOptions& options);
int RewindSession(Context& context, const SessionOptions& options);
int CheckpointSession(Context& context, const SessionOptions& options);
int DeleteSession(Context& context, const SessionOptions& options);
int ExportSession(Context& context, const SessionOptions& options);
int ImportSession(Context& context, const SessionOptions& options);

// Sets the fields that were given.
void ApplyLifetime(const SessionOptions& options, v1::SessionLifetime* lifetime);
// A session as the result of a command: JSON with --json, else its id or its description.
int PrintSessionId(const Context& context, const v1::Session& session);
int PrintSession(const Context& context, const v1::Session& session);
// Milliseconds since 1970.
int64_t NowUnixMs();

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_SESSION_COMMANDS_H_
