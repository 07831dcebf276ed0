#include "tests/unit/schedule/harness.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "engine/text/builtin_chat_formats.h"
#include "tests/support/forwarding_shared_store.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

template <typename T>
void Append(std::vector<T>* to, std::vector<T> from) {
  to->insert(to->end(), from.begin(), from.end());
}

struct Adder {
  Answer* answer;
  void operator()(StartedEvent& event) const { answer->started.push_back(std::move(event)); }
  void operator()(ProgressEvent& event) const { answer->progress.push_back(event); }
  void operator()(DeltaEvent& event) const {
    Answer::Choice& choice = answer->choices[event.choice];
    EXPECT_EQ(choice.finished, 0) << "a Delta after ChoiceFinished";
    EXPECT_TRUE(!event.echo || choice.token_ids.empty()) << "an echo after the answer began";
    (event.echo ? choice.echo_text : choice.text) += event.text;
    Append(event.echo ? &choice.echo_ids : &choice.token_ids, std::move(event.token_ids));
    Append(event.echo ? &choice.echo_logprobs : &choice.logprobs, std::move(event.logprobs));
  }
  void operator()(ChoiceFinishedEvent& event) const {
    Answer::Choice& choice = answer->choices[event.choice];
    ++choice.finished;
    choice.finish = std::move(event);
  }
  void operator()(FinalEvent& event) const { answer->finals.push_back(event); }
};

}  // namespace

void Answer::Add(GenerateEvent event) {
  EXPECT_TRUE(finals.empty()) << "an event after Final";
  EXPECT_EQ(std::holds_alternative<StartedEvent>(event), started.empty()) << "Started comes first";
  std::visit(Adder{this}, event);
}

void AwaitReady(OutputStream* stream) {
  std::promise<void> ready;
  stream->NotifyWhenReady([&ready] { ready.set_value(); });
  ready.get_future().wait();
}

Answer ReadAll(OutputStream* stream) {
  Answer answer;
  while (true) {
    AwaitReady(stream);
    while (auto event = stream->Pop()) answer.Add(*std::move(event));
    if (const auto status = stream->status(); status.has_value()) {
      answer.status = *status;
      return answer;
    }
  }
}

Answer RunTurn(Engine* engine, GenerateRequest request, const std::string& request_id) {
  auto stream = engine->Generate(std::move(request), request_id);
  if (stream.ok()) return ReadAll(stream->get());
  Answer refused;
  refused.status = stream.status();
  return refused;
}

EngineLimits SmallLimits() {
  EngineLimits limits;
  limits.state_slots = 8;
  limits.token_budget = 7;
  // Nothing is kept but what a session needs; tests of what is kept beside say so.
  limits.host_state_bytes = 0;
  limits.prefix_cache_bytes = 0;
  limits.sessions.turn_end_states = 0;
  return limits;
}

namespace {

std::unique_ptr<ChatFormat> MakeChat(const std::string& chat, const Tokenizer* tokenizer) {
  if (auto builtin = BuiltinChatFormat(chat, {})) {
    return std::make_unique<ChatFormat>(*std::move(builtin), tokenizer);
  }
  auto parsed = jinja::Template::Parse(chat);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return std::make_unique<ChatFormat>(
      ChatFormatParts{"template", *std::move(parsed), std::nullopt, {}, {}, false}, tokenizer);
}

}  // namespace

std::unique_ptr<Engine> MakeFakeEngine(FakeProbe* probe, FakeEngineOptions options,
                                       std::function<void()>* wake) {
  EngineParts parts;
  parts.device = kernels::MakeCpuDevice({std::nullopt, 1});
  for (const std::string& name : options.models) {
    LoadedModel& loaded = parts.models.emplace_back();
    loaded.name = name;
    loaded.model =
        std::make_unique<FakeModel>(probe, options.limits.token_budget, options.max_logit_rows);
    if (options.tokenizer) loaded.tokenizer = std::make_unique<FakeTokenizer>(options.bos);
    if (!options.chat.empty()) {
      loaded.chat = MakeChat(options.chat, loaded.tokenizer.get());
    } else {
      loaded.no_chat = "it was made without";
    }
  }
  parts.limits = options.limits;
  parts.state_dir = std::move(options.state_dir);
  parts.clock = options.clock;
  parts.observer = options.observer;
  if (options.shared != nullptr) {
    parts.sharing.store = std::make_unique<test::ForwardingSharedStore>(options.shared);
  }
  parts.sharing.limits = options.sharing;
  parts.durability = options.durability;
  auto engine = MakeEngine(std::move(parts), wake);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

GenerateRequest Request(std::vector<int32_t> prompt, int32_t max_tokens) {
  GenerateRequest request;
  request.tenant = "tenant";
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.seed = 1;
  request.stop.ignore_eos = true;
  return request;
}

absl::StatusOr<SessionInfo> CreateSession(Engine* engine, const std::string& tenant,
                                          const std::string& model) {
  CreateSessionRequest request;
  request.tenant = tenant;
  request.model = model;
  return CreateSession(engine, std::move(request));
}

absl::StatusOr<SessionInfo> CreateSession(Engine* engine, CreateSessionRequest request) {
  std::promise<absl::StatusOr<SessionInfo>> created;
  engine->CreateSession(std::move(request), "create", [&](absl::StatusOr<SessionInfo> session) {
    created.set_value(std::move(session));
  });
  return created.get_future().get();
}

std::string ExportSession(Engine* engine, const std::string& session) {
  std::promise<std::string> done;
  engine->ExportSession("tenant", session, "", [&](absl::StatusOr<EncodedSnapshot> snapshot) {
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    std::string bytes = snapshot.ok() ? snapshot->front : "";
    if (snapshot.ok() && snapshot->state != nullptr) {
      bytes.append(reinterpret_cast<const char*>(snapshot->state->data()),
                   snapshot->state->bytes());
    }
    done.set_value(std::move(bytes));
  });
  return done.get_future().get();
}

void AwaitStats(const Engine& engine, const std::function<bool(const ModelStats&)>& condition) {
  while (!condition(engine.Stats().front())) std::this_thread::yield();
}

}  // namespace ssmd::testing
