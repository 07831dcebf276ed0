// Loading of GGUF files: the same model as a folder's, and what is refused, in the file's words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_gguf.h"

namespace ssmd {
namespace {

using test::GgufF32;
using test::GgufFile;
using test::GgufString;
using test::GgufU32;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TensorOf;
using testing::TinyGguf;
using testing::TinyModel;

class GgufLoadTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<LanguageModel>> Load(
      const GgufFile& file, const ModelLoadOptions& options = ModelLoadOptions()) {
    return LoadLanguageModel(folder_.Write("m.gguf", file.Bytes()), options, device_.get());
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadFolder(const TinyModel& model) {
    model.Write(folder_);
    return LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  }
  std::vector<float> LogitsOf(LanguageModel& model) {
    const auto pool = StatePool::Create(device_.get(), model.state_layout(), 1);
    return testing::RunInSegments(model, **pool, {1, 2, 3}, {3}).back();
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeReferenceDevice();
};

TEST_F(GgufLoadTest, GivesTheModelOfAFolderWithTheSameWeights) {
  for (const char* kind : {"mamba", "falcon_mamba"}) {
    for (const bool head : {false, true}) {
      for (const bool biases : {false, true}) {
        TinyModel tiny;
        tiny.config["model_type"] = std::string("\"") + kind + "\"";
        if (head) tiny.Add("lm_head.weight", {7, 4});
        for (const std::string layer : {"0", "1"}) {
          const std::string mixer = "backbone.layers." + layer + ".mixer.";
          if (!biases) {
            tiny.tensors.erase(mixer + "conv1d.bias");
            continue;
          }
          tiny.Add(mixer + "in_proj.bias", {12});
          tiny.Add(mixer + "out_proj.bias", {4});
        }
        GgufFile file = TinyGguf(tiny);
        file.Set("mamba.ssm.dt_b_c_rms", test::GgufBool(kind == std::string("falcon_mamba")));
        const auto gguf = Load(file);
        const auto folder = LoadFolder(tiny);
        ASSERT_TRUE(gguf.ok() && folder.ok()) << gguf.status() << folder.status();
        EXPECT_EQ((*gguf)->info().architecture, kind);
        EXPECT_EQ(LogitsOf(**gguf), LogitsOf(**folder));
      }
    }
  }
}

TEST_F(GgufLoadTest, SaysWhatItLoaded) {
  GgufFile file = TinyGguf();
  file.Set("tokenizer.ggml.bos_token_id", GgufU32(1));
  file.Set("tokenizer.ggml.eos_token_id", GgufU32(2));
  file.Set("tokenizer.ggml.eot_token_id", GgufU32(5));
  const auto model = Load(file);
  ASSERT_TRUE(model.ok()) << model.status();
  const ModelInfo& info = (*model)->info();
  EXPECT_EQ(info.architecture, "mamba");
  EXPECT_EQ(info.weights, "f32");
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.d_model, 4);
  EXPECT_EQ(info.vocabulary, 7);
  EXPECT_EQ(info.bos_token_id, 1);
  EXPECT_THAT(info.eos_token_ids, ElementsAre(2, 5));
  EXPECT_THAT(info.warnings, ElementsAre());
}

// GHSA-7rxv-5jhh-j6xx's class: a number that is cast to a token id. It is dropped, and said so.
TEST_F(GgufLoadTest, CastsNoTokenIds) {
  GgufFile file = TinyGguf();
  file.Set("tokenizer.ggml.bos_token_id", GgufU32(0xFFFFFFFF));
  file.Set("tokenizer.ggml.eos_token_id", test::GgufU64((uint64_t{1} << 32) + 1));
  const auto model = Load(file);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->info().bos_token_id, std::nullopt);
  EXPECT_THAT((*model)->info().eos_token_ids, ElementsAre());
  EXPECT_THAT((*model)->info().warnings,
              ElementsAre(HasSubstr("m.gguf: tokenizer.ggml.bos_token_id 4294967295 is ignored"),
                          HasSubstr("m.gguf: tokenizer.ggml.eos_token_id 4294967297 is ignored")));
}

TEST_F(GgufLoadTest, FingerprintsTheWeights) {
  GgufFile file = TinyGguf();
  const std::string expected = (*Load(file))->info().fingerprint;
  file.Set("general.name", GgufString("other"));
  EXPECT_EQ((*Load(file))->info().fingerprint, expected);
  TensorOf(file, "blk.1.ssm_d").bytes[1] ^= 1;
  EXPECT_NE((*Load(file))->info().fingerprint, expected);
}

struct GgufChange {
  const char* name;
  std::function<void(GgufFile*)> change;
  const char* error;
};

class GgufLoadRefuses : public GgufLoadTest, public ::testing::WithParamInterface<GgufChange> {};

TEST_P(GgufLoadRefuses, InTheFilesWords) {
  GgufFile file = TinyGguf();
  GetParam().change(&file);
  const auto loaded = Load(file);
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << loaded.status();
  const std::string error(loaded.status().message());
  EXPECT_THAT(error, AllOf(HasSubstr(GetParam().error), Not(HasSubstr("backbone")),
                           Not(HasSubstr("config.json"))));
}

std::string NameOfGgufChange(const ::testing::TestParamInfo<GgufChange>& test) {
  return test.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Metadata, GgufLoadRefuses,
    ::testing::Values(
        GgufChange{"NoArchitecture", [](GgufFile* f) { f->Remove("general.architecture"); },
                   "m.gguf: general.architecture is missing"},
        GgufChange{"OtherArchitecture",
                   [](GgufFile* f) { f->Set("general.architecture", GgufString("llama")); },
                   "m.gguf: general.architecture \"llama\" is not known here; these are: mamba"},
        GgufChange{"OnePartOfSeveral", [](GgufFile* f) { f->Set("split.count", GgufU32(2)); },
                   "m.gguf: split.count is 2"},
        GgufChange{"NoWidth", [](GgufFile* f) { f->Remove("mamba.embedding_length"); },
                   "m.gguf: mamba.embedding_length is missing"},
        GgufChange{"WidthZero", [](GgufFile* f) { f->Set("mamba.embedding_length", GgufU32(0)); },
                   "m.gguf: mamba.embedding_length must be a whole number in [1, 65536], got 0"},
        GgufChange{"WidthHuge",
                   [](GgufFile* f) { f->Set("mamba.embedding_length", GgufU32(0xFFFFFFFF)); },
                   "got 4294967295"},
        GgufChange{"WidthAFloat", [](GgufFile* f) { f->Set("mamba.embedding_length", GgufF32(4)); },
                   "mamba.embedding_length must be a whole number"},
        GgufChange{"LayersAString",
                   [](GgufFile* f) { f->Set("mamba.block_count", GgufString("2")); },
                   "mamba.block_count must be a whole number in [1, 1024], got \"2\""},
        GgufChange{"NoEpsilon",
                   [](GgufFile* f) { f->Remove("mamba.attention.layer_norm_rms_epsilon"); },
                   "m.gguf: mamba.attention.layer_norm_rms_epsilon is missing"},
        GgufChange{
            "EpsilonNan",
            [](GgufFile* f) { f->Set("mamba.attention.layer_norm_rms_epsilon", GgufF32(NAN)); },
            "mamba.attention.layer_norm_rms_epsilon must be a number in [0, 1], got nan"},
        GgufChange{"NoConvWidth", [](GgufFile* f) { f->Remove("mamba.ssm.conv_kernel"); },
                   "m.gguf: mamba.ssm.conv_kernel is missing"},
        GgufChange{"ConvWidthHuge",
                   [](GgufFile* f) { f->Set("mamba.ssm.conv_kernel", GgufU32(65)); },
                   "mamba.ssm.conv_kernel must be a whole number in [1, 64], got 65"},
        GgufChange{"NoInnerWidth", [](GgufFile* f) { f->Remove("mamba.ssm.inner_size"); },
                   "m.gguf: mamba.ssm.inner_size is missing"},
        GgufChange{"NoStateSize", [](GgufFile* f) { f->Remove("mamba.ssm.state_size"); },
                   "m.gguf: mamba.ssm.state_size is missing"},
        GgufChange{"NoRank", [](GgufFile* f) { f->Remove("mamba.ssm.time_step_rank"); },
                   "m.gguf: mamba.ssm.time_step_rank is missing"},
        GgufChange{"NormsFlagANumber",
                   [](GgufFile* f) { f->Set("mamba.ssm.dt_b_c_rms", GgufU32(1)); },
                   "m.gguf: mamba.ssm.dt_b_c_rms must be true or false, got 1"}),
    NameOfGgufChange);

INSTANTIATE_TEST_SUITE_P(
    Tensors, GgufLoadRefuses,
    ::testing::Values(
        GgufChange{"NoWeights", [](GgufFile* f) { f->tensors.clear(); },
                   "m.gguf: has no tensor \"token_embd.weight\""},
        GgufChange{"Missing", [](GgufFile* f) { TensorOf(*f, "blk.1.ssm_d").name = "blk.1.x"; },
                   "\"blk.1.ssm_d\" is missing (expected shape [6])"},
        GgufChange{"MissingA", [](GgufFile* f) { TensorOf(*f, "blk.0.ssm_a").name = "blk.0.x"; },
                   "\"blk.0.ssm_a\" is missing (expected shape [6, 3])"},
        GgufChange{"Surplus", [](GgufFile* f) { TensorOf(*f, "blk.1.ssm_d").name = "blk.1.x"; },
                   "\"blk.1.x\" is surplus"},
        GgufChange{"Transposed",
                   [](GgufFile* f) {
                     TensorOf(*f, "blk.0.ssm_in.weight").dimensions = {12, 4};
                   },
                   "\"blk.0.ssm_in.weight\" has shape [4, 12], expected [12, 4]"},
        GgufChange{"GrowingState",
                   [](GgufFile* f) { TensorOf(*f, "blk.0.ssm_a").bytes[7] = '\x3F'; },
                   "weight \"blk.0.ssm_a\" is above 0 at index 1"},
        GgufChange{"NotFinite",
                   [](GgufFile* f) {
                     TensorOf(*f, "blk.1.ssm_a").bytes.replace(8, 4, "\xFF\xFF\xFF\xFF");
                   },
                   "weight \"blk.1.ssm_a\" is not finite at index 2"}),
    NameOfGgufChange);

TEST_F(GgufLoadTest, RefusesAFileThatIsNotGguf) {
  // By its first bytes; those of torch and of rwkv.cpp are other kinds of models.
  const auto loaded = LoadLanguageModel(folder_.Write("pytorch_model.bin", "PK\2l."),
                                        ModelLoadOptions(), device_.get());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status().message()),
              StartsWith("pytorch_model.bin: is not a GGUF file"));
}

}  // namespace
}  // namespace ssmd
