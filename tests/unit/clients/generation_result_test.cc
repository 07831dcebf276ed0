#include "clients/ssmctl/generation_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace ssmd::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::GenerateResponse Delta(int choice, const std::string& text, std::vector<int32_t> ids) {
  v1::GenerateResponse event;
  event.mutable_delta()->set_choice_index(choice);
  event.mutable_delta()->set_text(text);
  event.mutable_delta()->mutable_token_ids()->Assign(ids.begin(), ids.end());
  return event;
}

v1::GenerateResponse Finished(int choice, v1::FinishReason reason) {
  v1::GenerateResponse event;
  event.mutable_choice_finished()->set_choice_index(choice);
  event.mutable_choice_finished()->set_finish_reason(reason);
  event.mutable_choice_finished()->set_stop_reason("END");
  event.mutable_choice_finished()->mutable_usage()->set_generated_tokens(2);
  return event;
}

GenerationResult Result(int choices) {
  GenerationResult result;
  v1::GenerateResponse started;
  started.mutable_started()->set_seed(9);
  started.mutable_started()->set_state_source(v1::STATE_SOURCE_RESIDENT);
  result.Add(started);
  for (int i = 0; i < choices; ++i) {
    result.Add(Delta(i, "a", {1}));
    result.Add(Delta(i, "b", {2}));
    result.Add(Finished(i, v1::FINISH_REASON_STOP));
  }
  v1::GenerateResponse final;
  final.mutable_final()->mutable_usage()->set_generated_tokens(2 * choices);
  result.Add(final);
  return result;
}

std::string Json(const GenerationResult& result) {
  JsonWriter writer;
  WriteResult(result, false, &writer);
  return writer.Take();
}

TEST(GenerationResult, OneChoiceIsOneFlatObject) {
  const std::string json = Json(Result(1));
  EXPECT_THAT(json, HasSubstr(R"("text":"ab","token_ids":[1,2])"));
  EXPECT_THAT(json, HasSubstr(R"("finish_reason":"stop","stop_reason":"END")"));
  EXPECT_THAT(json, HasSubstr(R"("state_source":"RESIDENT")"));
  EXPECT_THAT(json, HasSubstr(R"("seed":9)"));
  EXPECT_THAT(json, HasSubstr(R"("timings_ms":{"queue":0,"load":)"));
  EXPECT_THAT(json, Not(HasSubstr("reuse_miss")));
  EXPECT_THAT(json, Not(HasSubstr("replayed")));
  EXPECT_THAT(json, Not(HasSubstr("choices")));
  EXPECT_THAT(json, Not(HasSubstr("logprobs")));
}

TEST(GenerationResult, SeveralChoicesAreAListWithUsageOfTheirOwn) {
  rapidjson::Document document;
  document.Parse(Json(Result(3)).c_str());
  ASSERT_FALSE(document.HasParseError());
  ASSERT_EQ(document["choices"].Size(), 3u);
  EXPECT_EQ(document["usage"]["generated_tokens"].GetInt(), 6);
  EXPECT_EQ(document["choices"][2]["usage"]["generated_tokens"].GetInt(), 2);
  EXPECT_EQ(document["choices"][2]["index"].GetInt(), 2);
}

TEST(GenerationResult, TheLastEventSaysWhereTheStateWas) {
  GenerationResult result = Result(1);
  result.final.set_state_source(v1::STATE_SOURCE_PREFIX);
  result.final.set_reuse_miss(v1::REUSE_MISS_EVICTED);
  result.final.mutable_usage()->set_reused_tokens(25);
  result.final.mutable_usage()->set_computed_tokens(3);
  result.started.set_replayed(true);
  const std::string json = Json(result);
  EXPECT_THAT(json, HasSubstr(R"("state_source":"PREFIX","reuse_miss":"EVICTED","replayed":true)"));
  EXPECT_EQ(ReuseLine(result),
            "answered before; state PREFIX: 25 tokens reused, 3 computed (more could not be: "
            "EVICTED)");
}

TEST(GenerationResult, TheLineNamesWhatWasReadAgain) {
  GenerationResult result = Result(1);
  result.final.mutable_usage()->set_recomputed_tokens(4);
  EXPECT_EQ(ReuseLine(result), "state RESIDENT: 0 tokens reused, 0 computed, 4 recomputed");
}

TEST(GenerationResult, TheFinalEventSaysTheSame) {
  v1::GenerateResponse event;
  event.mutable_final()->set_state_source(v1::STATE_SOURCE_DISK);
  event.mutable_final()->set_reuse_miss(v1::REUSE_MISS_NO_STATE);
  JsonWriter writer;
  ASSERT_TRUE(WriteEvent(event, &writer));
  EXPECT_THAT(writer.Take(), HasSubstr(R"("state_source":"DISK","reuse_miss":"NO_STATE")"));
}

TEST(GenerationResult, ValuesThatThisProgramDoesNotKnowAreTheirNumbers) {
  EXPECT_EQ(StateSourceName(v1::STATE_SOURCE_FRESH), "FRESH");
  EXPECT_EQ(StateSourceName(static_cast<v1::StateSource>(17)), "17");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_LENGTH), "length");
  EXPECT_EQ(FinishReasonName(static_cast<v1::FinishReason>(17)), "17");
}

TEST(GenerationResult, AnUnknownEventIsNotWritten) {
  JsonWriter writer;
  EXPECT_FALSE(WriteEvent(v1::GenerateResponse(), &writer));
  EXPECT_TRUE(writer.Take().empty());
}

TEST(GenerationResult, APartOfACharacterComesWithItsBytes) {
  v1::TokenLogprob token;
  token.set_token("\xf0\x9f");
  token.set_logprob(-0.5f);
  JsonWriter writer;
  writer.BeginObject();
  WriteTokenLogprob(token, &writer);
  EXPECT_EQ(writer.EndObject().Take(),
            "{\"token_id\":0,\"logprob\":-0.5,\"token\":\"\uFFFD\",\"bytes\":[240,159]}");
}

}  // namespace
}  // namespace ssmd::ctl
