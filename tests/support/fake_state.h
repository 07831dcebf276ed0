// Held states without bytes, for tests of whoever holds them.
#ifndef SSMD_TESTS_SUPPORT_FAKE_STATE_H_
#define SSMD_TESTS_SUPPORT_FAKE_STATE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/state/held_state.h"

namespace ssmd::test {

class FakeState final : public HeldState {
 public:
  // `on_gone` is called when the last reference is let go.
  explicit FakeState(int64_t position_in, size_t bytes_in = 100, std::string stored_id = {},
                     std::function<void()> on_gone = nullptr)
      : HeldState(position_in, bytes_in, std::move(stored_id)), on_gone_(std::move(on_gone)) {
    set_tier(StateTier::kHost);
  }
  ~FakeState() override {
    if (on_gone_) on_gone_();
  }
  using HeldState::set_stored_id;
  using HeldState::set_tier;

 private:
  const std::function<void()> on_gone_;
};

inline std::shared_ptr<FakeState> MakeFakeState(int64_t position, size_t bytes = 100,
                                                std::string stored_id = {}) {
  return std::make_shared<FakeState>(position, bytes, std::move(stored_id));
}

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_FAKE_STATE_H_
