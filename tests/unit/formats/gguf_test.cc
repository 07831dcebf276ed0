#include "engine/formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using test::GgufFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<Gguf> ParseFile(const std::string& file) {
  return Gguf::Parse(reinterpret_cast<const std::byte*>(file.data()), file.size(), "m.gguf");
}

// Two keys and three tensors: f32 of 2 × 3, Q8_0 of 1 × 32, f16 of 2.
GgufFile SmallFile() {
  GgufFile file;
  file.Set("general.architecture", test::GgufString("mamba"));
  file.Set("mamba.block_count", test::GgufU32(2));
  file.tensors.push_back(test::GgufF32Tensor("a", {3, 2}, {1, 2, 3, 4, 5, 6}));
  file.tensors.push_back({"b", {32, 1}, 8, std::string(34, 'q')});
  file.tensors.push_back({"c", {2}, 1, "wxyz"});
  return file;
}

TEST(Gguf, FindsEveryTensorWithItsBytesAndItsShapeRowMajor) {
  const std::string bytes = SmallFile().Bytes();
  const auto gguf = ParseFile(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  ASSERT_EQ(gguf->tensors().size(), 3u);
  const TensorInfo* a = gguf->FindTensor("a");
  EXPECT_THAT(a->shape, ElementsAre(2, 3));
  EXPECT_EQ(a->elements, 6);
  EXPECT_EQ(a->type, TensorType::kF32);
  const TensorInfo* b = gguf->FindTensor("b");
  EXPECT_EQ(b->type, TensorType::kQ8_0);
  EXPECT_EQ(b->elements, 32);
  EXPECT_EQ(b->bytes, 34u);
  const TensorInfo* c = gguf->FindTensor("c");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(c->data), c->bytes), "wxyz");
  EXPECT_EQ(gguf->FindTensor("d"), nullptr);
}

TEST(Gguf, ReadsValuesOfEveryType) {
  GgufFile file;
  const auto number = [&](const char* key, uint32_t type, const std::string& bytes) {
    std::string value;
    PutLittleEndian<uint32_t>(&value, type);
    file.Set(key, value + bytes);
  };
  number("u8", 0, "\xFE");
  number("i8", 1, "\xFE");
  number("u16", 2, "\xFE\xFF");
  number("i16", 3, "\xFE\xFF");
  number("u32", 4, "\xFE\xFF\xFF\xFF");
  number("i32", 5, "\xFE\xFF\xFF\xFF");
  number("i64", 11, "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
  file.Set("u64", test::GgufU64(7));
  file.Set("u64 beyond", test::GgufU64(uint64_t{1} << 63));
  file.Set("f32", test::GgufF32(1.5f));
  number("f64", 12, std::string("\0\0\0\0\0\0\xF8\xBF", 8));
  file.Set("true", test::GgufBool(1));
  file.Set("string", test::GgufString("text"));
  file.Set("strings", test::GgufStringArray({"", "ab", "c"}));
  file.Set("ints", test::GgufI32Array({3, -4}));
  const std::string bytes = file.Bytes();
  const auto gguf = ParseFile(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const std::map<std::string, int64_t> ints = {{"u8", 254}, {"i8", -2},          {"u16", 65534},
                                               {"i16", -2}, {"u32", 4294967294}, {"i32", -2},
                                               {"i64", -2}, {"u64", 7}};
  for (const auto& [key, value] : ints) EXPECT_EQ(gguf->Find(key)->AsInt(), value) << key;
  EXPECT_EQ(gguf->Find("u64 beyond")->AsInt(), std::nullopt);
  EXPECT_EQ(gguf->Find("f32")->AsDouble(), 1.5);
  EXPECT_EQ(gguf->Find("f64")->AsDouble(), -1.5);
  EXPECT_EQ(gguf->Find("true")->AsBool(), true);
  EXPECT_EQ(gguf->Find("string")->AsString(), "text");
  std::vector<std::string_view> texts;
  const auto strings = gguf->Find("strings")->AsStrings();
  for (const std::string_view text : *strings) texts.push_back(text);
  EXPECT_THAT(texts, ElementsAre("", "ab", "c"));
  EXPECT_EQ(gguf->Find("ints")->size(), 2u);
  EXPECT_EQ(gguf->Find("ints")->IntAt(1), -4);
  // Each is absent where the value is of another type.
  EXPECT_EQ(gguf->Find("f32")->AsInt(), std::nullopt);
  EXPECT_EQ(gguf->Find("u8")->AsDouble(), std::nullopt);
  EXPECT_EQ(gguf->Find("u8")->AsBool(), std::nullopt);
  EXPECT_EQ(gguf->Find("ints")->AsString(), std::nullopt);
  EXPECT_EQ(gguf->Find("ints")->AsStrings(), std::nullopt);
  EXPECT_EQ(gguf->Find("strings")->IntAt(0), std::nullopt);
  EXPECT_EQ(gguf->Find("absent"), nullptr);
}

// Tokens are many; they stay where the file is mapped.
TEST(Gguf, CopiesNoStrings) {
  GgufFile file;
  file.Set("strings", test::GgufStringArray({"ab"}));
  const std::string bytes = file.Bytes();
  const auto gguf = ParseFile(bytes);
  const auto strings = gguf->Find("strings")->AsStrings();
  const std::string_view text = *strings->begin();
  EXPECT_EQ(text, "ab");
  EXPECT_GE(text.data(), bytes.data());
  EXPECT_LT(text.data(), bytes.data() + bytes.size());
}

TEST(Gguf, ReadsVersionsTwoAndThree) {
  for (const uint32_t version : {2, 3}) {
    GgufFile file = SmallFile();
    file.version = version;
    EXPECT_TRUE(ParseFile(file.Bytes()).ok()) << version;
  }
}

TEST(Gguf, ObeysTheFilesAlignment) {
  GgufFile file = SmallFile();
  file.alignment = 64;
  EXPECT_THAT(std::string(ParseFile(file.Bytes()).status().message()), HasSubstr("leaves a hole"));
  file.Set("general.alignment", test::GgufU32(64));
  const std::string bytes = file.Bytes();
  const auto gguf = ParseFile(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const TensorInfo* c = gguf->FindTensor("c");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(c->data), c->bytes), "wxyz");
}

// Writers pad behind the last tensor, or do not.
TEST(Gguf, AllowsPaddingBehindTheLastTensor) {
  GgufFile file = SmallFile();
  for (const size_t padding : {0, 1, 28}) {
    file.trailing = std::string(padding, '\0');
    EXPECT_TRUE(ParseFile(file.Bytes()).ok()) << padding;
  }
}

TEST(Gguf, ReadsAFileWithoutTensors) {
  GgufFile file;
  file.Set("k", test::GgufString("v"));
  EXPECT_TRUE(ParseFile(file.Bytes()).ok());
  file.trailing = std::string(32, '\0');
  EXPECT_FALSE(ParseFile(file.Bytes()).ok());
}

TEST(Gguf, OpensAFile) {
  const testing::TempFolder folder;
  folder.Write("m.gguf", SmallFile().Bytes());
  auto opened = Gguf::Open(folder.File("m.gguf"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const Gguf gguf = *std::move(opened);
  EXPECT_EQ(gguf.source(), "m.gguf");
  EXPECT_EQ(gguf.Find("mamba.block_count")->AsInt(), 2);
  EXPECT_EQ(std::to_integer<char>(gguf.FindTensor("c")->data[0]), 'w');
  EXPECT_TRUE(absl::IsNotFound(Gguf::Open(folder.File("n.gguf")).status()));
}

TEST(Gguf, NamesItsArchitecture) {
  GgufFile file = SmallFile();
  const std::string bytes = file.Bytes();
  EXPECT_EQ(*ParseFile(bytes)->Architecture(), "mamba");
  file.Set("general.architecture", test::GgufU32(1));
  EXPECT_THAT(std::string(ParseFile(file.Bytes())->Architecture().status().message()),
              HasSubstr("m.gguf: general.architecture must be a string, got 1"));
  file.Remove("general.architecture");
  EXPECT_THAT(std::string(ParseFile(file.Bytes())->Architecture().status().message()),
              HasSubstr("general.architecture is missing"));
  file.Set("split.count", test::GgufU32(3));
  EXPECT_THAT(std::string(ParseFile(file.Bytes())->Architecture().status().message()),
              HasSubstr("m.gguf: split.count is 3: a model in several files"));
}

// --- what is refused -----------------------------------------------------------------------------

struct BadGguf {
  const char* name;
  std::function<void(GgufFile*)> change;
  const char* error;
};

class GgufRefuses : public ::testing::TestWithParam<BadGguf> {};

TEST_P(GgufRefuses, NamingWhatIsWrong) {
  GgufFile file = SmallFile();
  GetParam().change(&file);
  const auto gguf = ParseFile(file.Bytes());
  ASSERT_EQ(gguf.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(gguf.status().message()),
              AllOf(StartsWith("m.gguf: "), HasSubstr(GetParam().error)));
}

std::string NameOfBadGguf(const ::testing::TestParamInfo<BadGguf>& test) { return test.param.name; }

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// A string, or an array of u8, that says it is longer than it is.
std::string LongString(uint64_t length) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 8);
  PutLittleEndian<uint64_t>(&bytes, length);
  return bytes;
}

INSTANTIATE_TEST_SUITE_P(
    Header, GgufRefuses,
    ::testing::Values(
        BadGguf{"Magic", [](GgufFile* f) { f->magic = "GGML"; }, "is not a GGUF file"},
        BadGguf{"VersionOne", [](GgufFile* f) { f->version = 1; }, "is of GGUF version 1"},
        BadGguf{"VersionFour", [](GgufFile* f) { f->version = 4; }, "is of GGUF version 4"},
        BadGguf{"VersionZero", [](GgufFile* f) { f->version = 0; }, "is of GGUF version 0"},
        BadGguf{"BigEndian", [](GgufFile* f) { f->version = 0x03000000; }, "big-endian"},
        BadGguf{"BigEndianTwo", [](GgufFile* f) { f->version = 0x02000000; }, "big-endian"},
        BadGguf{"TooManyKeys", [](GgufFile* f) { f->pair_count = kMaxGgufKeys + 1; },
                "has 65537 keys, more than the 65536 allowed"},
        BadGguf{"KeysDoNotFit", [](GgufFile* f) { f->pair_count = kMaxGgufKeys; },
                "is cut short: 65536 keys"},
        BadGguf{"OneKeyTooMany", [](GgufFile* f) { f->pair_count = 3; },
                "the name of tensor 0 has a string of"},
        BadGguf{"TensorsDoNotFit", [](GgufFile* f) { f->tensor_count = 100; },
                "is cut short: 2 keys and 100 tensors"},
        BadGguf{"NoKey", [](GgufFile* f) { f->pairs[0].first = ""; }, "key 0 has no name"},
        BadGguf{"KeyTwice", [](GgufFile* f) { f->pairs.push_back(f->pairs[0]); },
                "has the key \"general.architecture\" twice"},
        BadGguf{"LongKey", [](GgufFile* f) { f->pairs[0].first = std::string(65536, 'k'); },
                "the name of key 0 has a string of 65536 bytes, more than the 65535 allowed"}),
    NameOfBadGguf);

INSTANTIATE_TEST_SUITE_P(
    Value, GgufRefuses,
    ::testing::Values(
        BadGguf{"UnknownType", [](GgufFile* f) { f->Set("k", std::string("\x0D\0\0\0x", 5)); },
                "key \"k\" has the unknown type 13"},
        BadGguf{"BoolOfTwo", [](GgufFile* f) { f->Set("k", test::GgufBool(2)); },
                "key \"k\" is a bool that is neither 0 nor 1"},
        BadGguf{"StringPastTheEnd", [](GgufFile* f) { f->Set("k", LongString(10000)); },
                "is cut short in key \"k\""},
        BadGguf{"StringOverTheLimit",
                [](GgufFile* f) { f->Set("k", LongString(kMaxGgufStringBytes + 1)); },
                "key \"k\" has a string of 16777217 bytes, more than the 16777216 allowed"},
        BadGguf{"StringLengthWraps", [](GgufFile* f) { f->Set("k", LongString(kHuge)); },
                "key \"k\" has a string of 18446744073709551615 bytes"},
        BadGguf{"ArrayOfArrays",
                [](GgufFile* f) { f->Set("k", test::GgufArray(9, 1, std::string(12, '\0'))); },
                "key \"k\" is an array of arrays"},
        BadGguf{"ArrayOfUnknown", [](GgufFile* f) { f->Set("k", test::GgufArray(13, 1, "xxxx")); },
                "key \"k\" is an array of the unknown type 13"},
        BadGguf{"ArrayPastTheEnd",
                [](GgufFile* f) { f->Set("k", test::GgufArray(10, 100, "12345678")); },
                "is cut short in key \"k\""},
        BadGguf{"ArrayOverTheLimit",
                [](GgufFile* f) { f->Set("k", test::GgufArray(0, kMaxGgufArrayElements + 1, "")); },
                "key \"k\" has 16777217 elements, more than the 16777216 allowed"},
        // 2^61 + 1 elements of 8 bytes are 8 bytes, modulo 2^64.
        BadGguf{"ArraySizeWraps",
                [](GgufFile* f) {
                  f->Set("k", test::GgufArray(10, (uint64_t{1} << 61) + 1, "12345678"));
                },
                "key \"k\" has 2305843009213693953 elements"},
        BadGguf{"ArrayStringPastTheEnd",
                [](GgufFile* f) {
                  f->Set("k", test::GgufArray(8, 2, test::GgufText("a") + "\xFF\xFF"));
                },
                "key \"k\""},
        BadGguf{"AlignmentNoPowerOfTwo",
                [](GgufFile* f) { f->Set("general.alignment", test::GgufU32(48)); },
                "key \"general.alignment\" must be a power of two in [8, 65536], got 48"},
        BadGguf{"AlignmentZero", [](GgufFile* f) { f->Set("general.alignment", test::GgufU32(0)); },
                "got 0"},
        BadGguf{"AlignmentHuge",
                [](GgufFile* f) { f->Set("general.alignment", test::GgufU32(1u << 17)); },
                "got 131072"},
        BadGguf{"AlignmentAString",
                [](GgufFile* f) { f->Set("general.alignment", test::GgufString("32")); },
                "got \"32\""}),
    NameOfBadGguf);

INSTANTIATE_TEST_SUITE_P(
    Tensor, GgufRefuses,
    ::testing::Values(
        BadGguf{"NameTwice", [](GgufFile* f) { f->tensors[1].name = "a"; },
                "has the tensor \"a\" twice"},
        BadGguf{"NoName", [](GgufFile* f) { f->tensors[1].name = ""; }, "tensor 1 has no name"},
        BadGguf{"LongName", [](GgufFile* f) { f->tensors[0].name = std::string(65, 'n'); },
                "the name of tensor 0 has a string of 65 bytes, more than the 64 allowed"},
        BadGguf{"NoDimensions", [](GgufFile* f) { f->tensors[2].dimensions = {}; },
                "tensor \"c\" has 0 dimensions"},
        BadGguf{"FiveDimensions",
                [](GgufFile* f) {
                  f->tensors[2].dimensions = {2, 1, 1, 1, 1};
                },
                "tensor \"c\" has 5 dimensions"},
        BadGguf{"EmptyDimension",
                [](GgufFile* f) {
                  f->tensors[0].dimensions = {3, 0};
                },
                "tensor \"a\" has a dimension of 0"},
        BadGguf{"NegativeDimension",
                [](GgufFile* f) {
                  f->tensors[0].dimensions = {kHuge, 2};
                },
                "tensor \"a\" has a dimension of 18446744073709551615"},
        BadGguf{"UnsupportedType", [](GgufFile* f) { f->tensors[1].type = 13; },
                "tensor \"b\" has type Q5_K, which is not supported; these are: F32, F16, BF16, "
                "Q8_0, Q4_0, Q4_K, Q6_K"},
        BadGguf{"RemovedType", [](GgufFile* f) { f->tensors[1].type = 4; },
                "tensor \"b\" has type 4, which is not supported"},
        BadGguf{"UnknownType", [](GgufFile* f) { f->tensors[1].type = 0xFFFFFFFF; },
                "tensor \"b\" has type 4294967295, which"},
        BadGguf{"RowsOfNoWholeBlocks",
                [](GgufFile* f) {
                  f->tensors[1].dimensions = {16, 2};
                },
                "tensor \"b\" has rows of 16 elements, but Q8_0 has blocks of 32"},
        BadGguf{"RowsOfNoWholeSuperblocks",
                [](GgufFile* f) {
                  f->tensors[1].dimensions = {128, 2};
                  f->tensors[1].type = 12;
                },
                "tensor \"b\" has rows of 128 elements, but Q4_K has blocks of 256"},
        BadGguf{"Unaligned", [](GgufFile* f) { f->tensors[1].offset = 24; },
                "tensor \"b\" begins at 24, which is no multiple of the alignment 32"},
        BadGguf{"Overlap", [](GgufFile* f) { f->tensors[2].offset = 64; },
                "overlaps another tensor"},
        BadGguf{"SameBytesTwice", [](GgufFile* f) { f->tensors[1].offset = 0; },
                "overlaps another tensor"},
        BadGguf{"Hole", [](GgufFile* f) { f->tensors[2].offset = 128; },
                "tensor \"c\" leaves a hole before it, of 32 bytes"},
        BadGguf{"HoleAtTheStart",
                [](GgufFile* f) {
                  f->tensors.erase(f->tensors.begin() + 1, f->tensors.end());
                  f->tensors[0].offset = 32;
                },
                "tensor \"a\" leaves a hole before it, of 32 bytes"},
        BadGguf{"Truncated", [](GgufFile* f) { f->tensors[2].bytes = "wxy"; },
                "tensor \"c\", of 4 bytes at 96 of the data, passes the end of the file"},
        BadGguf{"BytesAfterTheLast", [](GgufFile* f) { f->trailing = std::string(29, '\0'); },
                "bytes after the last tensor"}),
    NameOfBadGguf);

// Classes of published vulnerabilities in readers of model files, each as it was exploited.
INSTANTIATE_TEST_SUITE_P(
    Vulnerability, GgufRefuses,
    ::testing::Values(
        // The sizes of all tensors, each padded, sum to little more than 2^64.
        BadGguf{"Cve2025_53630_SumOfSizesWraps",
                [](GgufFile* f) {
                  f->tensors.clear();
                  for (uint64_t i = 0; i < 5; ++i) {
                    f->tensors.push_back(
                        {"t" + std::to_string(i), {uint64_t{1} << 60}, 0, "1234", i << 62});
                  }
                },
                "passes the end of the file"},
        // Descriptions of so many tensors that the memory for them wraps.
        BadGguf{"Cve2026_27940_TensorTableWraps",
                [](GgufFile* f) { f->tensor_count = kHuge / 368 + 1; },
                "tensors, more than the 65536 allowed"},
        BadGguf{"Cve2026_27940_KeyTableWraps", [](GgufFile* f) { f->pair_count = kHuge; },
                "has 18446744073709551615 keys, more than the 65536 allowed"},
        // Dimensions whose product, or whose size in bytes, wraps to that of a small tensor.
        BadGguf{"Cve2026_33298_ElementsWrap",
                [](GgufFile* f) {
                  f->tensors[0].dimensions = {uint64_t{1} << 32, uint64_t{1} << 32, 1};
                },
                "tensor \"a\" has a shape whose product is too large"},
        BadGguf{"Cve2026_33298_BytesWrap",
                [](GgufFile* f) { f->tensors[0].dimensions = {(uint64_t{1} << 62) + 6}; },
                "tensor \"a\" has a shape whose size is too large"},
        BadGguf{"Cve2026_33298_BlocksBeyondAnyFile",
                [](GgufFile* f) {
                  f->tensors[1].dimensions = {32, uint64_t{1} << 57};
                },
                "tensor \"b\", of 4899916394579099648 bytes at 32 of the data, passes the end"},
        // A tensor whose extent lies behind the end of the file, so that reading it leaks memory.
        BadGguf{"Cve2026_7482_ExtentBehindTheFile",
                [](GgufFile* f) { f->tensors[2].dimensions = {1 << 20}; },
                "tensor \"c\", of 2097152 bytes at 96 of the data, passes the end of the file"},
        BadGguf{"Cve2026_7482_OffsetWraps",
                [](GgufFile* f) {
                  f->tensors.erase(f->tensors.begin() + 1, f->tensors.end());
                  f->tensors[0].offset = kHuge - 31;
                },
                "tensor \"a\" leaves a hole"}),
    NameOfBadGguf);

// Every byte, cut off there or flipped: refused, or still a file whose parts lie within it.
TEST(Gguf, StaysWithinAFileDamagedAtAnyByte) {
  GgufFile file = SmallFile();
  file.Set("strings", test::GgufStringArray({"ab", "c"}));
  const std::string good = file.Bytes();
  const auto check = [](const std::string& bytes) {
    const auto gguf = ParseFile(bytes);
    if (!gguf.ok()) return;
    const auto* start = reinterpret_cast<const std::byte*>(bytes.data());
    for (const TensorInfo& tensor : gguf->tensors()) {
      EXPECT_GE(tensor.data, start);
      EXPECT_LE(tensor.data + tensor.bytes, start + bytes.size());
    }
    for (const auto& [key, value] : gguf->metadata()) {
      const auto strings = value.AsStrings();
      if (!strings) continue;
      for (const std::string_view text : *strings) {
        EXPECT_LE(text.data() + text.size(), bytes.data() + bytes.size());
      }
    }
  };
  for (size_t at = 0; at < good.size(); ++at) {
    EXPECT_FALSE(ParseFile(good.substr(0, at)).ok()) << "cut at " << at;
    for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      check(bad);
    }
  }
}

TEST(Gguf, CutsLongNamesInErrors) {
  GgufFile file = SmallFile();
  file.Set(std::string(10000, 'n'), test::GgufBool(2));
  EXPECT_LT(ParseFile(file.Bytes()).status().message().size(), 300u);
}

}  // namespace
}  // namespace ssmd
