#include "engine/formats/gguf_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/unit/formats/named_tensor.h"

namespace ssmd {
namespace {

using Shape = std::vector<int64_t>;

struct NameCase {
  const char* architecture;
  const char* gguf;
  const char* model;
  Shape shape;        // row-major, as the file has it
  Shape model_shape;  // as models ask for it
};

// Channels 6, state 3, width 4; Mamba-2: heads 2, groups 2.
const NameCase kNameCases[] = {
    {"mamba", "token_embd.weight", "backbone.embeddings.weight", {7, 4}, {7, 4}},
    {"mamba", "output_norm.weight", "backbone.norm_f.weight", {4}, {4}},
    {"mamba", "output.weight", "lm_head.weight", {7, 4}, {7, 4}},
    {"mamba", "blk.3.attn_norm.weight", "backbone.layers.3.norm.weight", {4}, {4}},
    {"mamba", "blk.3.ssm_in.weight", "backbone.layers.3.mixer.in_proj.weight", {12, 4}, {12, 4}},
    {"mamba", "blk.3.ssm_in.bias", "backbone.layers.3.mixer.in_proj.bias", {12}, {12}},
    {"mamba",
     "blk.3.ssm_conv1d.weight",
     "backbone.layers.3.mixer.conv1d.weight",
     {6, 4},
     {6, 1, 4}},
    {"mamba", "blk.3.ssm_conv1d.weight", "backbone.layers.3.mixer.conv1d.weight", {6}, {6, 1, 1}},
    {"mamba", "blk.3.ssm_conv1d.bias", "backbone.layers.3.mixer.conv1d.bias", {6}, {6}},
    {"mamba", "blk.3.ssm_x.weight", "backbone.layers.3.mixer.x_proj.weight", {7, 6}, {7, 6}},
    {"mamba", "blk.3.ssm_dt.weight", "backbone.layers.3.mixer.dt_proj.weight", {6, 1}, {6, 1}},
    {"mamba", "blk.3.ssm_dt.bias", "backbone.layers.3.mixer.dt_proj.bias", {6}, {6}},
    {"mamba", "blk.3.ssm_a", "backbone.layers.3.mixer.A", {6, 3}, {6, 3}},
    {"mamba", "blk.3.ssm_d", "backbone.layers.3.mixer.D", {6}, {6}},
    {"mamba", "blk.31.ssm_out.weight", "backbone.layers.31.mixer.out_proj.weight", {4, 6}, {4, 6}},
    {"mamba", "blk.31.ssm_out.bias", "backbone.layers.31.mixer.out_proj.bias", {4}, {4}},
    {"mamba2", "blk.0.ssm_in.weight", "backbone.layers.0.mixer.in_proj.weight", {26, 4}, {26, 4}},
    {"mamba2",
     "blk.0.ssm_conv1d.weight",
     "backbone.layers.0.mixer.conv1d.weight",
     {9, 4},
     {9, 1, 4}},
    {"mamba2", "blk.0.ssm_conv1d.bias", "backbone.layers.0.mixer.conv1d.bias", {9}, {9}},
    {"mamba2", "blk.0.ssm_dt.bias", "backbone.layers.0.mixer.dt_bias", {2}, {2}},
    {"mamba2", "blk.0.ssm_a", "backbone.layers.0.mixer.A", {2, 1}, {2}},
    {"mamba2", "blk.0.ssm_d", "backbone.layers.0.mixer.D", {2, 1}, {2}},
    {"mamba2", "blk.0.ssm_norm.weight", "backbone.layers.0.mixer.norm.weight", {2, 3}, {6}},
    {"mamba2", "blk.0.ssm_out.weight", "backbone.layers.0.mixer.out_proj.weight", {4, 6}, {4, 6}},
};

TEST(GgufNames, GiveTensorsTheNamesAndShapesThatModelsAskFor) {
  for (const NameCase& c : kNameCases) {
    TensorInfo tensor = TensorNamed(c.gguf, c.shape);
    TakeModelName(c.architecture, &tensor);
    EXPECT_EQ(tensor.key(), c.model);
    EXPECT_EQ(tensor.name, c.gguf) << "errors say what the file says";
    EXPECT_EQ(tensor.shape, c.model_shape) << c.architecture << " " << c.gguf;
  }
}

TEST(GgufNames, AreFoundAgainForErrors) {
  for (const NameCase& c : kNameCases) EXPECT_EQ(GgufNameOf(c.architecture, c.model), c.gguf);
  EXPECT_EQ(GgufNameOf("mamba", "backbone.layers.2.mixer.A_log"), "blk.2.ssm_a");
  EXPECT_EQ(GgufNameOf("mamba2", "backbone.layers.2.mixer.A_log"), "blk.2.ssm_a");
  EXPECT_EQ(GgufNameOf("mamba", "blk.0.odd"), "blk.0.odd");
}

TEST(GgufNames, LeaveOtherTensorsAlone) {
  for (const char* name : {"", "blk.", "blk.0", "blk..ssm_a", "blk.x.ssm_a", "blk.-1.ssm_a",
                           "blk.0.attn_q.weight", "blk.0.ssm_a.weight", "blk.0.ssm_norm.weight",
                           "rope_freqs.weight", "backbone.norm_f.weight"}) {
    TensorInfo tensor = TensorNamed(name, {2, 3});
    TakeModelName("mamba", &tensor);
    EXPECT_EQ(tensor.key(), name);
    EXPECT_EQ(tensor.shape, Shape({2, 3}));
  }
  TensorInfo tensor = TensorNamed("blk.0.ssm_x.weight");
  TakeModelName("mamba2", &tensor);
  EXPECT_EQ(tensor.key(), tensor.name) << "Mamba-2 has no x_proj";
}

}  // namespace
}  // namespace ssmd
