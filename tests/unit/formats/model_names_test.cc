#include "engine/formats/model_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace ssmd {
namespace {

using ::testing::ElementsAre;

TensorInfo TensorNamed(const std::string& name, const std::vector<int64_t>& shape = {1}) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.shape = shape;
  tensor.elements = 1;
  for (const int64_t dimension : shape) tensor.elements *= dimension;
  return tensor;
}

std::string ModelNameOf(ModelNaming naming, const std::string& name,
                        const std::string& sign_of_version = "blocks.0.att.time_first") {
  std::vector<TensorInfo> tensors = {TensorNamed(name), TensorNamed(sign_of_version)};
  TakeModelNames(naming, &tensors);
  return tensors.front().key();
}

struct NameCase {
  ModelNaming naming;
  const char* file;
  const char* model;
};
constexpr NameCase kBothWays[] = {
    {ModelNaming::kHuggingFaceRwkv, "rwkv.embeddings.weight", "emb.weight"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.ln_out.bias", "ln_out.bias"},
    {ModelNaming::kHuggingFaceRwkv, "head.weight", "head.weight"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.blocks.0.pre_ln.weight", "blocks.0.ln0.weight"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.blocks.12.ln2.bias", "blocks.12.ln2.bias"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.blocks.12.attention.time_mix_key",
     "blocks.12.att.time_mix_key"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.blocks.12.feed_forward.key.weight",
     "blocks.12.ffn.key.weight"},
    {ModelNaming::kFlaRwkv, "model.embeddings.weight", "emb.weight"},
    {ModelNaming::kFlaRwkv, "model.norm.weight", "ln_out.weight"},
    {ModelNaming::kFlaRwkv, "lm_head.weight", "head.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.0.pre_norm.bias", "blocks.0.ln0.bias"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn_norm.weight", "blocks.3.ln1.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.3.ffn_norm.weight", "blocks.3.ln2.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.r_proj.weight", "blocks.3.att.receptance.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.g_norm.bias", "blocks.3.att.ln_x.bias"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.w_lora.lora.0.weight", "blocks.3.att.w1.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.v_lora.lora.2.weight", "blocks.3.att.v2.weight"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.a_lora.lora.2.bias", "blocks.3.att.a0"},
    {ModelNaming::kFlaRwkv, "model.layers.3.attn.x_w", "blocks.3.att.x_w"},
    {ModelNaming::kFlaRwkv, "model.layers.3.ffn.x_k", "blocks.3.ffn.x_k"},
    {ModelNaming::kRwkvCpp, "blocks.3.att.key.weight", "blocks.3.att.key.weight"},
    {ModelNaming::kTorchscaleRetNet, "embed_tokens.weight", "model.embed_tokens.weight"},
    {ModelNaming::kTorchscaleRetNet, "layer_norm.weight", "model.layer_norm.weight"},
    {ModelNaming::kTorchscaleRetNet, "output_projection.weight", "lm_head.weight"},
    {ModelNaming::kTorchscaleRetNet, "layers.7.retention.q_proj.weight",
     "model.layers.7.retention.q_proj.weight"},
    {ModelNaming::kHuggingFaceRwkv, "optimizer.step", "optimizer.step"},
    {ModelNaming::kHuggingFaceRwkv, "rwkv.blocks.12", "rwkv.blocks.12"},
};

TEST(ModelNames, GoBothWays) {
  for (const NameCase& name : kBothWays) {
    EXPECT_EQ(ModelNameOf(name.naming, name.file), name.model);
    EXPECT_EQ(FileNameOf(name.naming, name.model), name.file);
  }
}

TEST(ModelNames, SayWhichFormRwkvCppHas) {
  const auto of = [](const char* name, const char* sign) {
    return ModelNameOf(ModelNaming::kRwkvCpp, name, sign);
  };
  const char* const v4 = "blocks.0.att.time_first";
  const char* const v5 = "blocks.0.att.ln_x.weight";
  const char* const v6 = "blocks.0.att.time_maa_x";
  const char* const v7 = "blocks.0.att.r_k";
  EXPECT_EQ(of("blocks.1.att.time_decay", v4), "blocks.1.att.time_decay.rate");
  EXPECT_EQ(of("blocks.1.att.time_first", v4), "blocks.1.att.time_first");
  EXPECT_EQ(of("blocks.1.att.time_decay", v5), "blocks.1.att.time_decay.factor");
  EXPECT_EQ(of("blocks.1.att.time_first", v5), "blocks.1.att.time_first.factor");
  EXPECT_EQ(of("blocks.1.att.time_decay", v6), "blocks.1.att.time_decay");
  EXPECT_EQ(of("blocks.1.att.time_decay_w2", v6), "blocks.1.att.time_decay_w2.weight");
  EXPECT_EQ(of("blocks.1.att.w1", v7), "blocks.1.att.w1.weight");
  EXPECT_EQ(of("blocks.1.att.w0", v7), "blocks.1.att.w0");
}

TEST(ModelNames, CutJoinedShifts) {
  std::array<std::byte, 48> data;
  TensorInfo joined = TensorNamed("blocks.0.att.x_rwkvag", {6, 1, 2});
  joined.data = data.data();
  joined.bytes = data.size();
  std::vector<TensorInfo> tensors = {joined, TensorNamed("blocks.0.att.r_k")};
  TakeModelNames(ModelNaming::kRwkvCpp, &tensors);
  ASSERT_EQ(tensors.size(), 7u);
  EXPECT_EQ(tensors[3].key(), "blocks.0.att.x_v");
  EXPECT_EQ(tensors[3].name, "blocks.0.att.x_rwkvag[3]");
  EXPECT_THAT(tensors[3].shape, ElementsAre(2));
  EXPECT_EQ(tensors[3].elements, 2);
  EXPECT_EQ(tensors[3].data, data.data() + 24);
  EXPECT_EQ(tensors[3].bytes, 8u);

  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{12}, {5, 2}}) {
    tensors = {TensorNamed("blocks.0.att.x_rwkvag", shape), TensorNamed("blocks.0.att.r_k")};
    TakeModelNames(ModelNaming::kRwkvCpp, &tensors);
    EXPECT_EQ(tensors.size(), 2u);
  }
}

TEST(ModelNames, AreRecognisedByTheirEmbedding) {
  EXPECT_EQ(FolderNaming({TensorNamed("rwkv.embeddings.weight")}), ModelNaming::kHuggingFaceRwkv);
  EXPECT_EQ(FolderNaming(
                {TensorNamed("model.embeddings.weight"), TensorNamed("model.layers.0.attn.r_k")}),
            ModelNaming::kFlaRwkv);
  EXPECT_EQ(FolderNaming({TensorNamed("model.embeddings.weight")}), ModelNaming::kNone);
  EXPECT_EQ(FolderNaming({TensorNamed("layers.0.retention.q_proj.weight")}),
            ModelNaming::kTorchscaleRetNet);
  EXPECT_EQ(FolderNaming({TensorNamed("emb.weight")}), ModelNaming::kNone);
  EXPECT_EQ(RwkvVersionOf({TensorNamed("backbone.embedding.weight")}), 0);
}

}  // namespace
}  // namespace ssmd
