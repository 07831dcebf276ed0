// Snapshots that are whole by their checksums and yet not to be believed.
#include <gmock/gmock.h>

#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "engine/state/snapshot.h"
#include "kernels/host_memory.h"
#include "tests/fault/state_dir_fixture.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ForgedSnapshotTest : public StateDirFixture {
 protected:
  std::string Exported() {
    const auto session = client_->CreateSession("");
    EXPECT_TRUE(session.ok());
    v1::GenerateRequest turn = GreedyRequest("Once upon a time", 8);
    turn.set_session_id(session.value().session_id());
    EXPECT_FALSE(RunTurn(*client_, turn).error);
    v1::ExportSessionRequest request;
    request.set_session_id(turn.session_id());
    std::string bytes;
    EXPECT_FALSE(client_->ExportSession(request, {}, [&](std::string_view chunk) {
      bytes += chunk;
      return true;
    }));
    return bytes;
  }
  client::Result<v1::Session> Import(std::string bytes,
                                     const v1::ImportSessionRequest& first = {}) {
    return client_->ImportSession(first, {}, [&]() -> client::Result<std::string> {
      return std::exchange(bytes, std::string());
    });
  }
  Snapshot Read(const std::string& bytes) {
    SnapshotLimits limits;
    limits.state_bytes =
        static_cast<size_t>(client_->ListModels().value().at(0).state_bytes_per_session());
    limits.history_tokens = 1000;
    limits.vocabulary = std::numeric_limits<int32_t>::max();
    auto snapshot = DecodeSnapshot(bytes, limits);
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return *std::move(snapshot);
  }
  static std::string Write(const Snapshot& snapshot) {
    const EncodedSnapshot encoded = EncodeSnapshot(snapshot);
    std::string bytes = encoded.front;
    if (encoded.state != nullptr) {
      bytes.append(encoded.state->as<const char>(), encoded.state->bytes());
    }
    return bytes;
  }
  // The same state with another number in its middle.
  static StateBytes With(const StateBytes& state, float number) {
    kernels::Buffer copy = kernels::AllocateHost(state->bytes());
    std::memcpy(copy.as<char>(), state->as<const char>(), state->bytes());
    std::memcpy(copy.as<char>() + state->bytes() / 8 * 4, &number, sizeof(number));
    return std::make_shared<const kernels::Buffer>(std::move(copy));
  }
};

TEST_F(ForgedSnapshotTest, ItIsRefusedThoughItsChecksumsAreRight) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const Snapshot good = Read(Exported());
  ASSERT_NE(good.state, nullptr);
  ASSERT_TRUE(Import(Write(good)).ok());
  struct Forgery {
    const char* said;
    std::function<void(Snapshot*)> forge;
  };
  const std::vector<Forgery> forgeries = {
      {"is not finite",
       [&](auto* s) { s->state = With(good.state, std::numeric_limits<float>::quiet_NaN()); }},
      {"is not finite",
       [&](auto* s) { s->state = With(good.state, -std::numeric_limits<float>::infinity()); }},
      {"position", [](auto* s) { ++s->state_position; }},
      {"consumed other tokens", [](auto* s) { s->history_hash ^= 1; }},
      {"pending", [](auto* s) { s->session->pending_tokens = 1 << 20; }},
      {"the model knows", [](auto* s) { s->session->history.back() = LoggedToken(1 << 30, true); }},
      {"layout", [](auto* s) { s->identity.layout += "x"; }},
      {"fingerprint", [](auto* s) { s->identity.fingerprint += "x"; }},
      {"session", [](auto* s) { s->session.reset(); }}};
  for (const Forgery& forgery : forgeries) {
    Snapshot forged = good;
    forgery.forge(&forged);
    const auto refused = Import(Write(forged));
    ASSERT_FALSE(refused.ok()) << forgery.said;
    EXPECT_THAT(refused.error().message, HasSubstr(forgery.said));
  }
}

// As another version of the kernels would have written it.
TEST_F(ForgedSnapshotTest, AnotherNumericsProfileRefusesItUnlessToldOtherwise) {
  ASSERT_NO_FATAL_FAILURE(Start());
  Snapshot other = Read(Exported());
  const std::string own = other.identity.numerics_profile;
  const size_t revision = own.find(";kernels=");
  ASSERT_NE(revision, std::string::npos) << own;
  other.identity.numerics_profile.insert(revision + std::string(";kernels=").size(), "9");
  const std::string bytes = Write(other);

  const auto refused = Import(bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr(other.identity.numerics_profile), HasSubstr(own)));

  v1::ImportSessionRequest inexact;
  inexact.set_allow_inexact(true);
  const auto taken = Import(bytes, inexact);
  ASSERT_TRUE(taken.ok()) << client::ToString(taken.error());
  EXPECT_EQ(taken.value().state_position(), taken.value().position() - 1);
  // Made again from its tokens it is one of this profile's.
  v1::ImportSessionRequest rebuild;
  rebuild.set_rebuild(true);
  const auto rebuilt = Import(bytes, rebuild);
  ASSERT_TRUE(rebuilt.ok()) << client::ToString(rebuilt.error());
  EXPECT_EQ(rebuilt.value().state_position(), 0);

  std::vector<int32_t> said[2];
  const std::string ids[2] = {taken.value().session_id(), rebuilt.value().session_id()};
  for (int i = 0; i < 2; ++i) {
    v1::GenerateRequest turn = GreedyRequest(" and the dog", 9);
    turn.set_session_id(ids[i]);
    const Turn answer = RunTurn(*client_, turn);
    ASSERT_FALSE(answer.error) << answer.Describe();
    EXPECT_EQ(answer.final.usage().recomputed_tokens() > 0, ids[i] == ids[1]);
    said[i] = answer.only().ids;
  }
  EXPECT_EQ(said[0], said[1]);  // the state was this version's, after all
}

TEST_F(ForgedSnapshotTest, AnImportIsWithinTheQuotaOfItsTenant) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string bytes = Exported();
  const auto state_bytes = client_->ListModels().value().at(0).state_bytes_per_session();
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(Start({"--max-tenant-state-bytes", std::to_string(2 * state_bytes)}));
  ASSERT_TRUE(Import(bytes).ok()) << "beside the one that it was exported from";
  const auto refused = Import(bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace ssmd::test
