#include "engine/formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/safetensors_writer.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using testing::SafetensorsFile;
using testing::SafetensorsWithHeader;

absl::StatusOr<std::vector<TensorInfo>> ParseTensors(const std::string& file) {
  return ParseSafetensors(reinterpret_cast<const std::byte*>(file.data()), file.size(), "m.st");
}

const char kOne[] = R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})";

TEST(Safetensors, FindsEveryTensorWithItsBytes) {
  const std::string file = SafetensorsFile({{"a", testing::F32Tensor({2, 1}, {1.5f, -2})},
                                            {"b", {"BF16", {3}, "abcdef"}},
                                            {"empty", {"F32", {0, 7}, ""}},
                                            {"scalar", {"I64", {}, "12345678"}}});
  const auto tensors = ParseTensors(file);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::map<std::string, TensorInfo> by_name;
  for (const TensorInfo& tensor : *tensors) by_name[tensor.name] = tensor;
  ASSERT_EQ(by_name.size(), 4u);
  EXPECT_THAT(by_name["a"].shape, ::testing::ElementsAre(2, 1));
  EXPECT_EQ(by_name["a"].type, TensorType::kF32);
  EXPECT_EQ(by_name["b"].type, TensorType::kBf16);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(by_name["b"].data), 6), "abcdef");
  EXPECT_EQ(by_name["empty"].elements, 0);
  EXPECT_EQ(by_name["scalar"].elements, 1);
}

TEST(Safetensors, AdmitsMetadataPaddingAndNoTensors) {
  EXPECT_TRUE(ParseTensors(SafetensorsWithHeader("{}", "")).ok());
  EXPECT_TRUE(
      ParseTensors(SafetensorsWithHeader("{\"__metadata__\": {\"format\": \"pt\"}}    ", "")).ok());
}

TEST(Safetensors, KnowsTheSizeOfEveryType) {
  const std::map<std::string, size_t> sizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
      {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};
  for (const auto& [name, size] : sizes) {
    const std::string file = SafetensorsFile({{"t", {name, {3}, std::string(3 * size, 'x')}}});
    const auto tensors = ParseTensors(file);
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_EQ(TensorTypeName(tensors->front().type), name);
    EXPECT_EQ(TensorTypeBytes(tensors->front().type), size);
  }
}

struct BadFile {
  const char* name;
  std::string file;
  const char* error;
};

class SafetensorsRefuses : public ::testing::TestWithParam<BadFile> {};

TEST_P(SafetensorsRefuses, NamingTheFileAndTheReason) {
  const auto tensors = ParseTensors(GetParam().file);
  ASSERT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tensors.status().message()), ::testing::StartsWith("m.st"));
  EXPECT_THAT(std::string(tensors.status().message()), HasSubstr(GetParam().error));
}

std::string Entry(const std::string& fields, size_t data_bytes = 8) {
  return SafetensorsWithHeader("{\"a\": {" + fields + "}}", std::string(data_bytes, 'x'));
}

std::string Two(const std::string& first, const std::string& second, size_t data_bytes) {
  const std::string type = R"({"dtype": "U8", "shape": [4], "data_offsets": )";
  return SafetensorsWithHeader("{\"a\": " + type + first + "}, \"b\": " + type + second + "}}",
                               std::string(data_bytes, 'x'));
}

std::string Length(uint64_t length, const std::string& rest) {
  std::string file = SafetensorsWithHeader("", rest);
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(length >> (8 * i));
  return file;
}

INSTANTIATE_TEST_SUITE_P(
    Header, SafetensorsRefuses,
    ::testing::Values(
        BadFile{"Empty", "", "too short"}, BadFile{"SevenBytes", "1234567", "too short"},
        BadFile{"LengthOnly", Length(2, ""), "cut short"},
        BadFile{"NoHeader", Length(0, ""), "does not open"},
        BadFile{"LengthPastTheEnd", Length(100, "{}"), "cut short"},
        BadFile{"LengthAbsurd", Length(UINT64_MAX, "{}"), "more than the 100000000"},
        BadFile{"LengthJustOverTheCap", Length(100'000'001, "{}"), "more than the 100000000"},
        BadFile{"LengthAtTheCap", Length(100'000'000, "{}"), "cut short"},
        BadFile{"LengthCutsTheHeader", Length(20, std::string(kOne) + "xxxxxxxx"), "byte 20"},
        BadFile{"NotAnObject", SafetensorsWithHeader("[]", ""), "does not open"},
        BadFile{"LeadingSpace", SafetensorsWithHeader(" {}", ""), "does not open"},
        BadFile{"NotJson", SafetensorsWithHeader("{]", ""), "byte 1"},
        BadFile{"Pickle", std::string("PK\x03\x04") + std::string(60, 'x'), "more than"},
        BadFile{"Bomb", SafetensorsWithHeader("{\"a\":" + std::string(100000, '['), ""), "deeper"},
        BadFile{"NulInHeader", SafetensorsWithHeader(std::string("{\0}", 3), ""), "NUL"},
        BadFile{"DuplicateTensor",
                SafetensorsWithHeader(
                    std::string(kOne, sizeof(kOne) - 2) + ", " + std::string(kOne + 1), "12345678"),
                "duplicate key"},
        BadFile{"MetadataOfNumbers", SafetensorsWithHeader(R"({"__metadata__": {"a": 1}})", ""),
                "__metadata__"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Tensor, SafetensorsRefuses,
    ::testing::Values(
        BadFile{"NoType", Entry(R"("shape": [8], "data_offsets": [0, 8])"), "exactly"},
        BadFile{"NoShape", Entry(R"("dtype": "U8", "data_offsets": [0, 8])"), "exactly"},
        BadFile{"NoOffsets", Entry(R"("dtype": "U8", "shape": [8])"), "exactly"},
        BadFile{"ExtraField",
                Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [0, 8], "x": 1)"), "exactly"},
        BadFile{"NotAnEntry", SafetensorsWithHeader(R"({"a": 3})", ""), "exactly"},
        BadFile{"UnknownType", Entry(R"("dtype": "F4", "shape": [8], "data_offsets": [0, 8])"),
                "unknown dtype \"F4\""},
        BadFile{"TypeNotAString", Entry(R"("dtype": 1, "shape": [8], "data_offsets": [0, 8])"),
                "unknown dtype 1"},
        BadFile{"NegativeDimension",
                Entry(R"("dtype": "U8", "shape": [-8], "data_offsets": [0, 8])"), "dimension -8"},
        BadFile{"FloatDimension", Entry(R"("dtype": "U8", "shape": [8.0], "data_offsets": [0, 8])"),
                "dimension 8"},
        BadFile{"HugeDimension",
                Entry(R"("dtype": "U8", "shape": [18446744073709551616], "data_offsets": [0, 8])"),
                "dimension"},
        BadFile{
            "ProductOverflows",
            Entry(R"("dtype": "U8", "shape": [4294967296, 4294967296], "data_offsets": [0, 8])"),
            "too large"},
        BadFile{
            "BytesOverflow",
            Entry(R"("dtype": "F64", "shape": [2305843009213693952], "data_offsets": [0, 0])", 0),
            "does not take"},
        // CVE-2026-33298's class: a size in bytes that wraps to the one that the extent has.
        BadFile{"BytesWrapToTheExtent",
                Entry(R"("dtype": "F64", "shape": [2305843009213693953], "data_offsets": [0, 8])"),
                "does not take"},
        // Types of blocks are GGUF's alone.
        BadFile{"BlockType",
                Entry(R"("dtype": "Q8_0", "shape": [32], "data_offsets": [0, 34])", 34),
                "unknown dtype \"Q8_0\""},
        BadFile{"NineDimensions",
                Entry(R"("dtype": "U8", "shape": [8,1,1,1,1,1,1,1,1], "data_offsets": [0, 8])"),
                "more than 8 dimensions"},
        BadFile{"ShapeSmallerThanExtent",
                Entry(R"("dtype": "U8", "shape": [7], "data_offsets": [0, 8])"), "does not take"},
        BadFile{"ShapeLargerThanExtent",
                Entry(R"("dtype": "F32", "shape": [3], "data_offsets": [0, 8])"), "does not take"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Extent, SafetensorsRefuses,
    ::testing::Values(
        BadFile{"PastTheEnd", Entry(R"("dtype": "U8", "shape": [9], "data_offsets": [0, 9])"),
                "passes the end"},
        BadFile{"Truncated", Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [0, 8])", 7),
                "passes the end"},
        BadFile{"Descending", Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [8, 0])"),
                "ascending pair"},
        BadFile{"NegativeOffset", Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [-8, 0])"),
                "ascending pair"},
        BadFile{"HugeOffset", Entry(R"("dtype": "U8", "shape": [8],
                         "data_offsets": [9223372036854775800, 9223372036854775807])"),
                "passes the end"},
        // CVE-2025-53630's class: extents whose sum wraps.
        BadFile{"SumOfExtentsWraps",
                SafetensorsWithHeader(
                    R"({"a": {"dtype": "U8", "shape": [9223372036854775807],
                              "data_offsets": [0, 9223372036854775807]},
                        "b": {"dtype": "U8", "shape": [9223372036854775807],
                              "data_offsets": [0, 9223372036854775807]},
                        "c": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})",
                    "abcd"),
                "passes the end"},
        BadFile{"FloatOffset", Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [0, 8.5])"),
                "ascending pair"},
        BadFile{"ThreeOffsets", Entry(R"("dtype": "U8", "shape": [8], "data_offsets": [0, 4, 8])"),
                "not a pair"},
        BadFile{"Overlap", Two("[0, 4]", "[2, 6]", 6), "overlaps another tensor"},
        BadFile{"SameBytesTwice", Two("[0, 4]", "[0, 4]", 4), "overlaps another tensor"},
        BadFile{"Hole", Two("[0, 4]", "[5, 9]", 9), "leaves a hole"},
        BadFile{"HoleAtTheStart", Two("[1, 5]", "[5, 9]", 9), "leaves a hole"},
        BadFile{"BytesAfterTheLast", Two("[0, 4]", "[4, 8]", 9), "1 bytes after the last"}),
    [](const auto& test) { return test.param.name; });

// Every byte of a header, cut off there or flipped: refused, or still a file whose tensors lie
// within it.
TEST(Safetensors, StaysWithinAFileDamagedAtAnyByte) {
  const std::string good = SafetensorsFile(
      {{"a", testing::F32Tensor({2, 2}, {1, 2, 3, 4})}, {"b", {"BF16", {3}, "abcdef"}}});
  for (size_t at = 0; at < good.size(); ++at) {
    EXPECT_FALSE(ParseTensors(good.substr(0, at)).ok()) << "cut at " << at;
    for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const auto tensors = ParseTensors(bad);
      if (!tensors.ok()) continue;
      for (const TensorInfo& tensor : *tensors) {
        const auto* start = reinterpret_cast<const std::byte*>(bad.data());
        EXPECT_GE(tensor.data, start);
        EXPECT_LE(tensor.data + tensor.bytes, start + bad.size());
      }
    }
  }
}

TEST(Safetensors, CutsLongNamesInErrors) {
  const std::string name(10000, 'n');
  const auto tensors = ParseTensors(SafetensorsWithHeader("{\"" + name + "\": 1}", ""));
  EXPECT_LT(tensors.status().message().size(), 300u);
}

}  // namespace
}  // namespace ssmd
