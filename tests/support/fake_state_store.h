// A store in memory whose answers wait until a test lets them go, and fail when it says so. One
// thread.
#ifndef SSMD_TESTS_SUPPORT_FAKE_STATE_STORE_H_
#define SSMD_TESTS_SUPPORT_FAKE_STATE_STORE_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/state/state_store.h"
#include "kernels/host_memory.h"

namespace ssmd::testing {

class FakeStateStore final : public StateStore {
 public:
  ~FakeStateStore() override { Run(); }

  void Put(std::string id, Snapshot state, std::function<void(absl::Status)> done) override {
    tasks_.emplace_back(
        [this, id = std::move(id), state = std::move(state), done = std::move(done)] {
          ++figures_.puts;
          if (fail_puts) {
            done(absl::ResourceExhaustedError("the disk is full"));
            return;
          }
          states[id] = Written(state);
          done(absl::OkStatus());
        });
  }
  void Get(std::string id, SnapshotLimits /*limits*/,
           std::function<void(absl::StatusOr<Snapshot>)> done) override {
    tasks_.emplace_back([this, id = std::move(id), done = std::move(done)] {
      ++figures_.gets;
      const auto found = states.find(id);
      if (found == states.end()) {
        done(absl::NotFoundError("there is no state " + id));
      } else {
        done(found->second);
      }
    });
  }
  void Delete(std::string id) override {
    tasks_.emplace_back([this, id = std::move(id)] { states.erase(id); });
  }
  absl::StatusOr<std::vector<std::string>> List() override {
    std::vector<std::string> ids;
    for (const auto& [id, state] : states) ids.push_back(id);
    return ids;
  }
  StoreFigures figures() const override { return figures_; }

  // Does what was asked for until now, in order.
  void Run() {
    for (auto& task : std::exchange(tasks_, {})) task();
  }

  std::map<std::string, Snapshot> states;
  bool fail_puts = false;

 private:
  // As a disk has it: with bytes of its own.
  static Snapshot Written(Snapshot snapshot) {
    if (snapshot.state == nullptr) return snapshot;
    auto bytes = std::make_shared<kernels::Buffer>(kernels::AllocateHost(snapshot.state->bytes()));
    std::copy_n(snapshot.state->data(), bytes->bytes(), bytes->data());
    snapshot.state = std::move(bytes);
    return snapshot;
  }

  std::deque<std::function<void()>> tasks_;
  StoreFigures figures_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_FAKE_STATE_STORE_H_
