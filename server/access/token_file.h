// The file of bearer tokens, as text. A line a token:
//
//   TOKEN TENANT [admin] [expires=2027-01-31T00:00:00Z] [rate=N] [tokens-per-minute=N]
//
// TOKEN is the token itself, or sha256:HEX of it, so that the file holds no secret. `rate` (calls a
// second) and `tokens-per-minute` are of the tenant, whichever of its lines has them, and go before
// the flags' values; 0: no limit. Empty lines and lines that start with # are skipped. Pure.
//
// Limits: 10,000 tokens, a token 8 to 512 printable characters, a tenant 1 to 64 of [A-Za-z0-9._-].
#ifndef SSMD_SERVER_ACCESS_TOKEN_FILE_H_
#define SSMD_SERVER_ACCESS_TOKEN_FILE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ssmd::server {

inline constexpr size_t kTokensMax = 10000;
inline constexpr double kTenantRateMax = 1e6;
inline constexpr double kTenantTokensPerMinuteMax = 1e12;

using WallTime = std::chrono::system_clock::time_point;
using TokenDigest = std::array<uint8_t, 32>;  // SHA-256

// Where absent, what the flags say.
struct TenantLimits {
  std::optional<double> rate;               // calls a second
  std::optional<double> tokens_per_minute;  // read and generated
};

struct TokenEntry {
  TokenDigest digest{};
  std::string tenant;
  bool admin = false;
  std::optional<WallTime> expires;
};

struct TokenTable {
  std::vector<TokenEntry> entries;
  std::map<std::string, TenantLimits> limits;  // of the tenants that have some
};

TokenDigest DigestOf(std::string_view token);
// INVALID_ARGUMENT names the line, never the token.
absl::StatusOr<TokenTable> ParseTokenFile(std::string_view text);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TOKEN_FILE_H_
