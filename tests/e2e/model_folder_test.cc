// Model folders, good and bad: a checkpoint of any legal shape serves, with or without a tokenizer;
// what cannot be loaded is one line on standard error that names the file and what is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "absl/strings/str_format.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/models.h"
#include "tests/support/torch_zip_writer.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Turn GenerateIds(client::Client& client, const std::vector<int32_t>& prompt, int tokens) {
  v1::GenerateRequest request = GreedyRequest("", tokens);
  SetTokens(prompt, &request);
  return RunTurn(client, request);
}

TEST(ModelFolder, AModelWithoutATokenizerServesTokenIds) {
  const TempDir dir;
  WriteRandomMamba(dir.File("m"), MambaShape(), 1);
  const auto daemon = Daemon::Start(DaemonOptions{{}, "m=" + dir.File("m")});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const auto model = client->GetModel("m");
  ASSERT_TRUE(model.ok());
  EXPECT_FALSE(model.value().has_tokenizer());
  EXPECT_EQ(model.value().weights(), "f32");
  EXPECT_EQ(model.value().vocabulary_size(), MambaShape().vocabulary);

  const Turn turn = GenerateIds(*client, {1, 2, 3}, 10);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_THAT(turn.only().ids, SizeIs(10));
  EXPECT_THAT(turn.only().text, IsEmpty());
  const Turn text = RunTurn(*client, GreedyRequest("words", 1));
  EXPECT_EQ(text.code(), grpc::StatusCode::INVALID_ARGUMENT) << text.Describe();
  EXPECT_THAT(text.error->message, HasSubstr("tokenizer"));
  v1::TokenizeRequest tokenize;
  tokenize.set_text("words");
  EXPECT_FALSE(client->Tokenize(tokenize).ok());

  const Finished printed = RunSsmctl(
      daemon->grpc(), {"generate", "--tokens", "1,2,3", "--max-tokens", "3", "--temperature", "0"});
  EXPECT_EQ(printed.output, absl::StrFormat("%d,%d,%d\n", turn.only().ids[0], turn.only().ids[1],
                                            turn.only().ids[2]));
}

TEST(ModelFolder, IdsThatTheTokenizerDoesNotNameAreOneWarningAndAreFedOn) {
  const auto warnings = [](const std::string& log) {
    size_t count = 0;
    for (size_t at = 0; (at = log.find("model_warning", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  const TempDir dir;
  MambaShape shape;
  shape.vocabulary = 2050;  // two more than the tokenizer names
  WriteRandomMamba(dir.File("m"), shape, 1);
  std::filesystem::copy(SSMD_DEPLOY "/models/tales-2m/tokenizer.json", dir.File("m"));
  auto daemon = Daemon::Start(DaemonOptions{{}, "m=" + dir.File("m")});
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Eventually([&] { return warnings(daemon->log()) > 0; }));
  EXPECT_THAT(
      daemon->log(),
      HasSubstr("the tokenizer has token ids up to 2047, and the model's vocabulary is 2050: "
                "ids from 2048 to 2049 may be sampled and have no text"));
  EXPECT_EQ(warnings(daemon->log()), 1U);
  v1::GenerateRequest request = GreedyRequest("", 3);
  SetTokens({1, 2, 3}, &request);
  (*request.mutable_sampling()->mutable_logit_bias())[2049] = 100;
  const Turn turn = RunTurn(*daemon->Connect(), request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_THAT(turn.only().ids, ElementsAre(2049, 2049, 2049));
  EXPECT_THAT(turn.only().text, IsEmpty());

  shape.vocabulary = 2048;
  WriteRandomMamba(dir.File("whole"), shape, 1);
  std::filesystem::copy(SSMD_DEPLOY "/models/tales-2m/tokenizer.json", dir.File("whole"));
  daemon = Daemon::Start(DaemonOptions{{}, "m=" + dir.File("whole")});
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(warnings(daemon->log()), 0U);
}

TEST(ModelFolder, OddShapesServeAndABatchEqualsSoloRuns) {
  const MambaShape shapes[] = {
      {.d_model = 1,
       .layers = 1,
       .vocabulary = 2,
       .state = 1,
       .conv = 1,
       .expand = 1,
       .dt_rank = 1},
      {.d_model = 7,
       .layers = 3,
       .vocabulary = 33,
       .state = 5,
       .conv = 2,
       .expand = 3,
       .dt_rank = 2},
      {.d_model = 33, .layers = 2, .vocabulary = 101, .state = 17, .conv = 5, .dt_rank = 9},
      {.d_model = 24, .layers = 2, .vocabulary = 50, .state = 16, .falcon = true},
      {.d_model = 1,
       .layers = 1,
       .vocabulary = 2,
       .state = 1,
       .conv = 1,
       .expand = 1,
       .head_dim = 1},
      {.d_model = 35,
       .vocabulary = 50,
       .state = 17,
       .conv = 5,
       .expand = 3,
       .head_dim = 7,
       .groups = 5},
  };
  const TempDir dir;
  for (size_t i = 0; i < std::size(shapes); ++i) {
    SCOPED_TRACE(i);
    const std::string folder = dir.File("m" + std::to_string(i));
    WriteRandomMamba(folder, shapes[i], static_cast<uint32_t>(i));
    const auto daemon = Daemon::Start(DaemonOptions{{}, folder});
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    const Turn turn = GenerateIds(*client, {1, 0, 1}, 12);
    ASSERT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(GenerateIds(*client, {1, 0, 1}, 12).only().ids, turn.only().ids);
  }
}

TEST(ModelFolder, SeveralModelsAreServedByName) {
  const TempDir dir;
  WriteRandomMamba(dir.File("a"), MambaShape(), 1);
  WriteRandomMamba(dir.File("b"), MambaShape(), 2);
  const auto daemon =
      Daemon::Start(DaemonOptions{{"--model", "two=" + dir.File("b")}, "one=" + dir.File("a")});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const auto models = client->ListModels();
  ASSERT_TRUE(models.ok());
  ASSERT_THAT(models.value(), SizeIs(2));
  EXPECT_NE(models.value()[0].fingerprint(), models.value()[1].fingerprint());
  v1::GenerateRequest request = GreedyRequest("", 16);
  SetTokens({1, 2, 3}, &request);
  const Turn unnamed = RunTurn(*client, request);
  EXPECT_EQ(unnamed.code(), grpc::StatusCode::INVALID_ARGUMENT) << unnamed.Describe();
  EXPECT_THAT(unnamed.error->message,
              HasSubstr("model must be named where several are served: one of one, two"));
  request.set_model("one");
  const Turn one = RunTurn(*client, request);
  request.set_model("two");
  const Turn two = RunTurn(*client, request);
  ASSERT_FALSE(one.error || two.error);
  EXPECT_NE(one.only().ids, two.only().ids);
}

// A folder with something wrong, and what the error must name.
struct Broken {
  const char* name;
  std::function<void(const std::string& folder)> damage;
  std::vector<const char*> message;
};

void Rewrite(const std::string& folder, const std::function<void(std::vector<Tensor>&)>& change) {
  std::vector<Tensor> tensors = RandomMamba(MambaShape(), 1);
  change(tensors);
  std::ofstream(folder + "/model.safetensors", std::ios::binary) << Safetensors(tensors);
}

Tensor& Find(std::vector<Tensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const Tensor& tensor) { return tensor.name == name; });
}

std::vector<Broken> BrokenFolders() {
  const auto file = [](const std::string& name, const std::string& contents) {
    return [=](const std::string& folder) {
      std::ofstream(folder + "/" + name, std::ios::binary) << contents;
    };
  };
  const auto resize = [](int64_t change) {
    return [=](const std::string& folder) {
      const std::string path = folder + "/model.safetensors";
      const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
      std::filesystem::resize_file(path, static_cast<uintmax_t>(size + change));
    };
  };
  const auto poison = [](float value) {
    return [=](const std::string& folder) {
      Rewrite(folder, [&](auto& tensors) {
        Find(tensors, "backbone.layers.1.mixer.in_proj.weight").values[5] = value;
      });
    };
  };
  return {
      {"no folder", [](auto& f) { std::filesystem::remove_all(f); }, {}},
      {"no config", [](auto& f) { std::filesystem::remove(f + "/config.json"); }, {"config.json"}},
      {"no weights",
       [](auto& f) { std::filesystem::remove(f + "/model.safetensors"); },
       {"safetensors"}},
      {"empty weights", file("model.safetensors", ""), {"model.safetensors"}},
      {"truncated", resize(-4), {"model.safetensors"}},
      {"longer than it says", resize(4), {"model.safetensors"}},
      {"header too long",
       file("model.safetensors", std::string(7, '\xff') + "\x7f{}"),
       {"model.safetensors"}},
      {"a pickle that would run a command",
       [](auto& f) {
         std::filesystem::remove(f + "/model.safetensors");
         const std::string pickle =
             "\x80\x2" + ssmd::testing::PickledGlobal("os", "system") + ")R.";
         std::ofstream(f + "/pytorch_model.bin", std::ios::binary)
             << ssmd::testing::MakeZip({{"m/data.pkl", pickle, {}, {}}}).bytes;
       },
       {"pytorch_model.bin", "os.system", "nothing in a pickle is executed"}},
      {"config is not JSON", file("config.json", "{\"model_type\": "), {"config.json"}},
      {"config is a bomb", file("config.json", std::string(200000, '[')), {"config.json"}},
      {"unknown type",
       [](auto& f) {
         std::string config = MambaConfig(MambaShape());
         config.replace(config.find("mamba"), 5, "llama");
         std::ofstream(f + "/config.json") << config;
       },
       {"config.json", "llama", "falcon_mamba"}},
      {"negative size",
       [](auto& f) {
         MambaShape shape;
         shape.d_model = -16;
         std::ofstream(f + "/config.json") << MambaConfig(shape);
       },
       {"hidden_size"}},
      {"other vocabulary",
       [](auto& f) {
         MambaShape shape;
         shape.vocabulary = 65;
         std::ofstream(f + "/config.json") << MambaConfig(shape);
       },
       {"embeddings", "65"}},
      {"missing tensor",
       [](auto& f) { Rewrite(f, [](auto& t) { t.erase(t.begin() + 4); }); },
       {"missing", "backbone.layers.0.mixer.conv1d.bias"}},
      {"surplus tensor",
       [](auto& f) { Rewrite(f, [](auto& t) {
                       t.push_back({"extra.weight", {1}, {1}});
                     }); },
       {"extra.weight"}},
      {"wrong shape",
       [](auto& f) {
         Rewrite(f, [](auto& t) { Find(t, "backbone.layers.0.mixer.D").shape = {4, 8}; });
       },
       {"backbone.layers.0.mixer.D"}},
      {"NaN",
       poison(std::numeric_limits<float>::quiet_NaN()),
       {"backbone.layers.1.mixer.in_proj.weight"}},
      {"infinity",
       poison(std::numeric_limits<float>::infinity()),
       {"backbone.layers.1.mixer.in_proj.weight"}},
      {"tokenizer is not JSON", file("tokenizer.json", "not json"), {"tokenizer.json"}},
  };
}

TEST(ModelFolder, WhatCannotBeLoadedIsOneLineThatNamesIt) {
  for (const Broken& broken : BrokenFolders()) {
    SCOPED_TRACE(broken.name);
    const TempDir dir;
    const std::string folder = dir.File("model");
    WriteRandomMamba(folder, MambaShape(), 1);
    broken.damage(folder);
    const Finished run =
        RunDaemon({"--model", "m=" + folder, "--grpc-listen", "127.0.0.1:0", "--http-listen",
                   "127.0.0.1:0", "--log-level", "error", "--ready-file", dir.File("ready")});
    EXPECT_GT(run.status, 0);
    EXPECT_LT(run.status, 128) << "ended by a signal";
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
    for (const char* part : broken.message) EXPECT_THAT(run.errors, HasSubstr(part));
    EXPECT_FALSE(std::filesystem::exists(dir.File("ready")));
  }
}

TEST(ModelFolder, AStopTokenThatTheVocabularyLacksIsAWarningInTheLog) {
  const TempDir dir;
  WriteRandomMamba(dir.File("m"), MambaShape(), 1);
  std::ofstream(dir.File("m") + "/generation_config.json") << R"({"eos_token_id": 64})";
  const auto daemon = Daemon::Start(DaemonOptions{{}, "m=" + dir.File("m")});
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Eventually([&] {
    return daemon->log().find("generation_config.json: eos_token_id 64 is ignored") !=
           std::string::npos;
  })) << daemon->log();
}

TEST(ModelFolder, EveryFaultOfACheckpointIsNamedAtOnce) {
  const TempDir dir;
  const std::string folder = dir.File("model");
  WriteRandomMamba(folder, MambaShape(), 1);
  Rewrite(folder, [](auto& tensors) {
    tensors.erase(tensors.begin() + 2);
    Find(tensors, "backbone.layers.1.mixer.D").shape = {1, 32};
    tensors.push_back({"stranger", {1}, {1}});
  });
  const Finished run = RunDaemon({"--model", "m=" + folder, "--log-level", "error"});
  EXPECT_GT(run.status, 0);
  EXPECT_THAT(run.errors, HasSubstr("backbone.layers.0.mixer.in_proj.weight"));
  EXPECT_THAT(run.errors, HasSubstr("backbone.layers.1.mixer.D"));
  EXPECT_THAT(run.errors, HasSubstr("stranger"));
}

}  // namespace
}  // namespace ssmd::test
