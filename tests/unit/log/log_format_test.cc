#include "engine/log/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ssmd {
namespace {

// The bytes of files that exist do not change.
TEST(LogFormat, IsWhatTheReadmeSays) {
  LogFileHeader header;
  header.kind = LogFileKind::kSegment;
  header.number = 3;
  header.salt = 0x1122334455667788;
  header.previous_bytes = 258;
  const std::string bytes = EncodeLogFileHeader(header);
  ASSERT_EQ(bytes.size(), 48u);
  EXPECT_EQ(bytes.substr(0, 40), std::string("SSMD-LOG"
                                             "\x01\0\0\0"
                                             "\x01\0\0\0"
                                             "\x03\0\0\0\0\0\0\0"
                                             "\x88\x77\x66\x55\x44\x33\x22\x11"
                                             "\x02\x01\0\0\0\0\0\0",
                                             40));
  EXPECT_EQ(bytes.substr(40),
            "\xC1"
            "c\x7F"
            "9\xED\xD7"
            "D\r");

  LogFrame frame;
  frame.length = 5;
  frame.back = 0;
  frame.record_digest = DigestOfRecord("hello", header.salt);
  const std::string framed = EncodeLogFrame(frame, 48, header.salt);
  ASSERT_EQ(framed.size(), 24u);
  EXPECT_EQ(framed.substr(0, 8), std::string("\x05\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(framed.substr(8), "UGM\xE1\x1A\x81\x88.\xCC|\x85\xB8\x1E\xDD(\xF3");
}

TEST(LogFormat, ReadsBackWhatItWrote) {
  LogFileHeader header;
  header.kind = LogFileKind::kImage;
  header.number = 12;
  header.salt = 99;
  header.previous_bytes = uint64_t{1} << 40;
  const auto read = DecodeLogFileHeader(EncodeLogFileHeader(header));
  ASSERT_EQ(read.status(), absl::OkStatus());
  EXPECT_EQ(read->kind, LogFileKind::kImage);
  EXPECT_EQ(read->number, 12u);
  EXPECT_EQ(read->salt, 99u);
  EXPECT_EQ(read->previous_bytes, uint64_t{1} << 40);

  LogFrame frame;
  frame.length = 1000;
  frame.back = 24;
  frame.record_digest = 7;
  const auto read_frame = DecodeLogFrame(EncodeLogFrame(frame, 72, 99), 72, 99);
  ASSERT_TRUE(read_frame.has_value());
  EXPECT_EQ(read_frame->length, 1000u);
  EXPECT_EQ(read_frame->back, 24u);
  EXPECT_EQ(read_frame->record_digest, 7u);
}

TEST(LogFormat, KnowsAFrameOnlyWhereItWasWritten) {
  LogFrame frame;
  frame.length = 10;
  const std::string bytes = EncodeLogFrame(frame, 100, 5);
  EXPECT_TRUE(DecodeLogFrame(bytes, 100, 5).has_value());
  EXPECT_FALSE(DecodeLogFrame(bytes, 101, 5).has_value());
  EXPECT_FALSE(DecodeLogFrame(bytes, 100, 6).has_value());
}

// What was written with it cannot begin in the header.
TEST(LogFormat, RefusesAFrameThatPointsBeforeTheFirst) {
  LogFrame frame;
  frame.length = 10;
  frame.back = 52;
  EXPECT_TRUE(DecodeLogFrame(EncodeLogFrame(frame, 100, 5), 100, 5).has_value());
  frame.back = 53;
  EXPECT_FALSE(DecodeLogFrame(EncodeLogFrame(frame, 100, 5), 100, 5).has_value());
}

TEST(LogFormat, ReadsExactlyTheNamesThatItGives) {
  struct {
    const char* name;
    LogFileKind kind;
    int64_t number;
  } const names[] = {{"log-00000001", LogFileKind::kSegment, 1},
                     {"image-00000042", LogFileKind::kImage, 42},
                     {"log-123456789", LogFileKind::kSegment, 123456789}};
  for (const auto& [name, kind, number] : names) {
    EXPECT_EQ(LogFileName(kind, number), name);
    const auto id = ParseLogFileName(name);
    ASSERT_TRUE(id.has_value()) << name;
    EXPECT_EQ(id->kind, kind);
    EXPECT_EQ(id->number, number);
  }
  for (const char* name : {"", "log-", "log-1", "log-0000001", "log-00000000", "log--0000001",
                           "log-+0000001", "log- 0000001", "log-000000012", "LOG-00000001",
                           "image-00000001.tmp", "log-9999999999999", "log-99999999999999999999"}) {
    EXPECT_FALSE(ParseLogFileName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace ssmd
