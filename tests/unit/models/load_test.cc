// Loading of whole folders: what is refused, and what a loaded model says of itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/models/language_model.h"
#include "engine/models/weight_loader.h"
#include "kernels/device.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/memory_device.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TinyModel;

class LoadTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<LanguageModel>> Load(
      const TinyModel& model, const ModelLoadOptions& options = ModelLoadOptions()) {
    model.Write(folder_);
    return LoadLanguageModel(folder_.path(), options, device_.get());
  }
  std::string LoadError(const TinyModel& model) {
    const auto loaded = Load(model);
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << loaded.status();
    return std::string(loaded.status().message());
  }
  std::vector<float> LogitsOf(LanguageModel& model) {
    const auto pool = StatePool::Create(device_.get(), model.state_layout(), 1);
    return testing::RunInSegments(model, **pool, {1, 2, 3}, {3}).back();
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeReferenceDevice();
};

TEST_F(LoadTest, SaysWhatItLoaded) {
  TinyModel tiny;
  tiny.config["bos_token_id"] = "1";
  tiny.config["eos_token_id"] = "2";
  folder_.Write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  const auto model = Load(tiny);
  ASSERT_TRUE(model.ok()) << model.status();
  const ModelInfo& info = (*model)->info();
  EXPECT_EQ(info.architecture, "mamba");
  EXPECT_EQ(info.weights, "f32");
  int64_t elements = 0;
  for (const auto& [name, tensor] : tiny.tensors) {
    elements += static_cast<int64_t>(tensor.bytes.size() / 4);
  }
  EXPECT_EQ(info.parameters, elements);
  EXPECT_GE(info.weight_bytes, elements * 4);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.d_model, 4);
  EXPECT_EQ(info.vocabulary, 7);
  EXPECT_EQ(info.bos_token_id, 1);
  EXPECT_THAT(info.eos_token_ids, ::testing::ElementsAre(3, 4));
  EXPECT_EQ(info.fingerprint.size(), 64u);
  EXPECT_EQ((*model)->max_rows(), ModelLoadOptions().max_rows);
}

TEST_F(LoadTest, AFolderOfGgufFilesAsksForOneOfThem) {
  folder_.Write("model-Q8_0.gguf", "GGUF");
  const auto loaded = LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status().message()),
              AllOf(HasSubstr("model-Q8_0.gguf"), HasSubstr("give the path of that file")));
}

TEST_F(LoadTest, AFolderOfAFileOfRwkvCppAsksForIt) {
  folder_.Write("a.bin", "words");
  folder_.Write("rwkv-4.bin", "fmgg");
  const auto loaded = LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status().message()),
              HasSubstr("\"rwkv-4.bin\": give the path of that file"));
}

TEST_F(LoadTest, AGgufFileBesideAnyConfigurationIsNoMatter) {
  folder_.Write("model-Q8_0.gguf", "GGUF");
  folder_.Write("params.json", "{");
  const auto mistral = LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  EXPECT_THAT(std::string(mistral.status().message()), HasSubstr("params.json"));
  EXPECT_TRUE(Load(TinyModel()).ok());
}

TEST_F(LoadTest, DeclaresTheStateOfEveryLayer) {
  const auto model = Load(TinyModel());
  ASSERT_TRUE(model.ok()) << model.status();
  const StateLayout& layout = (*model)->state_layout();
  ASSERT_EQ(layout.fields().size(), 4u);
  EXPECT_EQ(layout.fields()[2].layer, 1);
  EXPECT_EQ(layout.fields()[2].name, "conv");
  EXPECT_THAT(layout.fields()[2].shape, ::testing::ElementsAre(1, 6));
  EXPECT_EQ(layout.fields()[3].name, "ssm");
  EXPECT_THAT(layout.fields()[3].shape, ::testing::ElementsAre(1, 3, 64));
}

struct TensorChange {
  const char* name;
  std::function<void(TinyModel*)> change;
  std::vector<const char*> errors;
};

class LoadRefuses : public LoadTest, public ::testing::WithParamInterface<TensorChange> {};

TEST_P(LoadRefuses, NamingTheTensors) {
  TinyModel tiny;
  GetParam().change(&tiny);
  const std::string error = LoadError(tiny);
  for (const char* part : GetParam().errors) EXPECT_THAT(error, HasSubstr(part));
}

constexpr char kD[] = "backbone.layers.1.mixer.D";
constexpr char kInProj[] = "backbone.layers.0.mixer.in_proj.weight";
constexpr char kEmbedding[] = "backbone.embeddings.weight";
constexpr char kNan[] = "is not finite at index 5";

void SetValue(TinyModel* model, const std::string& name, size_t index, float value) {
  std::memcpy(&model->tensors.at(name).bytes[index * sizeof(float)], &value, sizeof(value));
}

INSTANTIATE_TEST_SUITE_P(
    Tensors, LoadRefuses,
    ::testing::Values(
        TensorChange{
            "Missing",
            [](TinyModel* m) { m->tensors.erase(kD); },
            {"in 1 tensor:", "\"backbone.layers.1.mixer.D\" is missing (expected shape [6])"}},
        TensorChange{"MissingEmbedding",
                     [](TinyModel* m) { m->tensors.erase(kEmbedding); },
                     {"\"backbone.embeddings.weight\" is missing"}},
        TensorChange{"Surplus",
                     [](TinyModel* m) {
                       m->Add("backbone.extra", {2, 3});
                     },
                     {"\"backbone.extra\" is surplus (shape [2, 3])"}},
        TensorChange{"SurplusLayer",
                     [](TinyModel* m) { m->config["num_hidden_layers"] = "1"; },
                     {"10 tensors", "\"backbone.layers.1.norm.weight\" is surplus"}},
        TensorChange{"MissingLayer",
                     [](TinyModel* m) { m->config["num_hidden_layers"] = "3"; },
                     {"\"backbone.layers.2.mixer.A_log\" is missing (expected shape [6, 3])"}},
        TensorChange{"WrongShape",
                     [](TinyModel* m) { m->Add(kD, {5}); },
                     {"\"backbone.layers.1.mixer.D\" has shape [5], expected [6]"}},
        TensorChange{"TransposedShape",
                     [](TinyModel* m) {
                       m->Add(kInProj, {4, 12});
                     },
                     {"has shape [4, 12], expected [12, 4]"}},
        TensorChange{"WrongType",
                     [](TinyModel* m) {
                       m->tensors[kD] = {"F64", {6}, std::string(48, '\0')};
                     },
                     {"\"backbone.layers.1.mixer.D\" has type F64, expected F32, F16 or BF16"}},
        TensorChange{"SeveralAtOnce",
                     [](TinyModel* m) {
                       m->tensors.erase(kD);
                       m->Add("backbone.extra", {2});
                       m->Add(kInProj, {4, 12});
                       m->tensors["backbone.norm_f.weight"] = {"I32", {4}, std::string(16, '\0')};
                     },
                     {"4 tensors", "mixer.D\" is missing", "extra\" is surplus",
                      "in_proj.weight\" has shape", "norm_f.weight\" has type I32"}},
        TensorChange{"BiasThatConfigDenies",
                     [](TinyModel* m) { m->config["use_conv_bias"] = "false"; },
                     {"2 tensors", "\"backbone.layers.0.mixer.conv1d.bias\" is surplus"}},
        TensorChange{"BiasThatConfigAsksFor",
                     [](TinyModel* m) { m->config["use_bias"] = "true"; },
                     {"4 tensors", "\"backbone.layers.0.mixer.in_proj.bias\" is missing",
                      "\"backbone.layers.1.mixer.out_proj.bias\" is missing"}},
        TensorChange{"BiasOfOneLayerMissing",
                     [](TinyModel* m) { m->tensors.erase("backbone.layers.1.mixer.conv1d.bias"); },
                     {"in 1 tensor:", "\"backbone.layers.1.mixer.conv1d.bias\" is missing"}},
        TensorChange{"UntiedHeadMissing",
                     [](TinyModel* m) { m->config["tie_word_embeddings"] = "false"; },
                     {"\"lm_head.weight\" is missing (expected shape [7, 4])"}},
        TensorChange{"TiedHeadThatDiffers",
                     [](TinyModel* m) {
                       m->config["tie_word_embeddings"] = "true";
                       m->Add("lm_head.weight", {7, 4});
                     },
                     {"\"lm_head.weight\" differs from the embedding", "set tie_word_embeddings"}},
        TensorChange{"BothEmbeddingNames",
                     [](TinyModel* m) {
                       m->Add("backbone.embedding.weight", {7, 4});
                     },
                     {"\"backbone.embedding.weight\" is surplus"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Values, LoadRefuses,
    ::testing::Values(
        TensorChange{
            "NanInAMatrix", [](TinyModel* m) { SetValue(m, kInProj, 5, NAN); }, {kInProj, kNan}},
        TensorChange{
            "InfinityInAVector", [](TinyModel* m) { SetValue(m, kD, 5, -INFINITY); }, {kD, kNan}},
        TensorChange{"NanInTheEmbedding",
                     [](TinyModel* m) { SetValue(m, kEmbedding, 5, NAN); },
                     {kEmbedding, kNan}},
        TensorChange{"ExponentialOverflows",
                     [](TinyModel* m) { SetValue(m, "backbone.layers.0.mixer.A_log", 5, 90); },
                     {"exp of backbone.layers.0.mixer.A_log", kNan}},
        TensorChange{"F16Nan",
                     [](TinyModel* m) {
                       m->tensors[kD] = {"F16", {6}, std::string(10, '\0') + "\x01\xFC"};
                     },
                     {kD, kNan}},
        TensorChange{"Bf16Infinity",
                     [](TinyModel* m) {
                       m->tensors[kD] = {"BF16", {6}, std::string(10, '\0') + "\x80\x7F"};
                     },
                     {kD, kNan}}),
    [](const auto& test) { return test.param.name; });

TEST_F(LoadTest, BoundsTheErrorOfAWhollyWrongCheckpoint) {
  TinyModel tiny;
  tiny.config["num_hidden_layers"] = "1000";
  const std::string error = LoadError(tiny);
  EXPECT_THAT(error, AllOf(HasSubstr("9980 tensors"), HasSubstr("and 9880 more")));
  EXPECT_LT(error.size(), 20000u);
}

TEST_F(LoadTest, RefusesWeightsThatRoundingMakesInfinite) {
  TinyModel tiny;
  SetValue(&tiny, kInProj, 5, std::numeric_limits<float>::max());
  ModelLoadOptions options;
  options.weights = kernels::WeightFormat::kBf16;
  const auto loaded = Load(tiny, options);
  EXPECT_THAT(std::string(loaded.status().message()), AllOf(HasSubstr(kInProj), HasSubstr(kNan)));
  SetValue(&tiny, kInProj, 5, 3.3e38f);
  EXPECT_TRUE(Load(tiny, options).ok());
}

TEST_F(LoadTest, RefusesWeightsTooLargeToQuantise) {
  TinyModel tiny;
  SetValue(&tiny, kInProj, 5, -32769.0f);
  for (const auto format : {kernels::WeightFormat::kQ8, kernels::WeightFormat::kQ4}) {
    ModelLoadOptions options;
    options.weights = format;
    const auto loaded = Load(tiny, options);
    EXPECT_THAT(std::string(loaded.status().message()),
                AllOf(HasSubstr(kInProj), HasSubstr("larger than 32768 at index 5"),
                      HasSubstr("load it as bf16 or f32")));
    TinyModel largest;
    SetValue(&largest, kInProj, 5, 32768.0f);
    EXPECT_TRUE(Load(largest, options).ok());
    options.weights = kernels::WeightFormat::kBf16;
    EXPECT_TRUE(Load(tiny, options).ok());
  }
}

// What feeds the recurrence, and the vocabulary, is kept better than asked for.
TEST(KeptFormat, DependsOnTheRoleWhereMatricesAreQuantised) {
  using kernels::WeightFormat;
  for (const WeightFormat asked : {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kF16}) {
    for (const MatrixRole role :
         {MatrixRole::kProjection, MatrixRole::kSelection, MatrixRole::kVocabulary}) {
      EXPECT_EQ(KeptFormat(asked, role), asked);
    }
  }
  for (const WeightFormat asked : {WeightFormat::kQ8, WeightFormat::kQ4, WeightFormat::kFp8}) {
    EXPECT_EQ(KeptFormat(asked, MatrixRole::kProjection), asked);
    EXPECT_EQ(KeptFormat(asked, MatrixRole::kSelection), WeightFormat::kBf16);
    EXPECT_EQ(KeptFormat(asked, MatrixRole::kVocabulary), WeightFormat::kQ8);
  }
}

TEST_F(LoadTest, EachFormatIsItsOwnModel) {
  const TinyModel tiny;
  std::set<std::string> fingerprints;
  for (const char* name : {"f32", "bf16", "f16", "fp8", "q8", "q4"}) {
    ModelLoadOptions options;
    options.weights = kernels::ParseWeightFormat(name);
    const auto loaded = Load(tiny, options);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->info().weights, name);
    EXPECT_TRUE(fingerprints.insert((*loaded)->info().fingerprint).second) << name;
  }
}

TEST_F(LoadTest, AFormatThatTheDeviceDoesNotKeepIsRefused) {
  const auto cpu = kernels::MakeCpuDevice({kernels::Isa::kScalar, 1});
  TinyModel().Write(folder_);
  for (const char* name : {"f16", "fp8"}) {
    ModelLoadOptions options;
    options.weights = kernels::ParseWeightFormat(name);
    const auto loaded = LoadLanguageModel(folder_.path(), options, cpu.get());
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(loaded.status().message()),
                AllOf(HasSubstr("this device (cpu/scalar) keeps no " + std::string(name)),
                      HasSubstr("use f32, bf16, q8, q4")));
  }
}

TEST_F(LoadTest, WeightsBeyondF16AreRefusedWhereTheyAreKeptAsSuch) {
  ModelLoadOptions options;
  options.weights = kernels::WeightFormat::kF16;
  TinyModel largest;
  SetValue(&largest, kInProj, 5, 65519.0f);  // rounds to the last that is finite
  EXPECT_TRUE(Load(largest, options).ok());
  TinyModel beyond;
  SetValue(&beyond, kInProj, 5, 65520.0f);
  const auto loaded = Load(beyond, options);
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("not finite at index 5"));
}

class WeightCacheTest : public LoadTest {
 protected:
  WeightCacheTest() {
    options_.weights = kernels::WeightFormat::kQ8;
    options_.cache_dir = cache_.File("weights");
  }
  std::vector<std::string> CacheFiles() const {
    std::vector<std::string> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options_.cache_dir, error)) {
      files.push_back(entry.path().string());
    }
    return files;
  }

  const testing::TempFolder cache_;
  ModelLoadOptions options_;
};

TEST_F(WeightCacheTest, TheSecondLoadIsTheFirstOneAgain) {
  const TinyModel tiny;
  const auto first = Load(tiny, options_);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(CacheFiles().size(), 1u);
  const auto written = std::filesystem::last_write_time(CacheFiles()[0]);
  // Loaded as it lies there: writing the model again would make it another one.
  const auto second = LoadLanguageModel(folder_.path(), options_, device_.get());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(LogitsOf(**second), LogitsOf(**first));
  EXPECT_EQ((*second)->info().fingerprint, (*first)->info().fingerprint);
  EXPECT_EQ((*second)->info().weight_bytes, (*first)->info().weight_bytes);
  EXPECT_TRUE((*second)->info().warnings.empty());
  EXPECT_FALSE((*first)->info().weights_from_cache);
  EXPECT_TRUE((*second)->info().weights_from_cache);
  EXPECT_EQ((*first)->info().weight_cache, CacheFiles()[0]);
  EXPECT_EQ((*second)->info().weight_cache, CacheFiles()[0]);
  EXPECT_EQ(CacheFiles().size(), 1u);
  EXPECT_EQ(std::filesystem::last_write_time(CacheFiles()[0]), written);
}

TEST_F(WeightCacheTest, OtherWeightsFormatsAndDamagedFilesAreMadeAgain) {
  TinyModel tiny;
  ASSERT_TRUE(Load(tiny, options_).ok());
  SetValue(&tiny, kInProj, 0, 3.0f);
  const auto changed = Load(tiny, options_);
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(CacheFiles().size(), 2u);
  options_.weights = kernels::WeightFormat::kQ4;
  ASSERT_TRUE(LoadLanguageModel(folder_.path(), options_, device_.get()).ok());
  EXPECT_EQ(CacheFiles().size(), 3u);
  options_.weights = kernels::WeightFormat::kQ8;
  for (const std::string& file : CacheFiles()) std::filesystem::resize_file(file, 100);
  const auto again = LoadLanguageModel(folder_.path(), options_, device_.get());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(LogitsOf(**again), LogitsOf(**changed));
  EXPECT_THAT((*again)->info().warnings, ElementsAre(HasSubstr("kept weights were made again: ")));
  int whole = 0;
  for (const std::string& file : CacheFiles()) whole += std::filesystem::file_size(file) > 100;
  EXPECT_EQ(whole, 1);
}

TEST_F(WeightCacheTest, WhatCannotBeKeptIsAWarning) {
  options_.cache_dir = cache_.Write("file", "not a folder") + "/x";
  const auto loaded = Load(TinyModel(), options_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ((*loaded)->info().warnings.size(), 1u);
  EXPECT_THAT((*loaded)->info().warnings[0], HasSubstr("quantised weights cannot be kept as "));
  EXPECT_EQ((*loaded)->info().weight_cache, "");
}

TEST_F(WeightCacheTest, ADiskThatIsFullAtAnyMomentIsAWarningAndLeavesNothing) {
  const TinyModel tiny;
  options_.cache_dir = "/cache";
  testing::FaultFileSystem calm;
  options_.cache_files = &calm;
  const auto kept = Load(tiny, options_);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_THAT(calm.Paths(), ElementsAre((*kept)->info().weight_cache));
  ASSERT_GT(calm.operations(), 10);

  for (int64_t at = 0; at < calm.operations(); ++at) {
    SCOPED_TRACE(at);
    testing::FaultFileSystem files;
    files.FailAt(at, testing::FaultFileSystem::Fault::kFull);
    options_.cache_files = &files;
    const auto loaded = LoadLanguageModel(folder_.path(), options_, device_.get());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(LogitsOf(**loaded), LogitsOf(**kept));
    EXPECT_FALSE((*loaded)->info().weights_from_cache);
    EXPECT_THAT((*loaded)->info().warnings, ElementsAre(HasSubstr((*kept)->info().weight_cache)));
    EXPECT_EQ((*loaded)->info().weight_cache, "");
    EXPECT_THAT(files.Paths(), IsEmpty());
  }
}

TEST_F(WeightCacheTest, NothingIsKeptOfWeightsThatAreNotQuantised) {
  options_.weights = kernels::WeightFormat::kBf16;
  ASSERT_TRUE(Load(TinyModel(), options_).ok());
  EXPECT_TRUE(CacheFiles().empty());
}

TEST_F(LoadTest, TakesEitherNameOfTheEmbedding) {
  TinyModel tiny;
  const auto plural = Load(tiny);
  auto embedding = tiny.tensors.extract(kEmbedding);
  embedding.key() = "backbone.embedding.weight";
  tiny.tensors.insert(std::move(embedding));
  const auto singular = Load(tiny);
  ASSERT_TRUE(plural.ok() && singular.ok()) << singular.status();
  EXPECT_EQ(LogitsOf(**plural), LogitsOf(**singular));
}

TEST_F(LoadTest, UsesAnOwnHeadWhereThereIsOne) {
  TinyModel tiny;
  const auto tied = Load(tiny);
  tiny.tensors["lm_head.weight"] = tiny.tensors[kEmbedding];
  const auto copied = Load(tiny);
  tiny.Add("lm_head.weight", {7, 4});
  const auto untied = Load(tiny);
  ASSERT_TRUE(tied.ok() && copied.ok() && untied.ok()) << untied.status();
  EXPECT_EQ(LogitsOf(**tied), LogitsOf(**copied));
  EXPECT_NE(LogitsOf(**tied), LogitsOf(**untied));

  // A copy of the tied matrix is not kept twice.
  tiny.tensors["lm_head.weight"] = tiny.tensors[kEmbedding];
  tiny.config["tie_word_embeddings"] = "true";
  const auto duplicate = Load(tiny);
  ASSERT_TRUE(duplicate.ok()) << duplicate.status();
  EXPECT_EQ((*duplicate)->info().weight_bytes, (*tied)->info().weight_bytes);
  EXPECT_LT((*tied)->info().weight_bytes, (*untied)->info().weight_bytes);
}

std::string ToBf16(const std::string& f32) {
  std::string bytes;
  for (size_t i = 0; i < f32.size(); i += 4) bytes += f32.substr(i + 2, 2);
  return bytes;
}

TEST_F(LoadTest, KeepsMatricesInTheFormatOfTheFileUnlessTold) {
  TinyModel tiny;
  for (auto& [name, tensor] : tiny.tensors) {
    // As trainers write it: matrices in bf16, what feeds the recurrence in f32.
    if (tensor.shape.size() != 2 || name.find("A_log") != std::string::npos) continue;
    tensor = {"BF16", tensor.shape, ToBf16(tensor.bytes)};
  }
  const auto bf16 = Load(tiny);
  ASSERT_TRUE(bf16.ok()) << bf16.status();
  EXPECT_EQ((*bf16)->info().weights, "bf16");
  ModelLoadOptions options;
  options.weights = kernels::WeightFormat::kF32;
  const auto f32 = Load(tiny, options);
  EXPECT_EQ((*f32)->info().weights, "f32");
  EXPECT_EQ(LogitsOf(**bf16), LogitsOf(**f32));
  EXPECT_NE((*bf16)->info().fingerprint, (*f32)->info().fingerprint);

  tiny.Add(kInProj, {12, 4});  // one matrix in f32
  EXPECT_EQ((*Load(tiny))->info().weights, "f32");
}

TEST_F(LoadTest, FingerprintsWhatChangesALogitAndNothingElse) {
  const auto fingerprint = [&](const TinyModel& model) {
    return (*Load(model))->info().fingerprint;
  };
  const TinyModel base;
  const std::string expected = fingerprint(base);
  EXPECT_EQ(fingerprint(base), expected);

  TinyModel changed;
  SetValue(&changed, kD, 3, 0.25f);
  EXPECT_NE(fingerprint(changed), expected);
  changed = base;
  changed.config["layer_norm_epsilon"] = "1e-6";
  EXPECT_NE(fingerprint(changed), expected);
  changed = base;
  changed.config["model_type"] = "\"falcon_mamba\"";
  EXPECT_NE(fingerprint(changed), expected);
  changed = base;
  changed.config["eos_token_id"] = "3";
  changed.config["comment"] = "\"none\"";
  EXPECT_EQ(fingerprint(changed), expected);
}

TEST_F(LoadTest, ReportsProgressUpToTheWhole) {
  TinyModel tiny;
  int64_t file_bytes = 0;
  for (const auto& [name, tensor] : tiny.tensors) {
    file_bytes += static_cast<int64_t>(tensor.bytes.size());
  }
  std::vector<int64_t> done;
  ModelLoadOptions options;
  options.progress = [&](int64_t bytes_done, int64_t bytes_total) {
    EXPECT_EQ(bytes_total, file_bytes);
    done.push_back(bytes_done);
  };
  ASSERT_TRUE(Load(tiny, options).ok());
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), file_bytes);
}

TEST_F(LoadTest, SaysWhatMemoryWasMissingFor) {
  TinyModel().Write(folder_);
  testing::MemoryDevice none(0);
  const auto activations = LoadLanguageModel(folder_.path(), ModelLoadOptions(), &none);
  EXPECT_EQ(activations.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(activations.status().message()), HasSubstr("token budget"));
  testing::MemoryDevice no_packing(1 << 20);
  const auto weights = LoadLanguageModel(folder_.path(), ModelLoadOptions(), &no_packing);
  EXPECT_EQ(weights.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(weights.status().message()), HasSubstr(kEmbedding));
}

TEST_F(LoadTest, RefusesAChunkedPrefillOfLayersThatHaveNone) {
  TinyModel().Write(folder_);
  ModelLoadOptions options;
  options.prefill = Prefill::kChunked;
  const auto refused = LoadLanguageModel(folder_.path(), options, device_.get());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("prefill=chunked: the layers of mamba have no chunked form"));
}

TEST_F(LoadTest, ChecksItsOptions) {
  for (const int rows : {0, -1, (1 << 20) + 1}) {
    ModelLoadOptions options;
    options.max_rows = rows;
    EXPECT_EQ(Load(TinyModel(), options).status().code(), absl::StatusCode::kInvalidArgument);
    options = ModelLoadOptions();
    options.max_logit_rows = rows;
    EXPECT_EQ(Load(TinyModel(), options).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(LoadTest, NamesTheFileThatIsAbsentOrMalformed) {
  const auto load = [&](const std::string& folder) {
    return LoadLanguageModel(folder, ModelLoadOptions(), device_.get()).status();
  };
  EXPECT_EQ(load(folder_.File("absent")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(load(folder_.Write("file", "x")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(load(folder_.path()).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(load(folder_.path()).message()), HasSubstr("config.json"));

  for (const char* config : {"", "[]", "{\"model_type\": \"mamba\"", "{\"a\": 1, \"a\": 2}"}) {
    TinyModel().Write(folder_);
    folder_.Write("config.json", config);
    EXPECT_EQ(load(folder_.path()).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(load(folder_.path()).message()),
                ::testing::StartsWith("config.json: "));
  }
  TinyModel().Write(folder_);
  folder_.Write("generation_config.json", "[1");
  EXPECT_THAT(std::string(load(folder_.path()).message()),
              ::testing::StartsWith("generation_config.json: "));
  folder_.Write("generation_config.json", "{}");
  folder_.Write("model.safetensors", "");
  EXPECT_THAT(std::string(load(folder_.path()).message()),
              ::testing::StartsWith("model.safetensors: "));
}

}  // namespace
}  // namespace ssmd
