#include "engine/session/session_log.h"

#include <utility>

#include "engine/base/errors.h"
#include "engine/base/mutex.h"

namespace ssmd {
namespace {

class InMemorySessionLog final : public SessionLog {
 public:
  explicit InMemorySessionLog(SessionTable* table) : table_(table) {}

  void Write(Proposal proposal, Durability /*durability*/, Done done) override {
    done(table_->Apply(std::move(proposal)));
  }
  absl::Status Maintain() override { return absl::OkStatus(); }
  bool lasting() const override { return false; }
  CommitLogFigures figures() const override { return {}; }

 private:
  SessionTable* const table_;
};

}  // namespace

std::unique_ptr<SessionLog> SessionLog::InMemory(SessionTable* table) {
  return std::make_unique<InMemorySessionLog>(table);
}

absl::StatusOr<std::vector<SessionInfo>> SessionLog::WriteAndWait(Proposal proposal,
                                                                  Durability durability) {
  using Result = absl::StatusOr<std::vector<SessionInfo>>;
  Mutex mutex;
  CondVar written;
  std::optional<Result> result;
  Write(std::move(proposal), durability, [&](Result outcome) {
    MutexLock lock(&mutex);
    if (outcome.ok()) {
      result.emplace(*std::move(outcome));
    } else {
      result.emplace(UnsharedCopy(outcome.status()));
    }
    written.NotifyAll();
  });
  MutexLock lock(&mutex);
  while (!result.has_value()) written.Wait(&mutex);
  return *std::move(result);
}

}  // namespace ssmd
