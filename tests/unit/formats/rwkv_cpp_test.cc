#include "engine/formats/rwkv_cpp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/rwkv_cpp_writer.h"

namespace ssmd {
namespace {

using test::RwkvCppFile;
using test::RwkvCppOnes;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<std::vector<TensorInfo>> ParseBytes(const std::string& file) {
  return ParseRwkvCpp(reinterpret_cast<const std::byte*>(file.data()), file.size(), "m.bin");
}

TEST(RwkvCpp, FindsEveryTensorWithItsBytesAndItsShapeRowMajor) {
  RwkvCppFile file;
  file.tensors.push_back({"half", {2}, 1, "wxyz"});
  file.tensors.push_back({"q8", {32, 2}, 9, std::string(68, 'q')});
  file.tensors.push_back({"q4", {32}, 2, std::string(18, 'r')});
  const std::string bytes = file.Bytes();
  ASSERT_TRUE(IsRwkvCpp(bytes));
  const auto tensors = ParseBytes(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 5u);
  const TensorInfo& embedding = (*tensors)[0];
  EXPECT_EQ(embedding.name, "emb.weight");
  EXPECT_THAT(embedding.shape, ElementsAre(3, 2));
  EXPECT_EQ(embedding.type, TensorType::kF32);
  EXPECT_EQ(embedding.elements, 6);
  EXPECT_EQ(embedding.bytes, 24u);
  const TensorInfo& half = (*tensors)[2];
  EXPECT_EQ(half.type, TensorType::kF16);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(half.data), half.bytes), "wxyz");
  EXPECT_EQ((*tensors)[3].type, TensorType::kQ8_0);
  EXPECT_THAT((*tensors)[3].shape, ElementsAre(2, 32));
  EXPECT_EQ((*tensors)[3].bytes, 68u);
  EXPECT_EQ((*tensors)[4].type, TensorType::kQ4_0);
}

TEST(RwkvCpp, ReadsVersion100) {
  RwkvCppFile file;
  file.version = 100;
  EXPECT_TRUE(ParseBytes(file.Bytes()).ok());
}

TEST(RwkvCpp, KnowsItsMagic) {
  EXPECT_TRUE(IsRwkvCpp("fmgg"));
  EXPECT_FALSE(IsRwkvCpp("fmg"));
  EXPECT_FALSE(IsRwkvCpp("GGUF"));
  EXPECT_FALSE(IsRwkvCpp(""));
}

// Wherever it is cut, but where one of its first two tensors ends, and there a header contradicts.
TEST(RwkvCpp, RefusesAFileThatIsCutAnywhere) {
  const std::string whole = RwkvCppFile().Bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    // A copy of its own, so that a sanitizer sees reads behind it.
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    const auto tensors =
        ParseRwkvCpp(reinterpret_cast<const std::byte*>(cut.data()), cut.size(), "m.bin");
    ASSERT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

struct WrongFile {
  const char* reason;
  std::function<void(RwkvCppFile*)> spoil;
};

class RwkvCppRefuses : public ::testing::TestWithParam<WrongFile> {};

TEST_P(RwkvCppRefuses, NamingFileAndReason) {
  RwkvCppFile file;
  GetParam().spoil(&file);
  const auto tensors = ParseBytes(file.Bytes());
  ASSERT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tensors.status().message()),
              AllOf(StartsWith("m.bin: "), HasSubstr(GetParam().reason)));
}

constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();

INSTANTIATE_TEST_SUITE_P(
    All, RwkvCppRefuses,
    ::testing::Values(
        WrongFile{"is not a file of rwkv.cpp", [](RwkvCppFile* f) { f->magic = 0x67676d6c; }},
        WrongFile{"is of version 102", [](RwkvCppFile* f) { f->version = 102; }},
        WrongFile{"n_vocab must be in", [](RwkvCppFile* f) { f->vocabulary = 0; }},
        WrongFile{"n_embed must be in", [](RwkvCppFile* f) { f->d_model = -2; }},
        WrongFile{"n_layer must be in", [](RwkvCppFile* f) { f->layers = kLargest; }},
        WrongFile{"but n_vocab is 4 and n_embed 2", [](RwkvCppFile* f) { f->vocabulary = 4; }},
        WrongFile{"n_layer is 2, but the tensors have fewer",
                  [](RwkvCppFile* f) { f->layers = 2; }},
        WrongFile{
            "n_layer is 1, but the tensors have more",
            [](RwkvCppFile* f) { f->tensors.push_back(RwkvCppOnes("blocks.1.ln1.weight", {2})); }},
        WrongFile{"has no tensor \"emb.weight\"",
                  [](RwkvCppFile* f) { f->tensors.erase(f->tensors.begin()); }},
        WrongFile{"has the tensor \"emb.weight\" twice",
                  [](RwkvCppFile* f) { f->tensors.push_back(f->tensors.front()); }},
        WrongFile{"tensor 2 has a name of 0 bytes",
                  [](RwkvCppFile* f) { f->tensors.push_back(RwkvCppOnes("", {2})); }},
        WrongFile{
            "tensor 2 has a name of 257 bytes",
            [](RwkvCppFile* f) { f->tensors.push_back(RwkvCppOnes(std::string(257, 'n'), {2})); }},
        WrongFile{"is cut short in tensor 2",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {2}, 0, "12345678"});
                    f->tensors.back().name_bytes = 200;
                  }},
        WrongFile{"tensor 2 has 0 dimensions",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {}, 0, "1234"});
                  }},
        WrongFile{"tensor 2 has 5 dimensions",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back(RwkvCppOnes("x", {1, 1, 1, 1, 1}));
                  }},
        WrongFile{"tensor 2 has 4294967295 dimensions",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back(RwkvCppOnes("x", {1}));
                    f->tensors.back().dimension_count = 0xFFFFFFFF;
                  }},
        WrongFile{"tensor 2 has a dimension of -1",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {-1}, 0, "1234"});
                  }},
        WrongFile{"tensor 2 has a dimension of 0",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {0}, 0, "1234"});
                  }},
        WrongFile{"has a shape whose product is too large",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {kLargest, kLargest, kLargest}, 0, "1234"});
                  }},
        WrongFile{"tensor \"x\" has a shape whose size is too large",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {kLargest, kLargest, 2}, 0, "1234"});
                  }},
        WrongFile{"tensor \"x\", of 16 bytes at",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {4}, 0, "123456789012345"});
                  }},
        WrongFile{"tensor \"x\" has type Q5_0, which is not supported",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {32}, 7, std::string(22, 'q')});
                  }},
        WrongFile{"tensor \"x\" has type 77, which is not supported",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {32}, 77, "q"});
                  }},
        WrongFile{"tensor \"x\" has rows of 31 elements",
                  [](RwkvCppFile* f) {
                    f->tensors.push_back({"x", {31}, 9, std::string(34, 'q')});
                  }},
        WrongFile{"which version 100 has in an older form", [](RwkvCppFile* f) {
                    f->version = 100;
                    f->tensors.push_back({"x", {32}, 9, std::string(34, 'q')});
                  }}));

}  // namespace
}  // namespace ssmd
