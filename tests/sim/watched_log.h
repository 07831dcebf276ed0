// A SessionLog that tells what it is given: what is proposed, in order, and what of it has become
// of it. What a crash leaves of the records that wait is so known to the simulation.
#ifndef SSMD_TESTS_SIM_WATCHED_LOG_H_
#define SSMD_TESTS_SIM_WATCHED_LOG_H_

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/session/session_log.h"

namespace ssmd::sim {

class WatchedLog final : public SessionLog {
 public:
  struct Record {
    std::vector<std::string> sessions;  // that the table holds for it
    std::function<void()> apply;        // to the truth
  };
  using OnWrite = std::function<Record(const std::vector<SessionChange>&)>;

  WatchedLog(std::unique_ptr<SessionLog> inner, OnWrite on_write)
      : on_write_(std::move(on_write)), inner_(std::move(inner)) {}

  void Write(Proposal proposal, Durability durability, Done done) override {
    const auto record = std::make_shared<const Record>(on_write_(proposal.changes()));
    records_.push_back(record);
    inner_->Write(std::move(proposal), durability,
                  [this, record, done = std::move(done)](auto result) {
                    records_.remove(record);
                    if (result.ok()) record->apply();
                    done(std::move(result));
                  });
  }
  absl::Status Maintain() override { return inner_->Maintain(); }
  bool lasting() const override { return inner_->lasting(); }
  CommitLogFigures figures() const override { return inner_->figures(); }

  // A proposal about the session is out: another one would wait for it.
  bool Holds(const std::string& session) const {
    return std::any_of(records_.begin(), records_.end(), [&](const auto& record) {
      const auto& held = record->sessions;
      return std::find(held.begin(), held.end(), session) != held.end();
    });
  }
  // Those that wait, in the order in which they were written.
  const std::list<std::shared_ptr<const Record>>& waiting() const { return records_; }

 private:
  const OnWrite on_write_;
  std::list<std::shared_ptr<const Record>> records_;
  std::unique_ptr<SessionLog> inner_;  // last: its callbacks use the rest until it is gone
};

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_WATCHED_LOG_H_
