#include "engine/session/recovered_states.h"

#include <gtest/gtest.h>

#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

TEST(NameStates, ANameThatTheStoreHasNotStandsForNoState) {
  const ResolveState resolve = NameStates({"there"});
  const StateRef there = resolve("there", 3, 100);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(there->stored_id(), "there");
  EXPECT_EQ(there->position, 3);
  EXPECT_EQ(there->bytes, 100u);
  EXPECT_EQ(resolve("gone", 3, 100), nullptr);
}

// The deeper one was let go after it was recorded.
TEST(NameStates, ASessionTakesTheBestOfThoseThatThereAre) {
  test::SessionTableUser user;
  const ResolveState resolve = NameStates({"older"});
  const SessionKey key{"ann", std::string(32, 'a')};
  const auto stored = [&](const std::string& id, int64_t position) {
    return StateStored{key, 1, "", resolve(id, position, 100)};
  };
  ASSERT_TRUE(
      user.table()
          .Replay({SessionCreated{key, "model", "print", {}, 5},
                   SessionCommitted{key, 1, test::MakeCommit({1, 2, 3, 4}, 1, nullptr), {}, 6},
                   stored("older", 2), stored("newer", 3)})
          .ok());
  EXPECT_EQ(user.Get(key.id).state_position, 2);
}

}  // namespace
}  // namespace ssmd
