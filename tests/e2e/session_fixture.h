// What the tests of sessions over the wire share: a daemon, a client, and the truth to compare
// with.
#ifndef SSMD_TESTS_E2E_SESSION_FIXTURE_H_
#define SSMD_TESTS_E2E_SESSION_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {

class SessionFixture : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags = {}) { StartWith(DaemonOptions{flags, ""}); }
  void StartWith(const DaemonOptions& options) {
    daemon_ = Daemon::Start(options);
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  std::string Create() {
    const auto session = client_->CreateSession("");
    if (session.ok()) return session.value().session_id();
    ADD_FAILURE() << client::ToString(session.error());
    return "";
  }
  v1::Session Get(const std::string& id) {
    const auto session = client_->GetSession(id);
    if (session.ok()) return session.value();
    ADD_FAILURE() << client::ToString(session.error());
    return {};
  }
  bool Exists(const std::string& id) { return client_->GetSession(id).ok(); }

  v1::GenerateRequest TurnOn(const std::string& id, const std::string& text, int tokens) {
    v1::GenerateRequest request = GreedyRequest(text, tokens);
    request.set_session_id(id);
    return request;
  }
  Turn Say(const std::string& id, const std::string& text, int tokens) {
    return RunTurn(*client_, TurnOn(id, text, tokens));
  }
  std::vector<int32_t> Tokenize(const std::string& text) {
    v1::TokenizeRequest request;
    request.set_text(text);
    const auto response = client_->Tokenize(request);
    EXPECT_TRUE(response.ok());
    return {response.value().token_ids().begin(), response.value().token_ids().end()};
  }

  // The truth: what a request without a session says that brings the whole history. What sessions
  // say must be the same, whatever happened to them.
  std::vector<int32_t> Truth(std::vector<int32_t> history, const std::string& text, int tokens) {
    Append(Tokenize(text), &history);
    v1::GenerateRequest request = GreedyRequest("", tokens);
    SetTokens(history, &request);
    const Turn turn = RunTurn(*client_, request);
    EXPECT_FALSE(turn.error) << turn.Describe();
    return turn.only().ids;
  }
  static void Append(const std::vector<int32_t>& ids, std::vector<int32_t>* history) {
    history->insert(history->end(), ids.begin(), ids.end());
  }
  // Says it, and adds what was read and said to `history`. The answer must be the truth.
  Turn SayAndCheck(const std::string& id, const std::string& text, int tokens,
                   std::vector<int32_t>* history) {
    const std::vector<int32_t> truth = Truth(*history, text, tokens);
    Turn turn = Say(id, text, tokens);
    EXPECT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(turn.only().ids, truth);
    Append(Tokenize(text), history);
    Append(turn.only().ids, history);
    return turn;
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_E2E_SESSION_FIXTURE_H_
