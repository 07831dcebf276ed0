// The model server without a network: models, sessions and generations behind one façade.
//
// Thread-safe. One step thread per engine owns the device; calls here validate what they can, post
// to it and return. Every error is an absl::Status whose message a caller can act on; where a
// machine needs the reason it is attached as a payload (see errors.h).
#ifndef SSMD_ENGINE_ENGINE_H_
#define SSMD_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/models/language_model.h"
#include "engine/observer.h"
#include "engine/schedule/model_stats.h"
#include "engine/schedule/output_stream.h"
#include "engine/schedule/request.h"
#include "engine/session/session_table.h"
#include "engine/shared/session_sharing.h"
#include "engine/state/snapshot.h"
#include "engine/state/state_store.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "kernels/device.h"

namespace ssmd {

// Every limit has a flag of the daemon (server/options.*) and is enforced past the value given.
struct EngineLimits {
  int state_slots = 0;  // per model, >= 2; 0: as many as fit state_bytes
  // Per model, for state_slots = 0 (at least 2 slots, at most 1024). 0: of a device that says how
  // much memory is free once the models are loaded, nine tenths of that, shared by the models; else
  // 1 GiB.
  int64_t state_bytes = 0;
  int64_t host_state_bytes = int64_t{1} << 30;      // states outside of slots, all models together
  int64_t prefix_cache_bytes = int64_t{256} << 20;  // per model; of slots and host memory
  int prefix_grid_tokens = 512;                     // a prompt's states are held at its multiples
  int token_budget = 512;                           // most tokens of a step
  int prompt_budget = 64;                           // of prompts, in a step with decoding lanes
  int max_running = 256;                            // turns in progress at once, per model
  int max_waiting = 256;  // turns queued for slots, per model; past it RESOURCE_EXHAUSTED
  Duration max_queue_time = std::chrono::seconds(60);  // expected; past it RESOURCE_EXHAUSTED
  Duration ageing = std::chrono::seconds(5);           // see Priority
  int64_t max_history_tokens = int64_t{1}
                               << 20;  // of a session or an anonymous turn, sampled ones included
  int max_choices = 16;                // n; at most state_slots
  int output_events = 64;              // buffered events of a stream
  Duration slow_reader_timeout = std::chrono::seconds(60);
  int max_transfers = 4;  // exports and imports at once
  SessionLimits sessions;
};

// Where sessions outlive the process. One engine at a time; the folder is locked.
struct StateDirOptions {
  std::string path;                          // empty: sessions end with the process
  int64_t disk_bytes = int64_t{16} << 30;    // of stored states, all models together
  int64_t dirty_bytes = int64_t{256} << 20;  // states in memory that wait to be stored; past
                                             // it they are written without delay
  int64_t replay_tokens = 4096;              // a state is stored when a restart would replay more
  Duration store_after{std::chrono::seconds(30)};  // idle sessions are stored after
  // The log is rewritten when it is larger than this, and than twice what it says.
  int64_t compact_bytes = int64_t{64} << 20;
};

// Where replicas share sessions, if they do: any of them goes on with any session.
struct SharingOptions {
  std::unique_ptr<SharedStore> store;  // null: sessions are this process's alone
  std::string address;                 // of this replica, for people and routers
  SharingLimits limits;
};

struct ModelSpec {
  std::string name;
  std::string path;  // a folder or a GGUF file
  ModelLoadOptions load;
  std::string chat = kChatAuto;  // what IsChatChoice() allows
};

struct EngineOptions {
  std::vector<ModelSpec> models;  // distinct names, at least one
  EngineLimits limits;
  StateDirOptions state_dir;
  SharingOptions sharing;
  // Of what is done to sessions between their turns; a turn's request says its own.
  Durability durability = Durability::kProcess;
  const Clock* clock = nullptr;  // null: the steady clock
  Observer* observer = nullptr;  // may be null; outlives the engine
};

struct EngineFigures {   // what is shared by the models
  CommitLogFigures log;  // zeros without a state directory
  StoreFigures store;
  std::optional<SharingFigures> sharing;               // absent: sessions are not shared
  std::vector<kernels::FastKernelState> fast_kernels;  // kernels::Device::fast_kernels
};

struct ServedModel {
  std::string name;
  ModelInfo info;
  bool has_tokenizer = false;
  std::string chat_format;  // "template", the model's own; the name of a built-in one; "none"
  std::string device;       // what computes: "cpu/avx2" and the like (kernels::Device::name)
  std::string numerics_profile;
  int state_slots = 0;
  int64_t state_bytes_per_session = 0;
  int token_budget = 0;
  int64_t max_history_tokens = 0;
  // Of text; 0 of a memory, whose tokens are samples.
  int vocabulary_size() const { return info.memory.has_value() ? 0 : info.vocabulary; }
};

class Engine {
 public:
  // Loads every model, then starts the step thread. `device` is owned from here on.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(std::unique_ptr<kernels::Device> device,
                                                        EngineOptions options);
  virtual ~Engine() = default;  // ends every turn with UNAVAILABLE and joins the step thread

  // What made the device useless, or "". Every turn ends with UNAVAILABLE then, and the process had
  // better end, too: sessions are as they were at their last commit. Any thread.
  virtual std::string device_failure() const = 0;

  // Grows from one call to the next, but not while the step thread is held up in a step. Any
  // thread.
  virtual uint64_t Pulse() = 0;

  // RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE while draining, NOT_FOUND for a model or
  // a session that is not the tenant's, ABORTED for a session with a turn in progress or at another
  // revision, INVALID_ARGUMENT for a bad prompt. `request_id` names the request in events and logs.
  // Where sessions are shared and this one is elsewhere, it is fetched first: what is wrong is said
  // by the stream then.
  virtual absl::StatusOr<std::shared_ptr<OutputStream>> Generate(GenerateRequest request,
                                                                 std::string request_id) = 0;

  // The same for a memory's samples. FAILED_PRECONDITION (reason MODEL_KIND) for the other kind of
  // model, here as there.
  virtual absl::StatusOr<std::shared_ptr<OutputStream>> Append(AppendRequest request,
                                                               std::string request_id) = 0;
  // NOT_FOUND for a model that is not there; empty: the only one, else INVALID_ARGUMENT.
  virtual absl::StatusOr<MemoryConfig> MemoryOf(const std::string& model) const = 0;
  // What a memory says as of its session's last commit. `done` is called once, on a thread of the
  // engine or this one; it must not block.
  virtual void ReadMemory(const std::string& tenant, const std::string& session_id,
                          MemoryQuery query,
                          std::function<void(absl::StatusOr<MemoryReading>)> done) = 0;

  // Scores tokens through the same steps as everyone else's. `done` is called once, on the step
  // thread (or at once on error); it must not block. The returned function cancels.
  virtual std::function<void()> Score(ScoreRequest request, std::string request_id,
                                      std::function<void(absl::StatusOr<ScoreResult>)> done) = 0;

  // Their pooled hidden vectors, likewise.
  virtual std::function<void()> Encode(EncodeRequest request, std::string request_id,
                                       std::function<void(absl::StatusOr<EncodeResult>)> done) = 0;

  virtual absl::StatusOr<std::vector<int32_t>> Tokenize(const std::string& model,
                                                        const std::string& text,
                                                        bool parse_special) const = 0;
  virtual absl::StatusOr<std::string> Detokenize(const std::string& model,
                                                 const std::vector<int32_t>& token_ids) const = 0;
  // The bytes that a token stands for: possibly part of a character. Empty for an id or a model
  // that is not there, and without a tokenizer.
  virtual std::string TokenBytes(const std::string& model, int32_t token_id) const = 0;

  // --- Sessions: see SessionTable for their errors ---
  // Calls that change something return when the change is as lasting as the state directory makes
  // it; they may wait for a write of the log.

  // `done` is called once: at once, or on the step thread after the prompt was read; it must not
  // block. The returned function cancels.
  virtual std::function<void()> CreateSession(
      CreateSessionRequest request, std::string request_id,
      std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;
  virtual absl::StatusOr<SessionInfo> GetSession(const std::string& tenant,
                                                 const std::string& session_id) const = 0;
  virtual absl::StatusOr<SessionPage> ListSessions(const std::string& tenant,
                                                   const SessionFilter& filter, int page_size,
                                                   const std::string& page_token) const = 0;
  // The children share their parent's state until they go their own ways: no byte is copied.
  virtual absl::StatusOr<std::vector<SessionInfo>> ForkSession(const std::string& tenant,
                                                               const std::string& session_id,
                                                               const ForkOptions& options) = 0;
  virtual absl::StatusOr<SessionInfo> RewindSession(const std::string& tenant,
                                                    const std::string& session_id,
                                                    const RewindTarget& target) = 0;
  virtual absl::StatusOr<SessionInfo> CheckpointSession(const std::string& tenant,
                                                        const std::string& session_id,
                                                        const CheckpointOptions& options) = 0;
  // A turn in progress is cancelled. ABORTED when `expected_revision` is given and is not the
  // present.
  virtual absl::Status DeleteSession(const std::string& tenant, const std::string& session_id,
                                     std::optional<uint64_t> expected_revision) = 0;
  // The session (or its checkpoint of that name) as of its last commit. `done` is called once, on a
  // thread of the engine or this one; it must not block.
  virtual void ExportSession(const std::string& tenant, const std::string& session_id,
                             const std::string& checkpoint,
                             std::function<void(absl::StatusOr<EncodedSnapshot>)> done) = 0;
  // A new session from an exported one. FAILED_PRECONDITION names what differs when it is of
  // another model, layout or numerics profile; with `allow_inexact` another profile's state is
  // used, with `rebuild` its history is read again by the next turn instead.
  struct ImportOptions {
    std::string model;  // empty: the only one served, or that which the snapshot names
    bool allow_inexact = false;
    bool rebuild = false;
    SessionLifetime lifetime;
  };
  virtual absl::StatusOr<SessionInfo> ImportSession(const std::string& tenant,
                                                    const ImportOptions& options,
                                                    absl::Span<const char> snapshot) = 0;
  // The largest snapshot that ImportSession takes of a model (empty: of any).
  virtual absl::StatusOr<int64_t> SnapshotBytesMax(const std::string& model) const = 0;

  // Ends sessions whose time is over, stores states, keeps the log short. Blocking; called now and
  // then by whoever keeps house. An error is for the operator's log: what failed is tried again.
  virtual absl::Status Maintain() = 0;
  // Stores what is not stored yet, so that the next start has nothing to replay; gives up at
  // `deadline`. For the end, after Drain.
  virtual absl::Status StoreAll(TimePoint deadline) = 0;
  // Gives every session up to other replicas, where they are shared: none is here afterwards. For
  // the end, after Drain; gives up at `deadline`.
  virtual absl::Status LeaveReplicas(TimePoint deadline) = 0;
  virtual EngineFigures Figures() const = 0;

  virtual std::vector<ServedModel> Models() const = 0;
  virtual std::vector<ModelStats> Stats() const = 0;

  // New turns get UNAVAILABLE; those accepted go on. Irreversible.
  virtual void Drain() = 0;
  // True once draining and nothing is waiting or running.
  virtual bool Drained() const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_ENGINE_H_
