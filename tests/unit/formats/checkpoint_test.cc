#include "engine/formats/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/rwkv_cpp_writer.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/torch_zip_writer.h"

namespace ssmd {
namespace {

using testing::F32Tensor;
using ::testing::HasSubstr;
using testing::SafetensorsFile;

constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kTorchIndex[] = "pytorch_model.bin.index.json";

class CheckpointTest : public ::testing::Test {
 protected:
  void WriteShards() {
    folder_.Write("s1.safetensors",
                  SafetensorsFile({{"a", F32Tensor({1}, {1})}, {"c", F32Tensor({1}, {3})}}));
    folder_.Write("s2.safetensors", SafetensorsFile({{"b", F32Tensor({2}, {2, 2})}}));
  }
  void WriteIndex(const std::string& map) {
    folder_.Write(kIndex, "{\"metadata\": {\"total_size\": 16}, \"weight_map\": " + map + "}");
  }
  std::string OpenError(absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const auto checkpoint = Checkpoint::Open(folder_.path());
    EXPECT_EQ(checkpoint.status().code(), code) << checkpoint.status();
    return std::string(checkpoint.status().message());
  }

  const testing::TempFolder folder_;
};

TEST_F(CheckpointTest, OpensASingleFile) {
  folder_.Write("model.safetensors",
                SafetensorsFile({{"b", F32Tensor({2}, {1, 2})}, {"a", F32Tensor({1}, {3})}}));
  const auto opened = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->tensors()[0].name, "a");
  ASSERT_NE(opened->Find("b"), nullptr);
  EXPECT_EQ(opened->Find("b")->elements, 2);
  EXPECT_EQ(opened->Find("c"), nullptr);
}

TEST_F(CheckpointTest, OpensShardsThroughTheirIndex) {
  WriteShards();
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors", "c": "s1.safetensors"})");
  auto opened = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  const Checkpoint moved = *std::move(opened);
  EXPECT_EQ(moved.tensors().size(), 3u);
  float value = 0;
  std::memcpy(&value, moved.Find("c")->data, sizeof(value));
  EXPECT_EQ(value, 3);
}

TEST_F(CheckpointTest, OpensMistralsFileWhereThereIsNoOther) {
  folder_.Write("consolidated.safetensors", SafetensorsFile({{"a", F32Tensor({1}, {3})}}));
  const auto alone = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_NE(alone->Find("a"), nullptr);
  folder_.Write("model.safetensors", SafetensorsFile({{"b", F32Tensor({1}, {3})}}));
  const auto beside = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(beside.ok()) << beside.status();
  EXPECT_EQ(beside->Find("a"), nullptr);
}

TEST_F(CheckpointTest, SaysWhatAFolderLacks) {
  EXPECT_THAT(OpenError(absl::StatusCode::kNotFound),
              HasSubstr("none of these: model.safetensors, "));
  WriteShards();
  WriteIndex(R"({"a": "s1.safetensors", "b": "s3.safetensors", "c": "s1.safetensors"})");
  EXPECT_THAT(OpenError(absl::StatusCode::kNotFound), HasSubstr("s3.safetensors"));
}

TEST_F(CheckpointTest, RefusesAnIndexThatDisagreesWithItsShards) {
  WriteShards();
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors"})");
  EXPECT_THAT(OpenError(), HasSubstr("does not list tensor \"c\" of \"s1.safetensors\""));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors", "c": "s2.safetensors"})");
  EXPECT_THAT(OpenError(), HasSubstr("maps tensor \"c\" to \"s2.safetensors\", but"));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors", "c": "s1.safetensors",
                 "d": "s2.safetensors"})");
  EXPECT_THAT(OpenError(), HasSubstr("maps tensor \"d\" to \"s2.safetensors\", which lacks it"));
}

TEST_F(CheckpointTest, RefusesATensorThatTwoShardsHold) {
  WriteShards();
  folder_.Write("s2.safetensors",
                SafetensorsFile({{"a", F32Tensor({1}, {9})}, {"b", F32Tensor({2}, {2, 2})}}));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors", "c": "s1.safetensors"})");
  EXPECT_THAT(OpenError(), HasSubstr("maps tensor \"a\" to \"s1.safetensors\", but"));
}

TEST_F(CheckpointTest, RefusesShardNamesThatLeaveTheFolder) {
  WriteShards();
  for (const char* name :
       {"../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", ".hidden.safetensors", "", "..",
        "s1.bin", "s1.safetensors\\u0000.safetensors"}) {
    WriteIndex("{\"a\": \"" + std::string(name) + "\"}");
    EXPECT_THAT(OpenError(), HasSubstr("not the plain name of a .safetensors file")) << name;
  }
  WriteIndex("{\"a\": \"" + std::string(300, 'x') + ".safetensors\"}");
  EXPECT_THAT(OpenError(), HasSubstr("not the plain name"));
  WriteIndex("{\"a\": 1}");
  EXPECT_THAT(OpenError(), HasSubstr("not the plain name"));
}

TEST_F(CheckpointTest, RefusesAMalformedIndex) {
  for (const char* text : {"", "[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {\"a\""}) {
    folder_.Write(kIndex, text);
    EXPECT_THAT(OpenError(), ::testing::StartsWith(kIndex)) << text;
  }
}

TEST_F(CheckpointTest, BoundsTheNumberOfShards) {
  std::string map = "{";
  for (size_t i = 0; i <= kMaxShards; ++i) {
    absl::StrAppend(&map, i > 0 ? ", \"" : "\"", i, "\": \"", i, ".safetensors\"");
  }
  WriteIndex(map + "}");
  EXPECT_THAT(OpenError(), HasSubstr("more than 1024 files"));
}

TEST_F(CheckpointTest, OpensTheFileOfTorchWhereThereIsNoOther) {
  folder_.Write("pytorch_model.bin", testing::TorchFile({{"b", {1, 2}}, {"a", {3}}}));
  const auto opened = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->tensors()[0].name, "a");
  float value = 0;
  std::memcpy(&value, opened->Find("a")->data, sizeof(value));
  EXPECT_EQ(value, 3);

  WriteShards();
  WriteIndex(R"({"a": "s1.safetensors", "b": "s2.safetensors", "c": "s1.safetensors"})");
  const auto preferred = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(preferred.ok()) << preferred.status();
  EXPECT_EQ(preferred->tensors().size(), 3u);
}

TEST_F(CheckpointTest, OpensShardsOfTorchThroughTheirIndex) {
  folder_.Write("s1.bin", testing::TorchFile({{"a", {1}}}));
  folder_.Write("s2.bin", testing::TorchFile({{"b", {2}}}));
  folder_.Write(kTorchIndex, R"({"weight_map": {"a": "s1.bin", "b": "s2.bin"}})");
  const auto opened = Checkpoint::Open(folder_.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->tensors().size(), 2u);

  folder_.Write(kTorchIndex, R"({"weight_map": {"a": "s1.bin", "b": "s1.bin"}})");
  EXPECT_THAT(OpenError(), HasSubstr("maps tensor \"b\" to \"s1.bin\", which lacks it"));
  folder_.Write(kTorchIndex, R"({"weight_map": {"a": "s1.safetensors"}})");
  EXPECT_THAT(OpenError(), HasSubstr("not the plain name of a .bin file"));
}

TEST_F(CheckpointTest, OpensAGgufFileUnderTheNamesOfModels) {
  test::GgufFile file;
  file.Set("general.architecture", test::GgufString("mamba"));
  file.tensors = {test::GgufF32Tensor("output_norm.weight", {2}, {1, 2}),
                  test::GgufF32Tensor("blk.0.ssm_a", {1, 2}, {-1, -2}),
                  test::GgufF32Tensor("odd", {1}, {5})};
  folder_.Write("m.gguf", file.Bytes());
  auto opened = Checkpoint::Open(folder_.File("m.gguf"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const Checkpoint moved = *std::move(opened);
  EXPECT_EQ(moved.tensors().size(), 3u);
  ASSERT_NE(moved.Find("backbone.layers.0.mixer.A"), nullptr);
  EXPECT_EQ(moved.Find("backbone.layers.0.mixer.A")->name, "blk.0.ssm_a");
  EXPECT_NE(moved.Find("odd"), nullptr);
  EXPECT_EQ(moved.Find("output_norm.weight"), nullptr);
  float value = 0;
  std::memcpy(&value, moved.Find("backbone.norm_f.weight")->data + 4, sizeof(value));
  EXPECT_EQ(value, 2);
  EXPECT_EQ(moved.NameInFile("backbone.layers.9.mixer.D"), "blk.9.ssm_d");
}

TEST_F(CheckpointTest, RefusesAFileThatIsNotGguf) {
  folder_.Write("m.bin", "PK");
  const auto opened = Checkpoint::Open(folder_.File("m.bin"));
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("m.bin: is not a GGUF file"));
}

TEST_F(CheckpointTest, SaysOfAFileThatItIsEmptyOrOfAnOldTorch) {
  const auto refusal = [&](const std::string& name, const std::string& bytes) {
    return std::string(Checkpoint::Open(folder_.Write(name, bytes)).status().message());
  };
  EXPECT_THAT(refusal("m.bin", ""), HasSubstr("m.bin: is empty"));
  const std::string old =
      refusal("m.pth", std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 j", 11));
  EXPECT_THAT(old, HasSubstr("m.pth: is a bare pickle, as torch wrote before version 1.6"));
  EXPECT_THAT(old, HasSubstr("deploy/convert_checkpoint.py"));
}

TEST_F(CheckpointTest, RefusesAFolderInPlaceOfAFile) {
  std::filesystem::create_directory(folder_.File("model.safetensors"));
  EXPECT_THAT(OpenError(), HasSubstr("model.safetensors: is not a regular file"));
}

TEST_F(CheckpointTest, OpensTheOnlyPthOfAFolderAndAPthByItself) {
  const std::string file = testing::TorchFile({{"b", {1, 2}}});
  const std::string path = folder_.Write("RWKV-x.pth", file);
  for (const std::string& opened : {folder_.path(), path}) {
    const auto checkpoint = Checkpoint::Open(opened);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_NE(checkpoint->Find("b"), nullptr);
    EXPECT_EQ(checkpoint->source(), "RWKV-x.pth");
  }
  folder_.Write("other.pth", file);
  EXPECT_THAT(OpenError(), HasSubstr("give the path of one of them"));
}

TEST_F(CheckpointTest, OpensAFileOfRwkvCppUnderTheNamesThatModelsAskFor) {
  test::RwkvCppFile file;
  file.tensors.push_back(test::RwkvCppOnes("blocks.0.att.time_first", {2}));
  file.tensors.push_back(test::RwkvCppOnes("blocks.0.att.time_decay", {2}));
  const auto checkpoint = Checkpoint::Open(folder_.Write("m.bin", file.Bytes()));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->Find("blocks.0.att.time_decay"), nullptr);
  ASSERT_NE(checkpoint->Find("blocks.0.att.time_decay.rate"), nullptr);
  EXPECT_EQ(checkpoint->NameInFile("blocks.0.att.time_decay.rate"), "blocks.0.att.time_decay");
}

}  // namespace
}  // namespace ssmd
