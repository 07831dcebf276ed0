// An engine over fake models, and a reader of its streams.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_HARNESS_H_
#define SSMD_TESTS_UNIT_SCHEDULE_HARNESS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_internal.h"
#include "tests/unit/schedule/fake_model.h"

namespace ssmd::testing {

// All that a generation's stream gave.
struct Answer {
  struct Choice {
    std::string text;
    std::vector<int32_t> token_ids;
    std::vector<TokenDetail> logprobs;
    std::string echo_text;
    std::vector<int32_t> echo_ids;
    std::vector<TokenDetail> echo_logprobs;
    int finished = 0;
    ChoiceFinishedEvent finish;
  };
  absl::Status status;
  std::vector<StartedEvent> started;
  std::vector<ProgressEvent> progress;
  std::map<int, Choice> choices;
  std::vector<FinalEvent> finals;

  void Add(GenerateEvent event);
};

// Blocks until there is an event or an end.
void AwaitReady(OutputStream* stream);
// Reads to the end.
Answer ReadAll(OutputStream* stream);
// Submits and reads to the end; a refusal is the status.
Answer RunTurn(Engine* engine, GenerateRequest request, const std::string& request_id = "request");

EngineLimits SmallLimits();  // 8 slots, a budget of 7 tokens

struct FakeEngineOptions {
  EngineLimits limits = SmallLimits();
  StateDirOptions state_dir;
  int max_logit_rows = 3;
  std::optional<int32_t> bos;
  bool tokenizer = true;
  std::string chat;  // a template, or the name of a built-in format; empty: chats are refused
  std::vector<std::string> models = {"fake"};
  const Clock* clock = nullptr;
  Observer* observer = nullptr;
  SharedStore* shared = nullptr;  // outlives the engine; null: sessions are the engine's alone
  SharingLimits sharing;
  Durability durability = Durability::kProcess;
};

std::unique_ptr<Engine> MakeFakeEngine(FakeProbe* probe, FakeEngineOptions options = {},
                                       std::function<void()>* wake = nullptr);

// A request on the fake model: greedy, with a seed of 1, no EOS.
GenerateRequest Request(std::vector<int32_t> prompt, int32_t max_tokens);

absl::StatusOr<SessionInfo> CreateSession(Engine* engine, CreateSessionRequest request);
absl::StatusOr<SessionInfo> CreateSession(Engine* engine, const std::string& tenant,
                                          const std::string& model = "");
// The bytes of a snapshot of "tenant"'s session.
std::string ExportSession(Engine* engine, const std::string& session);

// Blocks until `condition` holds of the engine's figures for its first model.
void AwaitStats(const Engine& engine, const std::function<bool(const ModelStats&)>& condition);

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_HARNESS_H_
