// An append-only log of records in a folder: what was acknowledged is there after a crash at any
// moment. It knows nothing of what the records say (session_log.h does).
//
// Files (engine/log/README.md): segments `log-N`, N ascending, each a header and
// framed, checksummed records; and at most one image `image-N`, which stands for everything before
// segment N. Recovery reads the image and then the segments from N on. A record that is torn at the
// end of the last segment was never acknowledged: it is cut off. Damage anywhere else is an error:
// what was acknowledged must not vanish silently.
//
// Thread-safe. One thread of its own writes; appends that wait together are written together and
// share one sync.
#ifndef SSMD_ENGINE_LOG_COMMIT_LOG_H_
#define SSMD_ENGINE_LOG_COMMIT_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/file_system.h"

namespace ssmd {

// How safe a record is when its append is acknowledged.
enum class Durability : uint8_t {
  kProcess,     // written: survives the end of this process, however sudden
  kPower,       // synced to the medium: survives the end of the machine
  kReplicated,  // kProcess to this log; and others have it (SharedSessionLog)
};

struct CommitLogOptions {
  std::string directory;                      // made if absent; ours alone
  bool must_exist = false;                    // DATA_LOSS where there is none
  int64_t segment_bytes = int64_t{64} << 20;  // a new segment past it
  int64_t record_bytes_max = int64_t{256} << 20;
  // Of appends that wait. Past it RESOURCE_EXHAUSTED, unless nothing else waits.
  int64_t queued_bytes_max = int64_t{64} << 20;
  FileSystem* files = nullptr;  // the machine's when null; must outlive the log
};

struct CommitLogFigures {
  int64_t bytes = 0;  // of image and segments
  int64_t image_bytes = 0;
  int64_t torn_bytes = 0;  // cut off the end by Open: of writes that nobody was told of
  int64_t records = 0;     // appended since the start
  int64_t syncs = 0;       // of segments
  int64_t failures = 0;    // of appends, segments and compactions
};

class CommitLog {
 public:
  // Reads everything there is, in order, calling `replay` for each record (an error of it ends the
  // reading and is returned). DATA_LOSS names the file, the offset and what to do.
  static absl::StatusOr<std::unique_ptr<CommitLog>> Open(
      const CommitLogOptions& options,
      const std::function<absl::Status(std::string_view record)>& replay);

  // Callbacks that are still out are called (with what happened to them) before it returns.
  virtual ~CommitLog() = default;

  // `done` is called once, on the log's thread. Records are in the log in the order of the calls.
  // INVALID_ARGUMENT for a record that is empty or longer than record_bytes_max.
  // An error means that the record is not in the log and will not be after a crash: a write that
  // fails is taken back (and the log goes on, for it may be that the disk is full for a while).
  // When that fails too, or a sync does, nothing more can be promised: every later append fails
  // with INTERNAL until a restart.
  virtual void Append(std::string record, Durability durability,
                      std::function<void(absl::Status)> done) = 0;

  // Replaces the past by an image, so that the log does not grow for ever. `StartSegment` makes
  // later appends go to a new segment N and returns N once all before are on the medium. `Install`
  // writes the image (each call of `next` gives a record, until an empty one) and removes what it
  // stands for. A crash between the two loses nothing. One compaction at a time; blocking; any
  // thread but the log's.
  virtual absl::StatusOr<int64_t> StartSegment() = 0;
  virtual absl::Status Install(int64_t segment,
                               const std::function<absl::StatusOr<std::string>()>& next) = 0;

  virtual CommitLogFigures figures() const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_COMMIT_LOG_H_
