#include "engine/formats/rwkv_names.h"

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

std::string ModelNameOf(RwkvNaming naming, const std::string& name,
                        const std::string& sign_of_version = "blocks.0.att.time_first") {
  std::vector<TensorInfo> tensors = {TensorNamed(name), TensorNamed(sign_of_version)};
  TakeRwkvNames(naming, &tensors);
  return tensors.front().key();
}

struct NameCase {
  RwkvNaming naming;
  const char* file;
  const char* model;
};
constexpr NameCase kBothWays[] = {
    {RwkvNaming::kHuggingFace, "rwkv.embeddings.weight", "emb.weight"},
    {RwkvNaming::kHuggingFace, "rwkv.ln_out.bias", "ln_out.bias"},
    {RwkvNaming::kHuggingFace, "head.weight", "head.weight"},
    {RwkvNaming::kHuggingFace, "rwkv.blocks.0.pre_ln.weight", "blocks.0.ln0.weight"},
    {RwkvNaming::kHuggingFace, "rwkv.blocks.12.ln2.bias", "blocks.12.ln2.bias"},
    {RwkvNaming::kHuggingFace, "rwkv.blocks.12.attention.time_mix_key",
     "blocks.12.att.time_mix_key"},
    {RwkvNaming::kHuggingFace, "rwkv.blocks.12.feed_forward.key.weight",
     "blocks.12.ffn.key.weight"},
    {RwkvNaming::kFla, "model.embeddings.weight", "emb.weight"},
    {RwkvNaming::kFla, "model.norm.weight", "ln_out.weight"},
    {RwkvNaming::kFla, "lm_head.weight", "head.weight"},
    {RwkvNaming::kFla, "model.layers.0.pre_norm.bias", "blocks.0.ln0.bias"},
    {RwkvNaming::kFla, "model.layers.3.attn_norm.weight", "blocks.3.ln1.weight"},
    {RwkvNaming::kFla, "model.layers.3.ffn_norm.weight", "blocks.3.ln2.weight"},
    {RwkvNaming::kFla, "model.layers.3.attn.r_proj.weight", "blocks.3.att.receptance.weight"},
    {RwkvNaming::kFla, "model.layers.3.attn.g_norm.bias", "blocks.3.att.ln_x.bias"},
    {RwkvNaming::kFla, "model.layers.3.attn.w_lora.lora.0.weight", "blocks.3.att.w1.weight"},
    {RwkvNaming::kFla, "model.layers.3.attn.v_lora.lora.2.weight", "blocks.3.att.v2.weight"},
    {RwkvNaming::kFla, "model.layers.3.attn.a_lora.lora.2.bias", "blocks.3.att.a0"},
    {RwkvNaming::kFla, "model.layers.3.attn.x_w", "blocks.3.att.x_w"},
    {RwkvNaming::kFla, "model.layers.3.ffn.x_k", "blocks.3.ffn.x_k"},
    {RwkvNaming::kRwkvCpp, "blocks.3.att.key.weight", "blocks.3.att.key.weight"},
    {RwkvNaming::kHuggingFace, "optimizer.step", "optimizer.step"},
    {RwkvNaming::kHuggingFace, "rwkv.blocks.12", "rwkv.blocks.12"},
};

TEST(RwkvNames, GoBothWays) {
  for (const NameCase& name : kBothWays) {
    EXPECT_EQ(ModelNameOf(name.naming, name.file), name.model);
    EXPECT_EQ(RwkvNameOf(name.naming, name.model), name.file);
  }
}

TEST(RwkvNames, SayWhichFormRwkvCppHas) {
  const auto of = [](const char* name, const char* sign) {
    return ModelNameOf(RwkvNaming::kRwkvCpp, name, sign);
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

TEST(RwkvNames, CutJoinedShifts) {
  std::array<std::byte, 48> data;
  TensorInfo joined = TensorNamed("blocks.0.att.x_rwkvag", {6, 1, 2});
  joined.data = data.data();
  joined.bytes = data.size();
  std::vector<TensorInfo> tensors = {joined, TensorNamed("blocks.0.att.r_k")};
  TakeRwkvNames(RwkvNaming::kRwkvCpp, &tensors);
  ASSERT_EQ(tensors.size(), 7u);
  EXPECT_EQ(tensors[3].key(), "blocks.0.att.x_v");
  EXPECT_EQ(tensors[3].name, "blocks.0.att.x_rwkvag[3]");
  EXPECT_THAT(tensors[3].shape, ElementsAre(2));
  EXPECT_EQ(tensors[3].elements, 2);
  EXPECT_EQ(tensors[3].data, data.data() + 24);
  EXPECT_EQ(tensors[3].bytes, 8u);

  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{12}, {5, 2}}) {
    tensors = {TensorNamed("blocks.0.att.x_rwkvag", shape), TensorNamed("blocks.0.att.r_k")};
    TakeRwkvNames(RwkvNaming::kRwkvCpp, &tensors);
    EXPECT_EQ(tensors.size(), 2u);
  }
}

TEST(RwkvNames, AreRecognisedByTheirEmbedding) {
  EXPECT_EQ(FolderRwkvNaming({TensorNamed("rwkv.embeddings.weight")}), RwkvNaming::kHuggingFace);
  EXPECT_EQ(FolderRwkvNaming(
                {TensorNamed("model.embeddings.weight"), TensorNamed("model.layers.0.attn.r_k")}),
            RwkvNaming::kFla);
  EXPECT_EQ(FolderRwkvNaming({TensorNamed("model.embeddings.weight")}), RwkvNaming::kNone);
  EXPECT_EQ(FolderRwkvNaming({TensorNamed("emb.weight")}), RwkvNaming::kNone);
  EXPECT_EQ(RwkvVersionOf({TensorNamed("backbone.embedding.weight")}), 0);
}

}  // namespace
}  // namespace ssmd
