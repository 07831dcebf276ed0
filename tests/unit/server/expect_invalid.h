// What a request gets that names a field's value as wrong.
#ifndef SSMD_TESTS_UNIT_SERVER_EXPECT_INVALID_H_
#define SSMD_TESTS_UNIT_SERVER_EXPECT_INVALID_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "engine/base/errors.h"

namespace ssmd::server {

inline void ExpectInvalid(const absl::Status& status, const std::string& words) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << words;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(words));
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELD") << words;
}

}  // namespace ssmd::server

#endif  // SSMD_TESTS_UNIT_SERVER_EXPECT_INVALID_H_
