#include "engine/base/byte_reader.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(ByteReader, ReadsBackWhatWasPut) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 0x01020304);
  PutBytes(&bytes, "text");
  PutBytes(&bytes, "");
  PutLittleEndian<uint64_t>(&bytes, ~uint64_t{0} - 1);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x04\x03\x02\x01\x04\0\0\0", 8));

  ByteReader reader(bytes);
  EXPECT_EQ(reader.Get<uint32_t>(), 0x01020304u);
  EXPECT_EQ(reader.GetBytes(), "text");
  EXPECT_EQ(reader.GetBytes(), "");
  EXPECT_FALSE(reader.Finished());
  EXPECT_EQ(reader.Get<uint64_t>(), ~uint64_t{0} - 1);
  EXPECT_TRUE(reader.Finished());
}

TEST(ByteReader, FailsForGoodOnceSomethingDoesNotFit) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 5);  // of which four are there
  bytes += "text";
  ByteReader reader(bytes);
  EXPECT_EQ(reader.GetBytes(), "");
  EXPECT_EQ(reader.Get<uint8_t>(), 0);
  EXPECT_EQ(reader.GetBytes(), "");
  EXPECT_FALSE(reader.Finished());
}

TEST(ByteReader, IsFinishedAtTheEndAlone) {
  EXPECT_TRUE(ByteReader("").Finished());
  EXPECT_FALSE(ByteReader("x").Finished());
  ByteReader reader("abc");
  EXPECT_EQ(reader.Get<uint32_t>(), 0u);
  EXPECT_FALSE(reader.Finished());
}

}  // namespace
}  // namespace ssmd
