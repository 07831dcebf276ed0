// See limit_table.h.
#include "server/limit_table.h"

#include <cmath>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/options.h"

namespace ssmd::server {
namespace {

constexpr char kStates[] = "Limits: states and turns";
constexpr char kSessions[] = "Limits: sessions";
constexpr char kDirectory[] = "State directory";
constexpr char kReplicas[] = "Replicas";
constexpr char kRequest[] = "Limits: one request";
constexpr char kServer[] = "Limits: connections and process";
constexpr char kLogging[] = "Logging";

enum class Unit : uint8_t { kNone, kTokens, kBytes, kSeconds };

struct Milliseconds {
  int64_t* value;
};

struct LimitRow {
  const char* flag;
  const char* group;
  std::variant<int32_t*, int64_t*, Duration*, Milliseconds> value;
  Unit unit;
  double low;
  double high;
  const char* help;
};

constexpr double kMi = 1 << 20;
constexpr double kGi = 1 << 30;
constexpr double kTi = 1024 * kGi;
constexpr double kDay = 86400;
constexpr double kTenYears = 3650 * kDay;

std::vector<LimitRow> StateLimits(EngineLimits* e, ServerLimits* server) {
  return {
      {"--state-bytes", kStates, &e->state_bytes, Unit::kBytes, 0, 4 * kTi,
       "Memory of a model's slots where --state-slots is auto; 2 are always made. 0: 1 GiB; on a "
       "GPU nine tenths of what is free once the models are loaded, shared by them"},
      {"--host-state-bytes", kStates, &e->host_state_bytes, Unit::kBytes, 0, 4 * kTi,
       "States in host memory, of all models together"},
      {"--prefix-cache-bytes", kStates, &e->prefix_cache_bytes, Unit::kBytes, 0, 4 * kTi,
       "States held of prompts without a session, per model; 0: none"},
      {"--prefix-grid", kStates, &e->prefix_grid_tokens, Unit::kTokens, 1, kMi,
       "Such states are held at the multiples of this"},
      {"--token-budget", kStates, &e->token_budget, Unit::kTokens, 1, 65535,
       "Most tokens of one step, over all turns. On a GPU 4096 unless given"},
      {"--prompt-budget", kStates, &e->prompt_budget, Unit::kTokens, 1, 65536,
       "Of them, for prompts while streams are getting their tokens. On a GPU 512 unless given"},
      {"--max-running", kStates, &e->max_running, Unit::kNone, 1, kMi,
       "Turns in progress at once, per model"},
      {"--max-waiting", kStates, &e->max_waiting, Unit::kNone, 1, kMi,
       "Turns that may wait for a slot, per model"},
      {"--max-queue-time", kStates, &e->max_queue_time, Unit::kSeconds, 0.01, kDay,
       "A turn that would wait longer for its slot is refused at once"},
      {"--priority-ageing", kStates, &e->ageing, Unit::kSeconds, 0.01, kDay,
       "A turn that waits rises by one priority each time this has passed"},
      {"--max-history-tokens", kStates, &e->max_history_tokens, Unit::kTokens, 1, kGi,
       "Longest history of a session"},
      {"--max-n", kStates, &e->max_choices, Unit::kNone, 1, 16, "Answers to one prompt (n)"},
      {"--max-output-events", kStates, &e->output_events, Unit::kNone, 1, 65536,
       "Events buffered for a reader before its turn pauses"},
      {"--slow-reader-timeout", kStates, &server->slow_reader_timeout, Unit::kSeconds, 0.01, kDay,
       "How long a turn stays paused for its reader before it ends; and how long a MiB of an "
       "export "
       "or import may take"},
      {"--max-transfers", kStates, &e->max_transfers, Unit::kNone, 1, 1024,
       "Exports and imports of sessions at once"},
  };
}

std::vector<LimitRow> SessionRows(SessionLimits* s, SessionLifetime* lifetime) {
  return {
      {"--max-sessions", kSessions, &s->sessions_per_tenant, Unit::kNone, 1, kGi,
       "Sessions, per tenant"},
      {"--max-tenant-state-bytes", kSessions, &s->state_bytes_per_tenant, Unit::kBytes, 0, 64 * kTi,
       "States and checkpoints of a tenant, wherever they are; 0: no limit"},
      {"--max-checkpoints", kSessions, &s->checkpoints, Unit::kNone, 0, 1024,
       "Checkpoints of a session"},
      {"--max-turn-ends", kSessions, &s->turn_ends, Unit::kNone, 0, 1024,
       "Ends of turns that a session can go back to"},
      {"--max-turn-end-states", kSessions, &s->turn_end_states, Unit::kNone, 0, 1024,
       "Of those, with their states, so that going back recomputes nothing"},
      {"--turn-end-bytes", kSessions, &s->turn_end_bytes, Unit::kBytes, 0, 4 * kTi,
       "Such states of all sessions together"},
      {"--max-session-waiting", kSessions, &s->waiting_turns, Unit::kNone, 0, 1024,
       "Turns that may wait for the one in progress, per session"},
      {"--max-session-results", kSessions, &s->results, Unit::kNone, 0, 1024,
       "Answers kept for retries by request_id, per session"},
      {"--max-session-result-bytes", kSessions, &s->result_bytes, Unit::kBytes, 0, kGi,
       "Their size, per session; past it a retry of an old one is refused"},
      {"--session-ttl", kSessions, Milliseconds{&lifetime->ttl_ms}, Unit::kSeconds, 0, kTenYears,
       "How long a session lives that does not say; 0: no end"},
      {"--session-idle", kSessions, Milliseconds{&lifetime->idle_ms}, Unit::kSeconds, 0, kTenYears,
       "How long it lives unused; 0: no end"},
  };
}

std::vector<LimitRow> DirectoryRows(StateDirOptions* d) {
  return {
      {"--disk-state-bytes", kDirectory, &d->disk_bytes, Unit::kBytes, 0, 64 * kTi,
       "States in the state directory, of all models together; 0: no limit"},
      {"--dirty-state-bytes", kDirectory, &d->dirty_bytes, Unit::kBytes, 0, 4 * kTi,
       "States in memory that may wait to be stored; past it they are stored without delay"},
      {"--max-replay-tokens", kDirectory, &d->replay_tokens, Unit::kTokens, 0, kGi,
       "A session's state is stored when a restart would read more of its history again"},
      {"--store-after", kDirectory, &d->store_after, Unit::kSeconds, 0, kTenYears,
       "An idle session's state is stored after this"},
      {"--compact-log-bytes", kDirectory, &d->compact_bytes, Unit::kBytes, 0, 4 * kTi,
       "The log is rewritten when it is larger than this, and than twice what it says"},
  };
}

std::vector<LimitRow> ReplicaRows(ReplicaOptions* r) {
  return {
      {"--replica-presence", kReplicas, &r->limits.presence, Unit::kSeconds, 0.5, 3600,
       "A replica that has not been heard of for so long counts as dead: others take its sessions "
       "over"},
      {"--replica-patience", kReplicas, &r->limits.patience, Unit::kSeconds, 0, kDay,
       "A call waits so long for a session that another replica has, or had"},
      {"--replica-farewell", kReplicas, &r->farewell, Unit::kSeconds, 0, 600,
       "A replica that stops closes its listeners once no call has come for so long, or after "
       "three times that: longer than routers need to see that it drains"},
      {"--max-waiting-claims", kReplicas, &r->limits.waiting_calls, Unit::kNone, 1, 65536,
       "Calls whose sessions are elsewhere, at once"},
      {"--shared-state-after", kReplicas, &r->limits.state_after, Unit::kSeconds, 0, kDay,
       "A session's state is in the shared store so long after a commit; its commits are at once"},
      {"--shared-keep", kReplicas, &r->limits.keep, Unit::kSeconds, 1, kTenYears,
       "A session that nobody uses stays in the shared store so long"},
      {"--shared-queue-bytes", kReplicas, &r->limits.queued_bytes, Unit::kBytes, 0, 4 * kTi,
       "Commits that wait to be written; past it whole sessions are written again later"},
      {"--shared-timeout", kReplicas, &r->store.timeout, Unit::kSeconds, 0.001, 60,
       "The shared store has so long to answer, and a second more for every 20 MB that a call "
       "moves"},
      {"--shared-tenant-bytes", kReplicas, &r->store.tenant_bytes, Unit::kBytes, 0, 64 * kTi,
       "What a tenant's sessions may take in the shared store; the same in all replicas. 0: no "
       "limit"},
      {"--shared-session-bytes", kReplicas, &r->store.reply_bytes_max, Unit::kBytes, kMi, kTi,
       "And one session"},
  };
}

std::vector<LimitRow> RequestRows(RequestLimits* r) {
  return {
      {"--max-prompt-bytes", kRequest, &r->prompt_bytes, Unit::kBytes, 1, kGi,
       "Text of a prompt, all messages together"},
      {"--max-prompt-tokens", kRequest, &r->prompt_tokens, Unit::kNone, 1, kGi,
       "A prompt that comes as token ids, or ids to detokenise. Text has --max-prompt-bytes"},
      {"--max-score-tokens", kRequest, &r->score_tokens, Unit::kNone, 2, 16 * kMi,
       "Token ids to score; for text, its bytes"},
      {"--max-tokens", kRequest, &r->max_tokens, Unit::kTokens, 0, kGi,
       "What a request may set max_tokens to"},
      {"--max-messages", kRequest, &r->messages, Unit::kNone, 1, 1024, "Chat messages of a prompt"},
      {"--max-stop-strings", kRequest, &r->stop_strings, Unit::kNone, 0, 16, "Stop strings"},
      {"--max-stop-string-bytes", kRequest, &r->stop_string_bytes, Unit::kBytes, 1, 256,
       "Length of a stop string"},
      {"--max-stop-tokens", kRequest, &r->stop_tokens, Unit::kNone, 0, 64, "Stop tokens"},
      {"--max-whole-answer-bytes", kRequest, &r->whole_answer_bytes, Unit::kBytes, 1024, kTi,
       "An HTTP answer that is no stream; it is held until it is whole"},
      {"--stored-answer-idle", kRequest, &r->stored_answer_idle, Unit::kSeconds, 0, 10 * 365 * kDay,
       "How long an answer that was stored over HTTP (store) is kept unused; 0: as other sessions"},
      {"--max-append-samples", kRequest, &r->append_samples, Unit::kNone, 1, kGi,
       "Samples of one append to a memory, of all channels together"},
      {"--max-reconstructed-values", kRequest, &r->reconstructed_values, Unit::kNone, 1, kGi,
       "Values that one query of a memory may ask for: times, of each channel"},
      {"--max-logit-bias", kRequest, &r->logit_bias, Unit::kNone, 0, 1024, "Entries of logit_bias"},
  };
}

std::vector<LimitRow> ServerRows(ServerLimits* s) {
  return {
      {"--max-message-bytes", kServer, &s->message_bytes, Unit::kBytes, 1024, kGi,
       "A gRPC message received"},
      {"--max-metadata-bytes", kServer, &s->metadata_bytes, Unit::kBytes, 1024, kMi,
       "Metadata of a gRPC call"},
      {"--max-concurrent-streams", kServer, &s->concurrent_streams, Unit::kNone, 1, kMi,
       "Calls at once on one gRPC connection"},
      {"--max-grpc-memory", kServer, &s->grpc_memory_bytes, Unit::kBytes, kMi, 4 * kTi,
       "Buffers of all gRPC connections together"},
      {"--max-requests", kServer, &s->requests, Unit::kNone, 1, kMi,
       "Calls at once that generate, score or change sessions, of all tenants"},
      {"--max-tenant-requests", kServer, &s->tenant_requests, Unit::kNone, 1, kMi,
       "The same, of one tenant"},
      {"--max-tenant-rate", kServer, &s->tenant_rate, Unit::kNone, 0, 1e6,
       "Calls a second, of one tenant, for which --token-file says nothing else; 0: no limit"},
      {"--max-tenant-tokens-per-minute", kServer, &s->tenant_tokens_per_minute, Unit::kNone, 0,
       1e12, "Tokens read and generated, of one tenant likewise; 0: no limit"},
      {"--max-http-connections", kServer, &s->http_connections, Unit::kNone, 1, 65536,
       "HTTP connections at once"},
      {"--max-http-header-bytes", kServer, &s->http_header_bytes, Unit::kBytes, 1024, kMi,
       "Header of an HTTP request"},
      {"--max-http-body-bytes", kServer, &s->http_body_bytes, Unit::kBytes, 0, kGi,
       "Body of an HTTP request"},
      {"--http-timeout", kServer, &s->http_timeout, Unit::kSeconds, 0.1, 3600,
       "To read an HTTP request, and to write its answer or a piece of it"},
      {"--http-idle-timeout", kServer, &s->http_idle_timeout, Unit::kSeconds, 0.1, kDay,
       "Between two requests of an HTTP connection"},
      {"--http-keep-alive", kServer, &s->http_keep_alive, Unit::kSeconds, 0.1, 3600,
       "An event stream that has nothing to say for so long sends a comment"},
      {"--drain-timeout", kServer, &s->drain_timeout, Unit::kSeconds, 0, kDay,
       "How long running turns may take to end after SIGTERM, and states to be stored"},
      {"--max-step-time", kServer, &s->step_time, Unit::kSeconds, 0.1, kDay,
       "A step that takes longer counts as stuck: /healthz and the health of 'live' say so, and "
       "the service manager's watchdog hears no more"},
  };
}

std::vector<LimitRow> LogRows(SlowRequests* slow) {
  return {
      {"--log-slow-request", kLogging, &slow->total, Unit::kSeconds, 0, kDay,
       "A request that took longer is logged once more, as a warning (slow_request); 0: none is"},
      {"--log-slow-first-token", kLogging, &slow->first_token, Unit::kSeconds, 0, kDay,
       "So is one whose first token took longer; 0: none is"},
  };
}

const char* NameOf(Unit unit) {
  switch (unit) {
    case Unit::kNone:
      return "";
    case Unit::kTokens:
      return " [tokens]";
    case Unit::kBytes:
      return " [bytes]";
    case Unit::kSeconds:
      return " [seconds]";
  }
  return "";
}

// As it can be given: 1048576 bytes are 1M.
std::string Shown(double value, Unit unit) {
  if (unit == Unit::kBytes && value > 0) {
    const char kSuffixes[] = {'T', 'G', 'M', 'K'};
    double size = kTi;
    for (const char suffix : kSuffixes) {
      if (std::fmod(value, size) == 0) return absl::StrFormat("%.0f%c", value / size, suffix);
      size /= 1024;
    }
  }
  return value == std::floor(value) ? absl::StrFormat("%.0f", value) : absl::StrFormat("%g", value);
}

double FactorOf(char suffix) {
  switch (suffix) {
    case 'K':
    case 'k':
      return 1024;
    case 'M':
    case 'm':
      return kMi;
    case 'G':
    case 'g':
      return kGi;
    case 'T':
    case 't':
      return kTi;
    default:
      return 0;
  }
}

// Nothing when it is not a number in the row's range (whole, but for seconds).
std::optional<double> Parse(const LimitRow& row, std::string text) {
  double factor = 1;
  if (row.unit == Unit::kBytes && !text.empty() && FactorOf(text.back()) > 0) {
    factor = FactorOf(text.back());
    text.pop_back();
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value)) return std::nullopt;
  value *= factor;
  if (!(value >= row.low && value <= row.high)) return std::nullopt;
  if (row.unit != Unit::kSeconds && value != std::floor(value)) return std::nullopt;
  return value;
}

// Between a row's number and where it is kept.
struct Target {
  double Get(const int32_t* value) const { return *value; }
  double Get(const int64_t* value) const { return static_cast<double>(*value); }
  double Get(const Duration* value) const { return Seconds(*value); }
  double Get(Milliseconds ms) const { return static_cast<double>(*ms.value) / 1000; }

  void Set(int32_t* value, double number) const { *value = static_cast<int32_t>(number); }
  void Set(int64_t* value, double number) const { *value = static_cast<int64_t>(number); }
  void Set(Duration* value, double number) const {
    *value = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
  }
  void Set(Milliseconds ms, double number) const {
    *ms.value = static_cast<int64_t>(std::llround(number * 1000));
  }
};

void AddFlag(CLI::App* app, const LimitRow& row) {
  const std::string range = absl::StrCat(Shown(row.low, row.unit), "..", Shown(row.high, row.unit));
  const double preset =
      std::visit([](const auto& value) { return Target().Get(value); }, row.value);
  app->add_option_function<std::string>(
         row.flag,
         [row](const std::string& text) {
           const double number = Parse(row, text).value_or(row.low);  // checked before
           std::visit([number](const auto& value) { Target().Set(value, number); }, row.value);
         },
         absl::StrCat(row.help, NameOf(row.unit), ", ", range))
      ->group(row.group)
      ->default_str(Shown(preset, row.unit))
      ->type_name("N")
      ->check([row, range](const std::string& text) {
        if (Parse(row, text).has_value()) return std::string();
        return absl::StrCat("must be a ", row.unit == Unit::kSeconds ? "number" : "whole number",
                            " in ", range, ", got ", text);
      });
}

}  // namespace

void AddLimitFlags(CLI::App* app, Options* options) {
  for (const auto& rows : {DirectoryRows(&options->state_dir), ReplicaRows(&options->replica),
                           StateLimits(&options->engine, &options->server),
                           SessionRows(&options->engine.sessions, &options->request.lifetime),
                           RequestRows(&options->request), ServerRows(&options->server),
                           LogRows(&options->log_slow)}) {
    for (const LimitRow& row : rows) AddFlag(app, row);
  }
}

}  // namespace ssmd::server
