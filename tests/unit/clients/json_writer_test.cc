#include "clients/ssmctl/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace ssmd::ctl {
namespace {

TEST(JsonWriter, WritesObjectsAndArrays) {
  JsonWriter writer;
  writer.BeginObject().Key("a").Int(-1).Key("b").BeginArray().Bool(true).String("x\n\x01\"");
  writer.Unsigned(std::numeric_limits<uint64_t>::max()).EndArray();
  writer.Key("ids").Ids(std::vector<int32_t>{1, 2}).EndObject();
  EXPECT_EQ(writer.Take(), R"({"a":-1,"b":[true,"x\n\u0001\"",18446744073709551615],"ids":[1,2]})");
}

TEST(JsonWriter, FloatsReadBackAsTheSameFloats) {
  std::mt19937 random(7);
  std::normal_distribution<float> logprobs(-5, 4);
  for (int i = 0; i < 1000; ++i) {
    const float value = logprobs(random);
    JsonWriter writer;
    writer.Float(value);
    EXPECT_EQ(std::strtof(writer.Take().c_str(), nullptr), value);
    EXPECT_EQ(static_cast<float>(std::strtod(writer.Take().c_str(), nullptr)), value);
    EXPECT_LE(writer.Take().size(), 14u);  // the shortest form, not 17 digits
  }
}

TEST(JsonWriter, DoublesReadBackAsTheSameDoubles) {
  for (const double value : {0.0, 0.1, 1e300, -5e-324, 1.0 / 3}) {
    JsonWriter writer;
    writer.Double(value);
    EXPECT_EQ(std::strtod(writer.Take().c_str(), nullptr), value);
  }
}

TEST(JsonWriter, WhatJsonCannotSayIsNull) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    JsonWriter writer;
    writer.Float(value);
    EXPECT_EQ(writer.Take(), "null");
  }
}

TEST(JsonWriter, StringsAreUtf8WhateverTheyWere) {
  JsonWriter writer;
  writer.String("a\xff");
  EXPECT_EQ(writer.Take(), "\"a\uFFFD\"");
}

}  // namespace
}  // namespace ssmd::ctl
