#include "engine/log/commit_log.h"

#include <deque>
#include <future>
#include <limits>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/log/log_folder.h"
#include "engine/log/log_format.h"
#include "engine/log/log_image.h"
#include "engine/log/log_recovery.h"
#include "engine/log/log_segment.h"

namespace ssmd {
namespace {

// Appends that wait are written together up to here: a bound on memory, and on what one error hits.
constexpr int64_t kWriteBytes = int64_t{1} << 20;

absl::Status CheckOptions(const CommitLogOptions& options) {
  constexpr int64_t kRecordBytesMax = std::numeric_limits<uint32_t>::max();
  if (options.record_bytes_max < 1 || options.record_bytes_max > kRecordBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a commit log's record_bytes_max must be in [1, %d], got %d",
                        kRecordBytesMax, options.record_bytes_max));
  }
  if (options.segment_bytes < 1 || options.queued_bytes_max < 1) {
    return absl::InvalidArgumentError(
        "a commit log's segment_bytes and queued_bytes_max must be at least 1");
  }
  return absl::OkStatus();
}

class FileCommitLog final : public CommitLog {
 public:
  explicit FileCommitLog(const CommitLogOptions& options)
      : options_(options), files_(options.files != nullptr ? options.files : &machine_files_) {}
  ~FileCommitLog() override;

  absl::Status Start(const std::function<absl::Status(std::string_view record)>& replay);

  void Append(std::string record, Durability durability,
              std::function<void(absl::Status)> done) override;
  absl::StatusOr<int64_t> StartSegment() override;
  absl::Status Install(int64_t segment,
                       const std::function<absl::StatusOr<std::string>()>& next) override;
  CommitLogFigures figures() const override;

 private:
  // Either an append, or a new segment that is asked for.
  struct Job {
    std::string record;
    Durability durability = Durability::kProcess;
    absl::Status refused;  // of an append that is not even tried
    std::function<void(absl::Status)> done;
    std::function<void(absl::StatusOr<int64_t>)> segment_started;

    int64_t bytes() const { return static_cast<int64_t>(record.size()) + LogFrame::kBytes; }
  };

  absl::Status CheckExists() const;
  absl::Status OpenSegment(const RecoveredLog& recovered);
  absl::Status CheckRoom(const std::string& record) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Post(Job job);
  absl::Status BeginInstall(int64_t segment);
  void EndInstall(const absl::StatusOr<int64_t>& image_bytes, int64_t segment);

  // The log's thread.
  void Run();
  std::vector<Job> TakeJobs();
  void Write(const std::vector<Job>& jobs);
  absl::Status WriteRecords(const std::vector<std::string_view>& records, bool sync);
  absl::StatusOr<int64_t> NextSegment();
  absl::StatusOr<int64_t> MakeNextSegment();
  absl::Status Broken(const absl::Status& cause);

  const CommitLogOptions options_;
  PosixFileSystem machine_files_;
  FileSystem* const files_;
  // The log's thread, once it runs.
  std::unique_ptr<LogSegment> segment_;
  absl::Status broken_;  // why nothing more can be promised

  mutable Mutex mutex_;
  CondVar posted_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  int64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of jobs that wait or run
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool installing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t image_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, int64_t> segment_bytes_ ABSL_GUARDED_BY(mutex_);  // by number
  CommitLogFigures figures_ ABSL_GUARDED_BY(mutex_);                  // but for `bytes`

  std::thread thread_;  // last: it uses the rest
};

absl::Status FileCommitLog::Start(
    const std::function<absl::Status(std::string_view record)>& replay) {
  const std::string& folder = options_.directory;
  if (options_.must_exist) SSMD_RETURN_IF_ERROR(CheckExists());
  if (absl::Status status = files_->MakeDirectory(folder); !status.ok()) {
    return Named(folder, status);
  }
  SSMD_ASSIGN_OR_RETURN(const RecoveredLog recovered,
                        RecoverLog(files_, folder, options_.record_bytes_max, replay));
  SSMD_RETURN_IF_ERROR(OpenSegment(recovered));
  {
    MutexLock lock(&mutex_);
    image_ = recovered.image;
    segment_bytes_ = recovered.segment_bytes;
    segment_bytes_[segment_->number()] = segment_->bytes();
    figures_.image_bytes = recovered.image_bytes;
    figures_.torn_bytes = recovered.torn_bytes;
  }
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status FileCommitLog::CheckExists() const {
  const auto contents = ListLogFolder(files_, options_.directory);
  if (!contents.ok() && !absl::IsNotFound(contents.status())) return contents.status();
  if (contents.ok() && (contents->image != 0 || !contents->segments.empty())) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat(options_.directory,
                   ": there is no commit log, and states are stored that only their log tells the "
                   "sessions of: put it back, or move the whole state directory away to start "
                   "without the sessions in it"));
}

absl::Status FileCommitLog::OpenSegment(const RecoveredLog& recovered) {
  const std::string& folder = options_.directory;
  if (!recovered.segment_bytes.empty()) {
    const auto [number, bytes] = *recovered.segment_bytes.rbegin();
    SSMD_ASSIGN_OR_RETURN(segment_,
                          LogSegment::Reopen(files_, folder, number, bytes, recovered.last_salt));
    return absl::OkStatus();
  }
  auto first = LogSegment::Create(files_, folder, /*number=*/1, /*previous_bytes=*/0);
  absl::Status status = first.status();
  if (status.ok()) status = files_->SyncDirectory(folder);
  if (!status.ok()) return Named(absl::StrCat(folder, ": its first file"), status);
  segment_ = *std::move(first);
  return absl::OkStatus();
}

FileCommitLog::~FileCommitLog() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  posted_.NotifyOne();
  if (thread_.joinable()) thread_.join();
}

void FileCommitLog::Append(std::string record, Durability durability,
                           std::function<void(absl::Status)> done) {
  Job job;
  job.record = std::move(record);
  job.durability = durability;
  job.done = std::move(done);
  Post(std::move(job));
}

absl::StatusOr<int64_t> FileCommitLog::StartSegment() {
  // Shared with the job, for the log's thread may still be in set_value when the answer is here.
  const auto started = std::make_shared<std::promise<absl::StatusOr<int64_t>>>();
  Job job;
  job.segment_started = [started](absl::StatusOr<int64_t> number) {
    started->set_value(std::move(number));
  };
  Post(std::move(job));
  return started->get_future().get();
}

absl::Status FileCommitLog::Install(int64_t segment,
                                    const std::function<absl::StatusOr<std::string>()>& next) {
  SSMD_RETURN_IF_ERROR(BeginInstall(segment));
  const auto image_bytes =
      WriteLogImage(files_, options_.directory, segment, options_.record_bytes_max, next);
  EndInstall(image_bytes, segment);
  SSMD_RETURN_IF_ERROR(image_bytes.status());
  // What stays because it cannot be removed no longer counts; the next compaction or start tries
  // again.
  const auto contents = ListLogFolder(files_, options_.directory);
  if (!contents.ok() || !RemoveLogFiles(files_, options_.directory, contents->superseded).ok()) {
    MutexLock lock(&mutex_);
    ++figures_.failures;
  }
  return absl::OkStatus();
}

absl::Status FileCommitLog::BeginInstall(int64_t segment) {
  MutexLock lock(&mutex_);
  if (installing_)
    return absl::FailedPreconditionError("the commit log is being compacted already");
  if (segment <= image_ || segment > segment_bytes_.rbegin()->first) {
    return absl::InvalidArgumentError(
        absl::StrFormat("an image cannot stand for what is before segment %d: there is one for "
                        "what is before %d, and the newest segment is %d",
                        segment, image_, segment_bytes_.rbegin()->first));
  }
  installing_ = true;
  return absl::OkStatus();
}

void FileCommitLog::EndInstall(const absl::StatusOr<int64_t>& image_bytes, int64_t segment) {
  MutexLock lock(&mutex_);
  installing_ = false;
  if (!image_bytes.ok()) {
    ++figures_.failures;
    return;
  }
  image_ = segment;
  figures_.image_bytes = *image_bytes;
  segment_bytes_.erase(segment_bytes_.begin(), segment_bytes_.lower_bound(segment));
}

CommitLogFigures FileCommitLog::figures() const {
  MutexLock lock(&mutex_);
  CommitLogFigures figures = figures_;
  figures.bytes = figures.image_bytes;
  for (const auto& [number, bytes] : segment_bytes_) figures.bytes += bytes;
  return figures;
}

absl::Status FileCommitLog::CheckRoom(const std::string& record) const {
  const auto bytes = static_cast<int64_t>(record.size());
  if (bytes < 1 || bytes > options_.record_bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a record of %d bytes cannot be logged: it must have 1 to %d", bytes,
                        options_.record_bytes_max));
  }
  if (queued_bytes_ > 0 && queued_bytes_ + bytes > options_.queued_bytes_max) {
    return WithReason(
        absl::ResourceExhaustedError(absl::StrFormat(
            "the commit log cannot keep up: %d bytes wait to be written, of at most %d",
            queued_bytes_, options_.queued_bytes_max)),
        reason::kCommitLog);
  }
  return absl::OkStatus();
}

// What is refused waits in line too, because its callback belongs to the log's thread.
void FileCommitLog::Post(Job job) {
  {
    MutexLock lock(&mutex_);
    if (job.done) job.refused = CheckRoom(job.record);
    if (!job.refused.ok()) job.record.clear();
    queued_bytes_ += job.bytes();
    jobs_.push_back(std::move(job));
  }
  posted_.NotifyOne();
}

void FileCommitLog::Run() {
  while (true) {
    const std::vector<Job> jobs = TakeJobs();
    if (jobs.empty()) return;
    if (jobs.front().segment_started) {
      jobs.front().segment_started(NextSegment());
    } else {
      Write(jobs);
    }
    int64_t bytes = 0;
    for (const Job& job : jobs) bytes += job.bytes();
    MutexLock lock(&mutex_);
    queued_bytes_ -= bytes;
  }
}

// Appends to be written together, or one new segment, or nothing when all is done and over.
std::vector<FileCommitLog::Job> FileCommitLog::TakeJobs() {
  MutexLock lock(&mutex_);
  while (jobs_.empty() && !stopping_) posted_.Wait(&mutex_);
  std::vector<Job> jobs;
  int64_t bytes = 0;
  while (!jobs_.empty()) {
    bytes += jobs_.front().bytes();
    const bool alone = jobs_.front().segment_started != nullptr || bytes > kWriteBytes;
    if (alone && !jobs.empty()) break;
    jobs.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
    if (alone) break;
  }
  return jobs;
}

void FileCommitLog::Write(const std::vector<Job>& jobs) {
  std::vector<std::string_view> records;
  bool sync = false;
  int64_t refused = 0;
  for (const Job& job : jobs) {
    if (!job.refused.ok()) {
      ++refused;
      continue;
    }
    records.push_back(job.record);
    sync = sync || job.durability == Durability::kPower;
  }
  const absl::Status status = records.empty() ? absl::OkStatus() : WriteRecords(records, sync);
  const auto count = static_cast<int64_t>(records.size());
  {
    MutexLock lock(&mutex_);
    (status.ok() ? figures_.records : figures_.failures) += count;
    figures_.failures += refused;
  }
  for (const Job& job : jobs) job.done(UnsharedCopy(job.refused.ok() ? status : job.refused));
  // Where that fails, the segment grows on, and the next write tries again.
  if (broken_.ok() && segment_->bytes() >= options_.segment_bytes) {
    NextSegment().status().IgnoreError();
  }
}

absl::Status FileCommitLog::WriteRecords(const std::vector<std::string_view>& records, bool sync) {
  if (!broken_.ok()) return broken_;
  const absl::Status status = segment_->Append(records, sync);
  if (segment_->broken()) return Broken(status);
  if (!status.ok()) {
    return WithReason(
        absl::Status(status.code(), absl::StrCat("the commit log ", status.message())),
        reason::kCommitLog);
  }
  MutexLock lock(&mutex_);
  segment_bytes_[segment_->number()] = segment_->bytes();
  figures_.syncs += sync ? 1 : 0;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FileCommitLog::NextSegment() {
  absl::StatusOr<int64_t> number = MakeNextSegment();
  if (number.ok()) return number;
  MutexLock lock(&mutex_);
  ++figures_.failures;
  return UnsharedCopy(number.status());
}

absl::StatusOr<int64_t> FileCommitLog::MakeNextSegment() {
  if (!broken_.ok()) return broken_;
  if (absl::Status status = segment_->Sync(); !status.ok()) return Broken(status);
  auto next =
      LogSegment::Create(files_, options_.directory, segment_->number() + 1, segment_->bytes());
  if (!next.ok()) {
    return absl::Status(next.status().code(),
                        absl::StrCat("a new segment of the commit log ", next.status().message()));
  }
  if (absl::Status status = files_->SyncDirectory(options_.directory); !status.ok()) {
    return Broken(status);
  }
  segment_ = *std::move(next);
  MutexLock lock(&mutex_);
  segment_bytes_[segment_->number()] = segment_->bytes();
  ++figures_.syncs;
  return segment_->number();
}

absl::Status FileCommitLog::Broken(const absl::Status& cause) {
  broken_ =
      WithReason(absl::InternalError(absl::StrCat("the commit log ", cause.message(),
                                                  ", and takes nothing more until a restart")),
                 reason::kCommitLog);
  return broken_;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CommitLog>> CommitLog::Open(
    const CommitLogOptions& options,
    const std::function<absl::Status(std::string_view record)>& replay) {
  SSMD_RETURN_IF_ERROR(CheckOptions(options));
  auto log = std::make_unique<FileCommitLog>(options);
  SSMD_RETURN_IF_ERROR(log->Start(replay));
  return log;
}

}  // namespace ssmd
