#include "engine/models/fingerprint.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(Sha256Hasher, GivesTheDigestOfTheStandard) {
  Sha256Hasher hasher;
  hasher.Add("ab", 2);
  hasher.Add("c", 1);
  EXPECT_EQ(HexOf(hasher.Finish()),  // FIPS 180-2, appendix B.1
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Hasher, SeparatesFields) {
  const auto digest = [](std::string_view first, std::string_view second) {
    Sha256Hasher hasher;
    hasher.AddField(first);
    hasher.AddField(second);
    return hasher.Finish();
  };
  EXPECT_EQ(digest("ab", "c"), digest("ab", "c"));
  EXPECT_NE(digest("ab", "c"), digest("a", "bc"));
}

}  // namespace
}  // namespace ssmd
