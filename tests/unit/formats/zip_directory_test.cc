#include "engine/formats/zip_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/torch_zip_writer.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using testing::MakeZip;
using testing::ZipEntryToWrite;
using testing::ZipFile;

// Offsets of fields in a directory entry, a header and the records at the end.
constexpr size_t kFlags = 8, kMethod = 10, kStoredBytes = 20, kBytes = 24, kDisk = 34,
                 kHeaderAt = 42;
constexpr size_t kLocalFlags = 6, kLocalMethod = 8, kLocalBytes = 22, kLocalNameBytes = 26,
                 kLocalExtraBytes = 28, kLocalName = 30;
constexpr size_t kEndDisk = 4, kEndCount = 10, kEndDirectoryBytes = 12, kEndDirectoryAt = 16,
                 kEndComment = 20;
constexpr size_t kEnd64Count = 32, kEnd64DirectoryBytes = 40, kEnd64DirectoryAt = 48, kLocator = 56;

ZipFile TwoEntries(bool zip64 = true) {
  return MakeZip({{"m/a", "first", {}, {}}, {"m/b", "second!", {}, std::string("FB\4\0ZZZZ", 8)}},
                 zip64);
}

std::vector<std::string> Names(const std::vector<ZipEntry>& entries) {
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const ZipEntry& entry : entries) names.emplace_back(entry.name);
  return names;
}

TEST(ZipDirectory, FindsEveryEntryWithItsBytes) {
  for (const bool zip64 : {false, true}) {
    const ZipFile file = MakeZip({{"m/a", "first", {}, {}},
                                  {"m/empty", "", {}, {}},
                                  {"m/b", "b", {}, std::string("FB\2\0ZZ", 6)}},
                                 zip64);
    const auto entries = ReadZipDirectory(file.bytes, "m.zip");
    ASSERT_TRUE(entries.ok()) << entries.status();
    EXPECT_THAT(Names(*entries), ::testing::ElementsAre("m/a", "m/empty", "m/b"));
    EXPECT_EQ((*entries)[0].bytes, "first");
    EXPECT_EQ((*entries)[1].bytes, "");
    EXPECT_EQ((*entries)[2].bytes, "b");
  }
  EXPECT_TRUE(ReadZipDirectory(MakeZip({}).bytes, "m.zip").ok());
}

std::string Zip64Sizes(const std::vector<uint64_t>& values) {
  std::string out;
  PutLittleEndian<uint16_t>(&out, 1);
  PutLittleEndian<uint16_t>(&out, static_cast<uint16_t>(8 * values.size()));
  for (const uint64_t value : values) PutLittleEndian<uint64_t>(&out, value);
  return out;
}

TEST(ZipDirectory, TakesSizesAndOffsetsFromZip64FieldsWhereTheOthersAreFull) {
  const std::string padding("ab\2\0xx", 6);
  const ZipFile plain = MakeZip({{"m/a", "first", padding + Zip64Sizes({5, 5, 0}), {}}});
  const size_t entry = plain.entries[0];
  const ZipFile wide = plain.With<uint32_t>(entry + kBytes, UINT32_MAX)
                           .With<uint32_t>(entry + kStoredBytes, UINT32_MAX)
                           .With<uint32_t>(entry + kHeaderAt, UINT32_MAX)
                           .With<uint32_t>(plain.headers[0] + kLocalBytes, UINT32_MAX);
  const auto entries = ReadZipDirectory(wide.bytes, "m.zip");
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(entries->front().bytes, "first");

  const ZipFile ends = plain.With<uint16_t>(plain.end + kEndCount, UINT16_MAX)
                           .With<uint16_t>(plain.end + kEndCount - 2, UINT16_MAX)
                           .With<uint32_t>(plain.end + kEndDirectoryBytes, UINT32_MAX)
                           .With<uint32_t>(plain.end + kEndDirectoryAt, UINT32_MAX);
  EXPECT_TRUE(ReadZipDirectory(ends.bytes, "m.zip").ok());
}

TEST(ZipDirectory, RefusesEveryFileThatIsCutShort) {
  const std::string whole = TwoEntries().bytes;
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ReadZipDirectory(whole.substr(0, size), "m.zip").ok()) << size;
  }
  EXPECT_FALSE(ReadZipDirectory(whole + "x", "m.zip").ok());
  EXPECT_FALSE(ReadZipDirectory("x" + whole, "m.zip").ok());
}

struct BadZip {
  const char* name;
  ZipFile file;
  const char* error;
};

class ZipDirectoryRefuses : public ::testing::TestWithParam<BadZip> {};

TEST_P(ZipDirectoryRefuses, NamingTheFileAndTheReason) {
  const auto entries = ReadZipDirectory(GetParam().file.bytes, "m.zip");
  ASSERT_EQ(entries.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(entries.status().message()), ::testing::StartsWith("m.zip: "));
  EXPECT_THAT(std::string(entries.status().message()), HasSubstr(GetParam().error));
}

// A field of the second entry in the directory; of its header; of the records at the end.
template <typename T>
ZipFile InDirectory(size_t field, T value) {
  return TwoEntries().With<T>(TwoEntries().entries[1] + field, value);
}
template <typename T>
ZipFile InHeader(size_t field, T value) {
  return TwoEntries().With<T>(TwoEntries().headers[1] + field, value);
}
template <typename T>
ZipFile InEnd(size_t field, T value) {
  return TwoEntries(false).With<T>(TwoEntries(false).end + field, value);
}
template <typename T>
ZipFile InZip64End(size_t field, T value) {
  return TwoEntries().With<T>(TwoEntries().zip64_end + field, value);
}

ZipFile ZipNamed(const std::string& name) { return MakeZip({{name, "x", {}, {}}}); }
ZipFile WithExtra(const std::string& extra, uint32_t bytes = UINT32_MAX) {
  const ZipFile file = MakeZip({{"m/a", "first", extra, {}}});
  return file.With<uint32_t>(file.entries[0] + kBytes, bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Ends, ZipDirectoryRefuses,
    ::testing::Values(
        BadZip{"NoEnd", InEnd<uint32_t>(0, 0), "does not end like a zip file"},
        BadZip{"Comment", InEnd<uint16_t>(kEndComment, 7), "does not end like a zip file"},
        BadZip{"OneOfSeveralDisks", InEnd<uint16_t>(kEndDisk, 1), "several"},
        BadZip{"MoreEntriesElsewhere", InEnd<uint16_t>(kEndCount - 2, 1), "several"},
        BadZip{"DirectoryTooLong", InEnd<uint32_t>(kEndDirectoryBytes, UINT32_MAX),
               "does not end at"},
        BadZip{"DirectoryElsewhere", InEnd<uint32_t>(kEndDirectoryAt, 3), "does not end at"},
        BadZip{"LocatorElsewhere", InZip64End<uint64_t>(kLocator + 8, 1), "locator"},
        BadZip{"LocatorOfTwoDisks", InZip64End<uint32_t>(kLocator + 16, 2), "locator"},
        BadZip{"NoRecord", InZip64End<uint32_t>(0, 0), "zip64 end record"},
        BadZip{"RecordOfAnotherLength", InZip64End<uint64_t>(4, UINT64_MAX), "zip64 end record"},
        BadZip{"CountsDisagree",
               InZip64End<uint64_t>(kEnd64Count, 3)
                   .With<uint64_t>(TwoEntries().zip64_end + kEnd64Count - 8, 3),
               "disagree"},
        BadZip{"LengthsDisagree", InZip64End<uint64_t>(kEnd64DirectoryBytes, 1), "disagree"},
        BadZip{"PlacesDisagree", InZip64End<uint64_t>(kEnd64DirectoryAt, UINT64_MAX), "disagree"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Entries, ZipDirectoryRefuses,
    ::testing::Values(
        BadZip{"NoSignature", InDirectory<uint32_t>(0, 0), "no directory entry"},
        BadZip{"NamePassesTheDirectory", InDirectory<uint16_t>(28, UINT16_MAX),
               "passes the directory"},
        BadZip{"ExtraPassesTheDirectory", InDirectory<uint16_t>(30, 5000), "passes the directory"},
        BadZip{"CommentPassesTheDirectory", InDirectory<uint16_t>(32, 1), "passes the directory"},
        BadZip{"Encrypted", InDirectory<uint16_t>(kFlags, 0x0809), "flags 0x0809"},
        BadZip{"Deflated", InDirectory<uint16_t>(kMethod, 8), "is compressed (method 8"},
        // A bomb: a few bytes that claim to become many.
        BadZip{"Bomb", InDirectory<uint32_t>(kBytes, 0xFFFFFFFE),
               "is compressed (method 0, 7 bytes for"},
        BadZip{"OnAnotherDisk", InDirectory<uint16_t>(kDisk, 1), "on another disk"},
        BadZip{"HeaderOutside", InDirectory<uint32_t>(kHeaderAt, 0xFFFFFFFE),
               "no room for its header"},
        BadZip{"HeaderInTheDirectory",
               InDirectory<uint32_t>(kHeaderAt, static_cast<uint32_t>(TwoEntries().entries[0])),
               "no room for its header"},
        BadZip{"DataOutside",
               InDirectory<uint32_t>(kBytes, 5000)
                   .With<uint32_t>(TwoEntries().entries[1] + kStoredBytes, 5000),
               "passes the end of the data"},
        BadZip{"Zip64SizesMissing", WithExtra(""), "lacks its zip64 sizes"},
        BadZip{"Zip64SizesShort", WithExtra(Zip64Sizes({})), "lacks its zip64 sizes"},
        BadZip{"Zip64SizesTwice", WithExtra(Zip64Sizes({5}) + Zip64Sizes({5})), "twice"},
        BadZip{"Zip64SizesHuge", WithExtra(Zip64Sizes({UINT64_MAX})), "is compressed"},
        BadZip{"ExtraMalformed", WithExtra(std::string("ab\7\0x", 5)), "malformed extra"},
        BadZip{"ExtraCutShort", WithExtra("ab"), "malformed extra"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Headers, ZipDirectoryRefuses,
    ::testing::Values(
        BadZip{"NoSignature", InHeader<uint32_t>(0, 0), "has no header"},
        BadZip{"OtherFlags", InHeader<uint16_t>(kLocalFlags, 0), "does not say what"},
        BadZip{"OtherMethod", InHeader<uint16_t>(kLocalMethod, 8), "does not say what"},
        BadZip{"OtherSize", InHeader<uint32_t>(kLocalBytes, 6), "does not say what"},
        BadZip{"OtherName", InHeader<char>(kLocalName, 'x'), "does not say what"},
        BadZip{"ShorterName", InHeader<uint16_t>(kLocalNameBytes, 2), "does not say what"},
        BadZip{"NamePassesTheData", InHeader<uint16_t>(kLocalNameBytes, UINT16_MAX),
               "passes the end"},
        BadZip{"ExtraPassesTheData", InHeader<uint16_t>(kLocalExtraBytes, UINT16_MAX),
               "passes the end"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Names, ZipDirectoryRefuses,
    ::testing::Values(BadZip{"Empty", ZipNamed(""), "plain relative path"},
                      BadZip{"Absolute", ZipNamed("/etc/passwd"), "plain relative path"},
                      BadZip{"Upwards", ZipNamed("m/../../etc/passwd"), "plain relative path"},
                      BadZip{"UpwardsAtTheEnd", ZipNamed("m/.."), "plain relative path"},
                      BadZip{"Here", ZipNamed("./m"), "plain relative path"},
                      BadZip{"EmptyPart", ZipNamed("m//a"), "plain relative path"},
                      BadZip{"Folder", ZipNamed("m/"), "plain relative path"},
                      BadZip{"Backslash", ZipNamed("m\\..\\a"), "plain relative path"},
                      BadZip{"Nul", ZipNamed(std::string("m/a\0b", 5)), "plain relative path"}),
    [](const auto& test) { return test.param.name; });

ZipFile CountedAs(uint64_t count) {
  const ZipFile file = TwoEntries();
  return file.With<uint64_t>(file.zip64_end + kEnd64Count, count)
      .With<uint64_t>(file.zip64_end + kEnd64Count - 8, count)
      .With<uint16_t>(file.end + kEndCount, UINT16_MAX)
      .With<uint16_t>(file.end + kEndCount - 2, UINT16_MAX);
}

// The second entry's header lies within the first one's bytes.
ZipFile HeaderWithinData() {
  const std::string inner = MakeZip({{"m/b", "x", {}, {}}}).bytes;
  const ZipFile file = MakeZip({{"m/a", inner, {}, {}}, {"m/b", "x", {}, {}}});
  return file.With<uint32_t>(file.entries[1] + kHeaderAt, 33);
}

INSTANTIATE_TEST_SUITE_P(
    Together, ZipDirectoryRefuses,
    ::testing::Values(
        BadZip{"FewerEntriesThanTheDirectory", CountedAs(1), "bytes after the directory's last"},
        BadZip{"MoreEntriesThanTheDirectory", CountedAs(3), "cannot hold the 3 entries"},
        BadZip{"AbsurdlyManyEntries", CountedAs(UINT64_MAX), "cannot hold the"},
        BadZip{"TheSameNameTwice", MakeZip({{"m/a", "x", {}, {}}, {"m/a", "y", {}, {}}}), "twice"},
        BadZip{"OneEntryWithinAnother", HeaderWithinData(), "lies over entry \"m/a\""}),
    [](const auto& test) { return test.param.name; });

TEST(ZipDirectory, BoundsTheNumberOfEntries) {
  std::vector<ZipEntryToWrite> entries;
  for (size_t i = 0; i <= kMaxZipEntries; ++i)
    entries.push_back({absl::StrCat("m/", i), "", {}, {}});
  const auto make = [&] {
    const ZipFile file = MakeZip(entries);  // counts past 65,535 are in the zip64 record
    return file.With<uint16_t>(file.end + kEndCount, UINT16_MAX)
        .With<uint16_t>(file.end + kEndCount - 2, UINT16_MAX)
        .bytes;
  };
  const auto over = ReadZipDirectory(make(), "m.zip");
  EXPECT_THAT(std::string(over.status().message()), HasSubstr("131073 entries, more than"));
  entries.pop_back();
  EXPECT_TRUE(ReadZipDirectory(make(), "m.zip").ok());
}

}  // namespace
}  // namespace ssmd
