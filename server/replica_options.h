// The flags of a replica: where sessions are shared, and how long they are waited for.
#ifndef SSMD_SERVER_REPLICA_OPTIONS_H_
#define SSMD_SERVER_REPLICA_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/status.h"
#include "engine/shared/redis_store.h"
#include "engine/shared/session_sharing.h"

namespace ssmd::server {

struct ReplicaOptions {
  RedisOptions store;   // url empty: sessions are this process's alone
  std::string address;  // of this replica, for people and routers; empty: where gRPC listens
  SharingLimits limits;
  // A replica that stops goes on saying so until no call has come for so long: a little longer than
  // what routers need to notice (deploy/envoy asks each second, and a tenth of it more).
  Duration farewell = std::chrono::milliseconds(1200);
  std::string durability = "process";  // of turns whose requests do not say
  bool shared() const { return !store.url.empty(); }
};

void AddReplicaFlags(CLI::App* app, ReplicaOptions* options);
// Reads the URL from its file, if it is one's name; checks what the flags together mean.
absl::Status CheckReplicaOptions(ReplicaOptions* options, Durability* durability);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_REPLICA_OPTIONS_H_
