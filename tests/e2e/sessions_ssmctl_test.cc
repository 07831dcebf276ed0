// `ssmctl sessions` and the session flags of `ssmctl generate`, as scripts use them.
#include <gmock/gmock.h>
#include <rapidjson/document.h>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class SessionsSsmctlTest : public SessionFixture {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Start()); }
  Finished Run(const std::vector<std::string>& arguments) {
    return RunSsmctl(daemon_->grpc(), arguments);
  }
  rapidjson::Document Json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Finished run = Run(arguments);
    EXPECT_EQ(run.status, 0) << run.errors;
    rapidjson::Document document;
    document.Parse(run.output.c_str());
    EXPECT_TRUE(!document.HasParseError() && document.IsObject()) << run.output;
    if (!document.IsObject()) document.SetObject();
    return document;
  }
  std::string CreateWithText() {
    return Json({"sessions", "create", "--text", "Once upon a time"})["session_id"].GetString();
  }
};

TEST_F(SessionsSsmctlTest, ForksHaveIdsAndStandInTheTree) {
  const std::string id = CreateWithText();
  const rapidjson::Document forked = Json({"sessions", "fork", id, "--count=2"});
  ASSERT_EQ(forked["session_ids"].Size(), 2U);
  const std::string tree = Run({"sessions", "list"}).output;
  EXPECT_THAT(tree, HasSubstr("├─ "));
  EXPECT_THAT(tree, HasSubstr("└─ "));
  const rapidjson::Document children = Json({"sessions", "list", "--parent", id});
  EXPECT_EQ(children["sessions"].Size(), 2U);
  EXPECT_THAT(Run({"sessions", "fork", id}).output, MatchesRegex("[0-9a-f]{32}\n"));
}

TEST_F(SessionsSsmctlTest, CheckpointsAreNamedComeBackToAndGivenUp) {
  const std::string id = CreateWithText();
  EXPECT_EQ(Run({"sessions", "checkpoint", id, "early"}).status, 0);
  Json({"generate", "--session", id, "--prompt", " a dog", "--max-tokens=3"});
  const rapidjson::Document back = Json({"sessions", "rewind", id, "--checkpoint", "early"});
  EXPECT_EQ(back["position"].GetInt(), static_cast<int>(Tokenize("Once upon a time").size()));
  EXPECT_STREQ(back["checkpoints"][0]["name"].GetString(), "early");
  const rapidjson::Document from = Json({"sessions", "create", "--from", id + "@early"});
  EXPECT_EQ(from["parent_id"].GetString(), id);
  EXPECT_EQ(Run({"sessions", "checkpoint", id, "early", "--remove"}).status, 0);
  EXPECT_EQ(Run({"sessions", "rewind", id, "--checkpoint", "early"}).status, 1);
  EXPECT_EQ(Run({"sessions", "rewind", id}).status, 2);
  EXPECT_EQ(Run({"sessions", "create", "--from", id + "@"}).status, 2);
}

TEST_F(SessionsSsmctlTest, ASnapshotIsAFile) {
  const std::string id = CreateWithText();
  const TempDir dir;
  EXPECT_EQ(Run({"sessions", "export", id, dir.File("s")}).status, 0);
  const rapidjson::Document imported = Json({"sessions", "import", dir.File("s")});
  EXPECT_NE(imported["session_id"].GetString(), id);
  EXPECT_EQ(Run({"sessions", "export", id, "-"}).output, ReadFile(dir.File("s")));
  const Finished absent = Run({"sessions", "export", "0123", dir.File("absent")});
  EXPECT_EQ(absent.status, 1);
  EXPECT_THAT(ReadFile(dir.File("absent")), IsEmpty());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"sessions", "import", dir.File("none")},
        std::vector<std::string>{"sessions", "export", id, dir.File("no/such/folder")}}) {
    const Finished failed = Run(arguments);
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, StartsWith("ssmctl: cannot "));
  }
  dir.Write("cut", ReadFile(dir.File("s")).substr(0, 100));
  EXPECT_EQ(Run({"sessions", "import", dir.File("cut")}).status, 1);
}

TEST_F(SessionsSsmctlTest, ASnapshotGoesToTheModelOfItsNameWhereSeveralAreServed) {
  const std::string tales = SSMD_DEPLOY "/models/tales-2m";
  ASSERT_NO_FATAL_FAILURE(Start({"--model", "other=" + tales}));
  const std::string id =
      Json({"sessions", "create", "--model", "other", "--text", "Once"})["session_id"].GetString();
  const TempDir dir;
  ASSERT_EQ(Run({"sessions", "export", id, dir.File("s")}).status, 0);
  const auto model_of = [&](const rapidjson::Document& imported) {
    return Get(imported["session_id"].GetString()).model();
  };
  EXPECT_EQ(model_of(Json({"sessions", "import", dir.File("s")})), "other");
  EXPECT_EQ(model_of(Json({"sessions", "import", dir.File("s"), "--model", "tales"})), "tales");

  ASSERT_NO_FATAL_FAILURE(Start({"--model", "another=" + tales}));
  const Finished refused = Run({"sessions", "import", dir.File("s")});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.errors, HasSubstr("of a model \"other\", which is not served"));
  EXPECT_EQ(model_of(Json({"sessions", "import", dir.File("s"), "--model", "another"})), "another");
}

TEST_F(SessionsSsmctlTest, ARequestWithAnIdIsAppliedOnce) {
  const std::string id = CreateWithText();
  const std::vector<std::string> turn = {"generate",     "--session",   id,
                                         "--prompt",     ", there was", "--max-tokens=5",
                                         "--request-id", "a1",          "--commit=partial",
                                         "--durability", "power",       "--wait",
                                         "--priority",   "high"};
  const rapidjson::Document first = Json(turn);
  EXPECT_FALSE(first.HasMember("replayed"));
  const rapidjson::Document again = Json(turn);
  EXPECT_TRUE(again["replayed"].GetBool());
  EXPECT_STREQ(again["text"].GetString(), first["text"].GetString());
  EXPECT_EQ(again["revision"].GetInt(), first["revision"].GetInt());
}

TEST_F(SessionsSsmctlTest, ChatGoesBackAndForks) {
  Process::Options options;
  options.input = "Hello\n/save start\nAnd then?\n/back 1\n/fork\n/back start\n/info\n";
  const Finished run =
      RunSsmctl(daemon_->grpc(), {"chat", "--max-tokens", "5", "--temperature", "0"}, options);
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, HasSubstr("/back start comes back here"));
  EXPECT_THAT(run.errors, HasSubstr("tokens of history)"));
  EXPECT_THAT(run.errors, HasSubstr("ssmctl chat --session "));
  EXPECT_EQ(StatsOf(*client_).sessions(), 1) << "the copy stays";
}

}  // namespace
}  // namespace ssmd::test
