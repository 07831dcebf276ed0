// Tiers over a device without arithmetic and a store that does what it is told.
#ifndef SSMD_TESTS_UNIT_STATE_TIERS_FIXTURE_H_
#define SSMD_TESTS_UNIT_STATE_TIERS_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/state/layout.h"
#include "engine/state/tiers.h"
#include "tests/support/fake_state_store.h"
#include "tests/support/late_device.h"

namespace ssmd::testing {

inline constexpr size_t kTierBytes = 64;

struct TierSetting {
  int slots = 2;
  int64_t host_states = 0;  // beside the floor
  bool store = false;
  bool late = false;  // copies go on beside the host
  uint32_t seed = 1;  // for how long
};

class Tiers {
 public:
  explicit Tiers(const TierSetting& setting)
      : device(setting.seed, setting.late),
        host(setting.host_states * static_cast<int64_t>(kTierBytes)) {
    layout_.Add(0, "ssm", StateKind::kSsm, {16});
    pool = *StatePool::Create(&device, layout_, setting.slots);
    StateTiers::Options options;
    options.pool = pool.get();
    options.host = &host;
    options.store = setting.store ? &store : nullptr;
    options.identity = {"model", "profile", layout_.Describe()};
    options.wake = [this] { ++wakes; };
    options.relief = [this] {
      if (spare.empty()) return false;
      spare.pop_back();
      return true;
    };
    options.on_unreadable = [this](const std::string& stored_id, const absl::Status& why) {
      unreadable.emplace_back(stored_id, std::string(why.message()));
    };
    tiers = std::make_unique<StateTiers>(options);
  }
  ~Tiers() {
    spare.clear();
    Settle();
    tiers->CloseStore();
  }

  // A state whose bytes say `value`.
  StateRef Make(int value, int64_t position = 5) {
    Slot slot = tiers->TakeSlot();
    if (!slot) return nullptr;
    Fill(slot, value);
    StateRef state = tiers->Adopt(std::move(slot), position);
    state->NoteHistory(static_cast<uint64_t>(value) + 1);
    return state;
  }
  void Fill(const Slot& slot, int value) {
    std::vector<std::byte> bytes(kTierBytes, static_cast<std::byte>(value));
    pool->Write(bytes.data(), slot);
  }
  int ValueIn(const Slot& slot) {
    std::vector<std::byte> bytes(kTierBytes);
    pool->Read(slot, bytes.data());
    for (const std::byte byte : bytes) EXPECT_EQ(byte, bytes[0]);
    return static_cast<int>(bytes[0]);
  }
  // Whatever it takes to read it.
  int ValueOf(const StateRef& state) {
    int value = -1;
    tiers->Fetch(state, [&](absl::StatusOr<StateBytes> bytes) {
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      value = static_cast<int>((*bytes)->data()[0]);
    });
    Settle();
    return value;
  }
  // Until nobody asks for another round.
  void Settle() {
    constexpr int kRoundsMax = 1000;
    for (int round = 0, before = 0; round < kRoundsMax && (round < 4 || wakes > before); ++round) {
      before = wakes;
      tiers->Tend();
      store.Run();
    }
    tiers->Tend();
  }

  LateDevice device;
  FakeStateStore store;
  int wakes = 0;
  std::vector<StateRef> spare;                                  // what relief gives up, last first
  std::vector<std::pair<std::string, std::string>> unreadable;  // stored ids, and why

  HostBudget host;
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<StateTiers> tiers;

 private:
  StateLayout layout_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_STATE_TIERS_FIXTURE_H_
