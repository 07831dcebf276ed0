// What an RWKV model's files may not be, and what is said then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/support/rwkv_cpp_writer.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using test::RwkvCppFile;
using test::RwkvCppOnes;
using test::RwkvCppTensor;
using ::testing::HasSubstr;

// Width 16, hidden 3, vocabulary 3; what all versions have.
RwkvCppFile CommonFile() {
  RwkvCppFile file;
  file.d_model = 16;
  file.tensors = {RwkvCppOnes("emb.weight", {16, 3}), RwkvCppOnes("head.weight", {16, 3})};
  for (const char* norm : {"blocks.0.ln0", "blocks.0.ln1", "blocks.0.ln2", "ln_out"}) {
    for (const char* end : {".weight", ".bias"}) {
      file.tensors.push_back(RwkvCppOnes(std::string(norm) + end, {16}));
    }
  }
  for (const char* name : {"receptance", "key", "value", "output"}) {
    file.tensors.push_back(RwkvCppOnes("blocks.0.att." + std::string(name) + ".weight", {16, 16}));
  }
  file.tensors.push_back(RwkvCppOnes("blocks.0.ffn.key.weight", {16, 3}));
  file.tensors.push_back(RwkvCppOnes("blocks.0.ffn.value.weight", {3, 16}));
  return file;
}

RwkvCppTensor* FindIn(RwkvCppFile* file, const std::string& name) {
  const auto at = std::find_if(file->tensors.begin(), file->tensors.end(),
                               [&](const RwkvCppTensor& tensor) { return tensor.name == name; });
  return at == file->tensors.end() ? nullptr : &*at;
}

void SetFirst(RwkvCppFile* file, const std::string& name, float value) {
  std::string bytes;
  PutLittleEndian<float>(&bytes, value);
  FindIn(file, name)->bytes.replace(0, bytes.size(), bytes);
}

void AddGatedChannelMixing(RwkvCppFile* file) {
  file->tensors.push_back(RwkvCppOnes("blocks.0.ffn.time_mix_k", {16}));
  file->tensors.push_back(RwkvCppOnes("blocks.0.ffn.time_mix_r", {16}));
  file->tensors.push_back(RwkvCppOnes("blocks.0.ffn.receptance.weight", {16, 16}));
  for (const char* name : {"time_mix_k", "time_mix_v", "time_mix_r"}) {
    file->tensors.push_back(RwkvCppOnes("blocks.0.att." + std::string(name), {16}));
  }
}

RwkvCppFile File4() {
  RwkvCppFile file = CommonFile();
  AddGatedChannelMixing(&file);
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.time_first", {16}));
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.time_decay", {16}));
  RwkvCppTensor* decay = FindIn(&file, "blocks.0.att.time_decay");
  decay->bytes.clear();
  for (int i = 0; i < 16; ++i) PutLittleEndian<float>(&decay->bytes, -1);
  return file;
}

// Of version 5.1, with two heads.
RwkvCppFile File5() {
  RwkvCppFile file = CommonFile();
  AddGatedChannelMixing(&file);
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.time_first", {1, 1, 2}));
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.time_decay", {1, 1, 2}));
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.ln_x.weight", {16}));
  file.tensors.push_back(RwkvCppOnes("blocks.0.att.ln_x.bias", {16}));
  return file;
}

RwkvCppFile File7(int32_t heads = 1, int32_t rank = 2) {
  RwkvCppFile file = CommonFile();
  file.tensors.push_back(RwkvCppOnes("blocks.0.ffn.x_k", {16}));
  const std::string att = "blocks.0.att.";
  file.tensors.push_back(RwkvCppOnes(att + "x_rwkvag", {16, 1, 6}));
  for (const std::string letter : {"w", "a", "g"}) {
    file.tensors.push_back(RwkvCppOnes(att + letter + "1", {16, rank}));
    file.tensors.push_back(RwkvCppOnes(att + letter + "2", {rank, 16}));
    if (letter != "g") file.tensors.push_back(RwkvCppOnes(att + letter + "0", {16, 1, 1}));
  }
  for (const char* name : {"k_k", "k_a", "ln_x.weight", "ln_x.bias"}) {
    file.tensors.push_back(RwkvCppOnes(att + name, {16}));
  }
  file.tensors.push_back(RwkvCppOnes(att + "r_k", {16 / heads, heads}));
  return file;
}

class RwkvLoad : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const RwkvCppFile& file) {
    return LoadLanguageModel(folder_.Write("m.bin", file.Bytes()), ModelLoadOptions(),
                             device_.get());
  }
  std::string LoadError(const RwkvCppFile& file) {
    return std::string(Load(file).status().message());
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeReferenceDevice();
};

TEST_F(RwkvLoad, ReadsItsSizesFromTheTensors) {
  const struct {
    RwkvCppFile file;
    const char* architecture;
  } models[] = {{File4(), "rwkv"}, {File5(), "rwkv5"}, {File7(), "rwkv7"}};
  for (const auto& [file, architecture] : models) {
    const auto model = Load(file);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->info().architecture, architecture);
    EXPECT_EQ((*model)->info().vocabulary, 3);
    EXPECT_EQ((*model)->info().d_model, 16);
    EXPECT_EQ((*model)->info().layers, 1);
    EXPECT_EQ((*model)->info().eos_token_ids, std::vector<int32_t>{0});
  }
}

// Whose tensors are those of BlinkDL's .pth: heads and their norm are not those of rwkv.cpp's
// files.
TEST_F(RwkvLoad, ReadsVersion5InBlinkDLsNames) {
  testing::TensorsToWrite tensors;
  for (const RwkvCppTensor& tensor : File5().tensors) {
    std::vector<int64_t> shape(tensor.dimensions.rbegin(), tensor.dimensions.rend());
    const bool of_heads =
        tensor.name.ends_with("time_first") || tensor.name.ends_with("time_decay");
    if (of_heads) shape = {2};
    tensors[tensor.name] = {"F32", shape, tensor.bytes};
  }
  folder_.Write("model.safetensors", testing::SafetensorsFile(tensors));
  const auto model = LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->info().architecture, "rwkv5");
  EXPECT_EQ((*model)->info().eos_token_ids, std::vector<int32_t>{0});
  const auto of_rwkv_cpp = Load(File5());
  ASSERT_TRUE(of_rwkv_cpp.ok()) << of_rwkv_cpp.status();
  EXPECT_EQ((*model)->state_layout().Describe(), (*of_rwkv_cpp)->state_layout().Describe());
  EXPECT_NE((*model)->info().fingerprint, (*of_rwkv_cpp)->info().fingerprint);
}

TEST_F(RwkvLoad, NoByteEndsAText) {
  RwkvCppFile file = File4();
  file.vocabulary = 256;
  *FindIn(&file, "emb.weight") = RwkvCppOnes("emb.weight", {16, 256});
  *FindIn(&file, "head.weight") = RwkvCppOnes("head.weight", {16, 256});
  const auto model = Load(file);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE((*model)->info().eos_token_ids.empty());
}

TEST_F(RwkvLoad, SaysWhichTensorsAreMissingOrSurplusInTheWordsOfTheFile) {
  RwkvCppFile file = File4();
  FindIn(&file, "blocks.0.att.output.weight")->name = "blocks.0.att.outptu.weight";
  EXPECT_THAT(LoadError(file), HasSubstr("\"blocks.0.att.output.weight\" is missing"));
  EXPECT_THAT(LoadError(file), HasSubstr("\"blocks.0.att.outptu.weight\" is surplus"));

  file = File7();
  std::erase_if(file.tensors, [](const auto& tensor) { return tensor.name == "blocks.0.att.w2"; });
  EXPECT_THAT(LoadError(file), HasSubstr("\"blocks.0.att.w2\" is missing"));
  file = File7();
  FindIn(&file, "blocks.0.att.x_rwkvag")->name = "blocks.0.att.x";
  EXPECT_THAT(LoadError(file), HasSubstr("\"blocks.0.att.x_r\" is missing"));
}

TEST_F(RwkvLoad, RefusesSizesThatNoKernelTakes) {
  EXPECT_THAT(LoadError(File7(2)), HasSubstr("m.bin: head_dim must be a multiple of 16, got 8"));
  EXPECT_THAT(LoadError(File7(1, 17)), HasSubstr("\"blocks.0.att.w1\" has rank 17"));
  RwkvCppFile file = File5();
  *FindIn(&file, "blocks.0.att.time_first") = RwkvCppOnes("blocks.0.att.time_first", {1, 1, 3});
  EXPECT_THAT(LoadError(file), HasSubstr("its tensors have 3 heads, which do not divide 16"));
}

TEST_F(RwkvLoad, RefusesADecayThatGrows) {
  RwkvCppFile file = File4();
  SetFirst(&file, "blocks.0.att.time_decay", 0.5f);
  EXPECT_THAT(LoadError(file), HasSubstr("is above 0 at index 0"));
  file = File5();
  SetFirst(&file, "blocks.0.att.time_decay", 1.5f);
  EXPECT_THAT(LoadError(file), HasSubstr("is no factor in [0, 1] at index 0"));
}

TEST_F(RwkvLoad, RefusesOtherModelsWithoutAConfiguration) {
  RwkvCppFile file;
  EXPECT_THAT(LoadError(file), HasSubstr("m.bin: its tensors are not those of RWKV"));
}

TEST_F(RwkvLoad, RefusesWhatItCannotDoOfAConfiguration) {
  const auto error_of = [&](const std::string& members) {
    const testing::TempFolder folder;
    folder.Write("config.json",
                 R"({"model_type": "rwkv7", "hidden_size": 32, "num_hidden_layers": 1,
                     "vocab_size": 3, )" +
                     members + "}");
    return std::string(
        LoadLanguageModel(folder.path(), ModelLoadOptions(), device_.get()).status().message());
  };
  EXPECT_THAT(error_of(R"("head_dim": 16, "attn": {"layers": [0]})"),
              HasSubstr("config.json: attn asks for attention layers"));
  EXPECT_THAT(error_of(R"("head_dim": 16, "norm_bias": false)"), HasSubstr("norm_bias is false"));
  EXPECT_THAT(error_of(R"("head_dim": 16, "hidden_act": "silu")"),
              HasSubstr("hidden_act must be \"sqrelu\""));
  EXPECT_THAT(error_of(R"("head_dim": 24)"), HasSubstr("head_dim must divide 32"));
}

}  // namespace
}  // namespace ssmd
