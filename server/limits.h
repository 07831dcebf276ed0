// What one request, one connection and the process may use. The engine has limits of its own
// (engine/engine.h); each of both has a flag (options.cc), is enforced where it is named here, and
// past it the caller gets a status that names it.
#ifndef SSMD_SERVER_LIMITS_H_
#define SSMD_SERVER_LIMITS_H_

#include <cstdint>

#include "engine/base/clock.h"
#include "engine/log/commit_log.h"
#include "engine/session/session_change.h"

namespace ssmd::server {

// Of a request; enforced by convert.*.
struct RequestLimits {
  int64_t prompt_bytes = int64_t{1} << 20;     // text, or all messages together
  int64_t prompt_tokens = int64_t{256} << 10;  // token ids of a prompt, or to detokenise
  int64_t score_tokens = 16384;                // token ids to score, or bytes of text to score
  int32_t max_tokens = 65536;                  // what a request may ask for
  int32_t choices = 16;                        // n
  int32_t messages = 1024;                     // chat messages of a prompt
  int32_t stop_strings = 16;
  int32_t stop_string_bytes = 256;  // each
  int32_t stop_tokens = 64;
  int32_t logit_bias = 1024;                       // entries
  int32_t append_samples = 65536;                  // of one append to a memory
  int32_t reconstructed_values = 65536;            // of a memory's query: times · channels
  int32_t name_bytes = 256;                        // a model's name, a session id, a page token
  SessionLifetime lifetime;                        // of sessions whose requests do not say
  Durability durability = Durability::kProcess;    // of turns whose requests do not say
  int64_t whole_answer_bytes = int64_t{64} << 20;  // of an HTTP answer that is no stream, about
  Duration stored_answer_idle =
      std::chrono::hours(1);  // of those made by `store` over HTTP; 0: none
};

// Of the wire and the process; enforced by grpc/ and http/, and by access/admission.*.
struct ServerLimits {
  int32_t message_bytes = 4 << 20;       // a gRPC message received
  int32_t metadata_bytes = 16 << 10;     // of a gRPC call
  int32_t concurrent_streams = 1024;     // calls at once on one gRPC connection
  int64_t grpc_memory_bytes = 1 << 30;   // gRPC's own buffers, all connections together
  int32_t requests = 1024;               // generation calls at once, all tenants
  int32_t tenant_requests = 1024;        // generation calls at once, of one tenant
  int32_t tenant_rate = 0;               // calls a second, of one tenant; 0: no limit
  int64_t tenant_tokens_per_minute = 0;  // read and generated, of one tenant; 0: no limit
  int32_t http_connections = 512;        // at once
  int32_t http_header_bytes = 16 << 10;
  int32_t http_body_bytes = 1 << 20;
  Duration http_timeout = std::chrono::seconds(30);       // to read a request, to write a piece
  Duration http_idle_timeout = std::chrono::seconds(75);  // between two requests of a connection
  Duration http_keep_alive = std::chrono::seconds(10);    // a stream with nothing to say says so
  Duration slow_reader_timeout = std::chrono::seconds(60);
  Duration drain_timeout = std::chrono::seconds(30);
  Duration step_time = std::chrono::seconds(60);  // a step that takes longer counts as stuck
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_LIMITS_H_
