#include "engine/formats/torch_zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/torch_zip_writer.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using testing::FloatBytes;
using ::testing::HasSubstr;
using testing::MakeZip;
using testing::PickledStateDict;
using testing::PickledTensorCall;
using testing::TorchTensor;
using testing::WholeStorage;
using testing::ZipEntryToWrite;

absl::StatusOr<std::vector<TensorInfo>> ParseTorch(const std::string& file) {
  return ParseTorchZip(reinterpret_cast<const std::byte*>(file.data()), file.size(), "m.bin");
}

std::vector<float> Floats(const TensorInfo& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements));
  std::memcpy(values.data(), tensor.data, tensor.bytes);
  return values;
}

// Tensors over one storage "0" of eight floats, 0 to 7.
std::string OverOneStorage(const std::vector<std::pair<std::string, TorchTensor>>& tensors,
                           const std::vector<ZipEntryToWrite>& more = {}) {
  std::vector<std::pair<std::string, std::string>> items;
  items.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) items.emplace_back(name, PickledTensorCall(tensor));
  std::vector<ZipEntryToWrite> entries = {
      {"m/data.pkl", PickledStateDict(items), {}, {}},
      {"m/data/0", FloatBytes({0, 1, 2, 3, 4, 5, 6, 7}), {}, {}}};
  entries.insert(entries.end(), more.begin(), more.end());
  return MakeZip(entries).bytes;
}

TorchTensor Part(int64_t offset, std::vector<int64_t> shape, std::vector<int64_t> strides,
                 int64_t storage_elements = 8) {
  return {"0", std::move(shape), std::move(strides), offset, storage_elements, "FloatStorage"};
}

TEST(TorchZip, FindsEveryTensorWithItsBytes) {
  const std::string file = testing::TorchFile({{"b", {1.5f, -2}}, {"a", {3}}, {"empty", {}}});
  const auto tensors = ParseTorch(file);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ((*tensors)[0].name, "b");
  EXPECT_EQ((*tensors)[0].type, TensorType::kF32);
  EXPECT_THAT((*tensors)[0].shape, ElementsAre(2));
  EXPECT_THAT(Floats((*tensors)[0]), ElementsAre(1.5f, -2));
  EXPECT_THAT(Floats((*tensors)[1]), ElementsAre(3));
  EXPECT_EQ((*tensors)[2].elements, 0);
  EXPECT_EQ((*tensors)[2].bytes, 0u);
}

// A tied head is the embedding's storage under a second name; a slice is a part of one.
TEST(TorchZip, LetsTensorsShareAStorage) {
  const std::string file = OverOneStorage({{"embedding", Part(0, {4, 2}, {2, 1})},
                                           {"head", Part(0, {4, 2}, {2, 1})},
                                           {"slice", Part(3, {5}, {1})},
                                           {"scalar", Part(7, {}, {})}});
  const auto tensors = ParseTorch(file);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ((*tensors)[0].data, (*tensors)[1].data);
  EXPECT_EQ((*tensors)[1].elements, 8);
  EXPECT_THAT(Floats((*tensors)[2]), ElementsAre(3, 4, 5, 6, 7));
  EXPECT_THAT(Floats((*tensors)[3]), ElementsAre(7));
}

TEST(TorchZip, MindsOnlyTheStridesThatSayWhereElementsAre) {
  const std::string file = OverOneStorage({{"one", Part(0, {4, 1, 2}, {2, 77, 1})},
                                           {"none", Part(0, {0, 3}, {1, -5})},
                                           {"first", Part(0, {1}, {0})}});
  const auto tensors = ParseTorch(file);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(Floats((*tensors)[0]), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(TorchZip, PassesOverTheEntriesThatOtherVersionsOfTorchAdd) {
  const std::string file =
      OverOneStorage({{"t", Part(0, {8}, {1})}}, {{"m/.format_version", "1", {}, {}},
                                                  {"m/.storage_alignment", "64", {}, {}},
                                                  {"m/byteorder", "little", {}, {}},
                                                  {"m/version", "3\n", {}, {}},
                                                  {"m/.data/serialization_id", "123", {}, {}}});
  EXPECT_TRUE(ParseTorch(file).ok()) << ParseTorch(file).status();
}

struct BadTorchFile {
  const char* name;
  std::string file;
  const char* error;
};

class TorchZipRefuses : public ::testing::TestWithParam<BadTorchFile> {};

TEST_P(TorchZipRefuses, NamingTheFileAndTheReason) {
  const auto tensors = ParseTorch(GetParam().file);
  ASSERT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tensors.status().message()), ::testing::StartsWith("m.bin: "));
  EXPECT_THAT(std::string(tensors.status().message()), HasSubstr(GetParam().error));
}

std::string One(const TorchTensor& tensor) { return OverOneStorage({{"t", tensor}}); }

constexpr int64_t kHugeSize = std::numeric_limits<int64_t>::max();

INSTANTIATE_TEST_SUITE_P(
    Tensor, TorchZipRefuses,
    ::testing::Values(
        BadTorchFile{"Transposed", One(Part(0, {4, 2}, {1, 4})),
                     "tensor \"t\": its elements do not lie row by row: shape [4, 2] with strides "
                     "[1, 4] (deploy/convert_checkpoint.py may"},
        BadTorchFile{"EverySecond", One(Part(0, {4}, {2})), "row by row"},
        BadTorchFile{"Backwards", One(Part(7, {8}, {-1})), "passes the end of its storage"},
        BadTorchFile{"BackwardsWithin", One(Part(1, {2}, {-1})), "row by row"},
        BadTorchFile{"Repeated", One(Part(0, {4, 2}, {0, 1})), "row by row"},
        BadTorchFile{"PastTheEnd", One(Part(1, {8}, {1})), "passes the end of its storage of 8"},
        BadTorchFile{"OffsetPastTheEnd", One(Part(9, {0}, {1})), "passes the end of its storage"},
        BadTorchFile{"HugeOffset", One(Part(kHugeSize, {8}, {1})), "passes the end of its storage"},
        BadTorchFile{"HugeDimension", One(Part(0, {kHugeSize}, {1})),
                     "passes the end of its storage"},
        BadTorchFile{"ProductOverflows", One(Part(0, {kHugeSize, 3}, {3, 1})), "too large"},
        BadTorchFile{"ProductWraps",
                     One(Part(0, {int64_t{1} << 32, int64_t{1} << 32, 4}, {4, 4, 1})), "too large"},
        BadTorchFile{"StorageShorterThanItSays", One(Part(0, {9}, {1}, 9)),
                     "its storage of 9 elements of F32 has 32 bytes"},
        BadTorchFile{"StorageLongerThanItSays", One(Part(0, {7}, {1}, 7)),
                     "its storage of 7 elements of F32 has 32 bytes"},
        BadTorchFile{"StorageBytesOverflow", One(Part(0, {8}, {1}, (int64_t{1} << 62) + 8)),
                     "its storage of 4611686018427387912 elements"},
        BadTorchFile{"StorageAbsent", One(WholeStorage("1", {2})), "storage data/\"1\" is absent"},
        BadTorchFile{"StorageElsewhere", One(WholeStorage("../data.pkl", {2})), "is absent"},
        BadTorchFile{"StorageWithoutAName", One(WholeStorage("", {2})), "is absent"}),
    [](const auto& test) { return test.param.name; });

std::string WithPickle(const std::string& pickle) {
  return MakeZip({{"m/data.pkl", pickle, {}, {}}}).bytes;
}

INSTANTIATE_TEST_SUITE_P(
    File, TorchZipRefuses,
    ::testing::Values(
        BadTorchFile{"Empty", "", "too short"},
        BadTorchFile{"Text", "no checkpoint at all, but some text", "does not end like a zip"},
        BadTorchFile{"LegacyPickle",
                     "\x80\x2\x8a\nl\xfc\x9c"
                     "F\xf9 j\xa8P\x19.",
                     "before version 1.6 (deploy/convert_checkpoint.py"},
        BadTorchFile{"NoEntries", MakeZip({}).bytes, "no data.pkl"},
        BadTorchFile{"NoPickle", MakeZip({{"m/data/0", "1234", {}, {}}}).bytes, "no data.pkl"},
        BadTorchFile{"PickleWithoutAFolder", MakeZip({{"data.pkl", "", {}, {}}}).bytes,
                     "is not in a folder"},
        BadTorchFile{"PickleTooDeep", MakeZip({{"m/n/data.pkl", "", {}, {}}}).bytes, "no data.pkl"},
        BadTorchFile{"TwoFolders", OverOneStorage({}, {{"other/data.pkl", "", {}, {}}}),
                     "not in the folder \"m\" of the others"},
        BadTorchFile{"BigEndian", OverOneStorage({}, {{"m/byteorder", "big", {}, {}}}),
                     "its byte order is \"big\""},
        BadTorchFile{"NoByteOrder", OverOneStorage({}, {{"m/byteorder", "", {}, {}}}),
                     "its byte order is \"\""},
        BadTorchFile{"Attack",
                     WithPickle("\x80\x2"
                                "cos\nsystem\n."),
                     "m.bin: data.pkl: byte 2: refers to \"os.system\", which has no place in a "
                     "dict of tensors; nothing in a pickle is executed (deploy/"},
        BadTorchFile{"EmptyPickle", WithPickle(""), "data.pkl: byte 0: the pickle is cut short"}),
    [](const auto& test) { return test.param.name; });

TEST(TorchZip, RefusesEveryFileThatIsCutShort) {
  const std::string whole = testing::TorchFile({{"a", {1, 2}}});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseTorch(whole.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace ssmd
