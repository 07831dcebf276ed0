#include "clients/bench/sse_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace ssmd::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kStream =
    ": prefill 1 of 2\n\n"
    "data: {\"a\":1}\n\n"
    "event: x\r\ndata:two\r\ndata:  lines\r\n\r\n"
    "id: 7\rdata: \xc3\xa9\r\r"
    "retry: 5\n\n"
    "data\n\n"
    "data: [DONE]\n\n"
    "data: cut short";

std::vector<std::string> ReadInTwo(std::string_view stream, size_t cut) {
  std::vector<std::string> events;
  SseReader reader;
  const auto add = [&](std::string_view data) { events.emplace_back(data); };
  EXPECT_TRUE(reader.Feed(stream.substr(0, cut), add));
  EXPECT_TRUE(reader.Feed(stream.substr(cut), add));
  return events;
}

TEST(SseReader, ReadsEventsWhereverTheyAreCut) {
  for (size_t cut = 0; cut <= kStream.size(); ++cut) {
    EXPECT_THAT(ReadInTwo(kStream, cut),
                ElementsAre("{\"a\":1}", "two\n lines", "\xc3\xa9", "", "[DONE]"))
        << "cut at " << cut;
  }
}

TEST(SseReader, ReadsEventsByteForByte) {
  std::vector<std::string> events;
  SseReader reader;
  for (size_t i = 0; i < kStream.size(); ++i) {
    EXPECT_TRUE(reader.Feed(kStream.substr(i, 1),
                            [&](std::string_view data) { events.emplace_back(data); }));
  }
  EXPECT_THAT(events, ElementsAre("{\"a\":1}", "two\n lines", "\xc3\xa9", "", "[DONE]"));
}

TEST(SseReader, RefusesLinesAndEventsPastTheLimit) {
  const auto none = [](std::string_view) { FAIL(); };
  SseReader line(10);
  EXPECT_TRUE(line.Feed("data: 1234", none));
  EXPECT_FALSE(line.Feed("5", none));
  SseReader event(16);
  EXPECT_TRUE(event.Feed("data: 12345678\n", none));
  EXPECT_FALSE(event.Feed("data: 12345678\n", none));
  SseReader comment(10);
  EXPECT_FALSE(comment.Feed(":" + std::string(100, ' '), none));
}

}  // namespace
}  // namespace ssmd::bench
