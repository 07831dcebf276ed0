// Sessions that come from elsewhere.
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

TEST(SessionImport, MakesASessionOfAnImage) {
  test::SessionTableUser user((SessionLimits()));
  SessionTable& table = user.table();
  const std::string id = user.New();
  ASSERT_TRUE(user.Turn(id, {1, 2, 3}).ok());
  auto image = table.Image("ann", id, "");
  ASSERT_TRUE(image.ok());
  user.Advance(9);
  const auto imported = user.Apply(table.ProposeImport("bob", *image));
  ASSERT_TRUE(imported.ok());
  EXPECT_NE(imported->session_id, id);
  EXPECT_EQ(imported->position, 3);
  EXPECT_EQ(imported->pending_tokens, 1);
  EXPECT_EQ(imported->state_position, 2);
  EXPECT_EQ(imported->history_hash, user.Get(id).history_hash);
  EXPECT_EQ(imported->created_unix_ms, 1700000000009);
  EXPECT_TRUE(table.Get("bob", imported->session_id).ok());
  EXPECT_TRUE(absl::IsNotFound(table.Get("ann", imported->session_id).status()));

  image->pending_tokens = 4;
  EXPECT_TRUE(absl::IsInvalidArgument(table.ProposeImport("bob", *image).status()));
  image->pending_tokens = 2;
  EXPECT_TRUE(absl::IsInvalidArgument(table.ProposeImport("bob", *image).status()))
      << "the state has consumed two of three";
  image->pending_tokens = 1;
  image->revision = UINT64_MAX;
  EXPECT_TRUE(absl::IsInvalidArgument(table.ProposeImport("bob", *image).status()))
      << "no commit could follow";
  image->revision = 1;
  image->model = "nobody";
  EXPECT_TRUE(absl::IsNotFound(table.ProposeImport("bob", *image).status()));
}

TEST(SessionImport, ATenantsLimitsAreForWhatIsMadeAndNotForWhatComes) {
  SessionLimits limits;
  limits.sessions_per_tenant = 1;
  limits.state_bytes_per_tenant = 1;
  test::SessionTableUser elsewhere((SessionLimits()));
  const std::string id = elsewhere.New();
  ASSERT_TRUE(elsewhere.Turn(id, {1, 2, 3}).ok());
  const auto frozen = elsewhere.table().Freeze({"ann", id});
  ASSERT_TRUE(frozen.has_value());

  test::SessionTableUser user(limits);
  user.New();
  EXPECT_EQ(ReasonOf(user.table().ProposeImport("ann", frozen->Image()).status()),
            reason::kTooManySessions);
  ASSERT_TRUE(user.Apply(user.table().ProposeAdopt(frozen->Image())).ok());
  EXPECT_TRUE(user.Turn(id, {4}).ok());
}

}  // namespace
}  // namespace ssmd
