// A session is more than its state, and what else it holds goes wherever it goes; while a turn
// works on it, it is seen as of its last commit.
#include <gmock/gmock.h>

#include <csignal>
#include <set>
#include <utility>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::SizeIs;

class SessionsWholeTest : public SessionFixture {
 protected:
  std::string Export(const std::string& id) {
    v1::ExportSessionRequest request;
    request.set_session_id(id);
    std::string bytes;
    const auto error = client_->ExportSession(request, {}, [&](std::string_view chunk) {
      bytes += chunk;
      return true;
    });
    if (error.has_value()) ADD_FAILURE() << client::ToString(*error);
    return bytes;
  }
  v1::Session Import(std::string bytes) {
    const auto session = client_->ImportSession({}, {}, [&]() -> client::Result<std::string> {
      return std::exchange(bytes, std::string());
    });
    if (session.ok()) return session.value();
    ADD_FAILURE() << client::ToString(session.error());
    return {};
  }
  std::string Fork(const std::string& id, const std::string& checkpoint = "") {
    v1::ForkSessionRequest request;
    request.set_session_id(id);
    if (!checkpoint.empty()) request.set_checkpoint(checkpoint);
    const auto children = client_->ForkSession(request);
    if (children.ok()) return children.value().at(0).session_id();
    ADD_FAILURE() << client::ToString(children.error());
    return "";
  }
  void Mark(const std::string& id) {
    v1::CheckpointSessionRequest request;
    request.set_session_id(id);
    request.set_name("mark");
    EXPECT_TRUE(client_->CheckpointSession(request).ok());
  }
  void GoBack(const v1::RewindSessionRequest& request) {
    const auto session = client_->RewindSession(request);
    if (!session.ok()) ADD_FAILURE() << client::ToString(session.error());
  }
  Turn Run(const v1::GenerateRequest& request) {
    Turn turn = RunTurn(*client_, request);
    EXPECT_FALSE(turn.error) << turn.Describe();
    return turn;
  }
  // A turn that says just this token.
  Turn SayToken(const std::string& id, int32_t token) {
    v1::GenerateRequest request = TurnOn(id, "", 1);
    request.clear_text();
    (*request.mutable_sampling()->mutable_logit_bias())[token] = 100;
    return Run(request);
  }
};

// A session that was left amid a character, and is to say the rest of it; whose penalties look back
// on what it said before; and that goes on as a chat, which begins differently on a history.
class HeldAmidACharacterTest : public SessionsWholeTest {
 protected:
  std::string Begin() {
    character_ = Tokenize("\xE2\x82\xAC");
    EXPECT_GE(character_.size(), 2U) << "it has to be cut somewhere";
    std::string id = Create();
    v1::GenerateRequest request = Penalised(id);
    request.set_text("Once upon a time there was a little dog");
    Run(request);
    EXPECT_EQ(SayToken(id, character_.front()).only().text, "");
    return id;
  }
  v1::GenerateRequest Penalised(const std::string& id) {
    v1::GenerateRequest request = TurnOn(id, "", 16);
    request.mutable_sampling()->set_repetition_penalty(2);
    request.mutable_sampling()->set_frequency_penalty(1.5);
    request.mutable_sampling()->set_presence_penalty(1);
    return request;
  }
  // What it says from there, of all three kinds.
  std::vector<std::string> GoOn(const std::string& id) {
    std::vector<std::string> said;
    for (size_t i = 1; i < character_.size(); ++i) {
      said.push_back(SayToken(id, character_[i]).only().text);
    }
    EXPECT_EQ(said.back(), "\xE2\x82\xAC");
    v1::GenerateRequest request = Penalised(id);
    request.set_text(" and a");
    said.push_back(Run(request).only().text);
    v1::GenerateRequest chat = TurnOn(id, "", 12);
    chat.set_echo(true);
    auto* message = chat.mutable_messages()->add_messages();
    message->set_role(v1::CHAT_ROLE_USER);
    message->set_content("Why?");
    const Turn answered = Run(chat);
    said.push_back(answered.only().echo_text);
    EXPECT_EQ(said.back(), "\nUser: Why?\nAssistant:");
    said.push_back(answered.only().text);
    return said;
  }

  std::vector<int32_t> character_;
};

TEST_F(HeldAmidACharacterTest, WhatASessionHoldsBesideItsStateGoesWithIt) {
  const TempDir dir;
  const std::vector<std::string> flags = {"--state-dir", dir.File("state")};
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const std::vector<std::string> truth = GoOn(Begin());
  const std::string id = Begin();
  Mark(id);

  EXPECT_EQ(GoOn(Fork(id)), truth) << "forked";
  EXPECT_EQ(GoOn(Fork(id, "mark")), truth) << "forked from a checkpoint";
  EXPECT_EQ(GoOn(Import(Export(id)).session_id()), truth) << "moved";
  v1::RewindSessionRequest back;
  back.set_session_id(Fork(id));
  back.set_turns(static_cast<int>(truth.size()) - 1);
  EXPECT_EQ(GoOn(back.session_id()), truth);
  GoBack(back);
  EXPECT_EQ(GoOn(back.session_id()), truth) << "gone back by turns";
  EXPECT_EQ(GoOn(id), truth);
  back.set_session_id(id);
  back.set_checkpoint("mark");
  GoBack(back);

  const std::string killed = Fork(id);
  const std::string ended = Fork(id);
  daemon_->process().Signal(SIGKILL);
  ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  EXPECT_EQ(GoOn(killed), truth) << "recovered from a kill";
  ASSERT_EQ(daemon_->Stop(), std::optional<int>(0));
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  EXPECT_EQ(GoOn(ended), truth) << "restarted";
  EXPECT_EQ(GoOn(id), truth) << "gone back and restarted";
}

TEST_F(SessionsWholeTest, DuringATurnItIsSeenAsOfItsLastCommit) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 8, &history);
  const v1::Session before = Get(id);
  client::Generation running = client_->Generate(TurnOn(id, " more", 60000), {});
  ASSERT_TRUE(running.Next().has_value());
  ASSERT_TRUE(Get(id).running());
  EXPECT_EQ(Get(id).revision(), before.revision());
  EXPECT_EQ(Get(id).history_hash(), before.history_hash());
  const v1::Session moved = Import(Export(id));
  EXPECT_EQ(moved.position(), before.position());
  for (const std::string& child : {moved.session_id(), Fork(id)}) {
    std::vector<int32_t> own = history;
    SayAndCheck(child, " and then", 6, &own);
  }
  EXPECT_TRUE(Get(id).running());
}

TEST_F(SessionsWholeTest, ChildrenDrawWithSeedsOfTheirOwnUnlessTheyAreGivenOne) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once upon a time", 8).error);
  constexpr int kChildren = 4;
  std::set<uint64_t> seeds;
  std::vector<Turn> alike;
  for (int child = 0; child < kChildren; ++child) {
    v1::GenerateRequest request = TurnOn(Fork(id), " the", 12);
    request.mutable_sampling()->set_temperature(1);
    const Turn own = Run(request);
    seeds.insert(own.started.seed());
    request.set_session_id(Fork(id));
    request.mutable_sampling()->set_seed(own.started.seed());
    EXPECT_EQ(Run(request).only().ids, own.only().ids) << "the reported seed draws the same";
    request.set_session_id(Fork(id));
    request.mutable_sampling()->set_seed(0);
    alike.push_back(Run(request));
    EXPECT_EQ(alike.back().started.seed(), 0U);
    EXPECT_EQ(alike.back().only().ids, alike.front().only().ids);
  }
  EXPECT_THAT(seeds, SizeIs(kChildren));
}

}  // namespace
}  // namespace ssmd::test
