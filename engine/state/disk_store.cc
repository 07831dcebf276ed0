#include "engine/state/disk_store.h"

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/worker.h"
#include "engine/state/state_files.h"

namespace ssmd {
namespace {

absl::Status Cancelled() { return absl::CancelledError("the store of states is closing"); }

class DiskStore final : public StateStore {
 public:
  explicit DiskStore(const DiskStoreOptions& options)
      : bytes_limit_(options.bytes_limit),
        states_(options.files != nullptr ? options.files : &machine_files_, options.directory,
                options.bytes_limit) {}

  absl::Status Open() { return states_.Open(); }

  void Put(std::string id, Snapshot state, std::function<void(absl::Status)> done) override {
    queued_.fetch_add(1);
    state.session.reset();
    writer_.Post([this, id = std::move(id), state = std::move(state),
                  done = std::move(done)](bool cancelled) {
      absl::Status status = cancelled ? Cancelled() : states_.Write(id, state);
      Count(status.ok() || cancelled, &puts_);
      done(std::move(status));
    });
  }

  void Get(std::string id, SnapshotLimits limits,
           std::function<void(absl::StatusOr<Snapshot>)> done) override {
    queued_.fetch_add(1);
    reader_.Post([this, id = std::move(id), limits, done = std::move(done)](bool cancelled) {
      absl::StatusOr<Snapshot> state = cancelled ? Cancelled() : states_.Read(id, limits);
      Count(state.ok() || cancelled, &gets_);
      done(std::move(state));
    });
  }

  // One that is cancelled leaves a state behind, to be found by List.
  void Delete(std::string id) override {
    queued_.fetch_add(1);
    writer_.Post([this, id = std::move(id)](bool cancelled) {
      Count(cancelled || states_.Remove(id).ok(), /*total=*/nullptr);
    });
  }

  absl::StatusOr<std::vector<std::string>> List() override { return states_.List(); }

  StoreFigures figures() const override {
    StoreFigures figures;
    figures.states = states_.states();
    figures.bytes = states_.bytes();
    figures.bytes_limit = bytes_limit_;
    figures.queued = queued_.load();
    figures.puts = puts_.load();
    figures.gets = gets_.load();
    figures.failures = failures_.load();
    return figures;
  }

 private:
  // A call is over; before its callback, so that who was called back sees it counted.
  void Count(bool good, std::atomic<int64_t>* total) {
    queued_.fetch_sub(1);
    if (total != nullptr) total->fetch_add(1);
    if (!good) failures_.fetch_add(1);
  }

  const int64_t bytes_limit_;
  PosixFileSystem machine_files_;
  StateFiles states_;
  std::atomic<int64_t> queued_{0};
  std::atomic<int64_t> puts_{0};
  std::atomic<int64_t> gets_{0};
  std::atomic<int64_t> failures_{0};
  // Last: their tasks use the rest.
  Worker writer_;
  Worker reader_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> OpenDiskStore(const DiskStoreOptions& options) {
  if (options.bytes_limit < 0) {
    return absl::InvalidArgumentError("a store's limit of bytes must be at least 0");
  }
  auto store = std::make_unique<DiskStore>(options);
  SSMD_RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace ssmd
