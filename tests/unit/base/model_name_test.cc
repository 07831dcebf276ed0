#include "engine/base/model_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/errors.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ModelName, HasOneToAHundredAndTwentyEightPlainCharacters) {
  for (const std::string& name : {std::string("a"), std::string("Mamba-1.4b_x"), std::string("7"),
                                  std::string(127, 'm'), std::string(128, 'm')}) {
    EXPECT_TRUE(IsModelName(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string(129, 'm'), std::string("a b"), std::string("a/b"),
        std::string("a\nb"), std::string("é"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(IsModelName(name)) << name;
  }
}

TEST(ModelName, ComesFromThePathsLastPartWithoutTheExtension) {
  const struct {
    const char* path;
    const char* name;
  } kCases[] = {
      {"/models/big-one", "big-one"},
      {"/models/big-one/", "big-one"},
      {"relative", "relative"},
      {"/x/mamba-130m-q8_0.gguf", "mamba-130m-q8_0"},
      {"mamba.gguf", "mamba"},
      {"/x/rwkv-4.bin", "rwkv-4"},
      {"RWKV-x070-World-0.1B.pth", "RWKV-x070-World-0.1B"},
      {"model.safetensors", "model.safetensors"},
      {"v1.0/", "v1.0"},
      {"mamba-1.4b", "mamba-1.4b"},
      {"x.gguf.part", "x.gguf.part"},
      {"a/..", "."},
  };
  for (const auto& c : kCases) EXPECT_EQ(ModelNameOf(c.path), c.name) << c.path;
}

TEST(ModelName, OfManyTenAreListed) {
  EXPECT_EQ(ListModelNames({"a"}), "a");
  std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  EXPECT_EQ(ListModelNames(names), "a, b, c, d, e, f, g, h, i, j");
  names.insert(names.end(), {"k", "l"});
  EXPECT_EQ(ListModelNames(names), "a, b, c, d, e, f, g, h, i, j and 2 more");
}

TEST(ModelName, IsRepeatedInTheErrorOnlyWhereItCouldBeOne) {
  const absl::Status named = NoSuchModel("tales-3m");
  EXPECT_EQ(named.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(named), reason::kModelNotFound);
  EXPECT_THAT(std::string(named.message()), HasSubstr("no model named tales-3m is served"));
  const absl::Status hostile = NoSuchModel("x\nINFO forged");
  EXPECT_EQ(hostile.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(hostile.message()), HasSubstr("no model of that name is served"));
  EXPECT_THAT(std::string(hostile.message()), Not(HasSubstr("forged")));
}

}  // namespace
}  // namespace ssmd
