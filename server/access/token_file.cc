// See token_file.h.
#include "server/access/token_file.h"

#include <openssl/sha.h>

#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "engine/base/status_macros.h"

namespace ssmd::server {
namespace {

constexpr size_t kTokenBytesMin = 8;
constexpr size_t kTokenBytesMax = 512;
constexpr size_t kTenantBytesMax = 64;
constexpr absl::string_view kHashed = "sha256:";

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

bool IsToken(std::string_view token) {
  if (token.size() < kTokenBytesMin || token.size() > kTokenBytesMax) return false;
  for (const char c : token) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

bool IsTenant(std::string_view tenant) {
  if (tenant.empty() || tenant.size() > kTenantBytesMax) return false;
  for (const char c : tenant) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

absl::StatusOr<TokenDigest> ParseToken(absl::string_view word) {
  if (!absl::ConsumePrefix(&word, kHashed)) {
    if (IsToken({word.data(), word.size()})) return DigestOf({word.data(), word.size()});
    return Invalid("a token has 8 to 512 printable ASCII characters");
  }
  TokenDigest digest{};
  bool hex = word.size() == 2 * digest.size();
  for (const char c : word) hex = hex && absl::ascii_isxdigit(static_cast<unsigned char>(c));
  if (!hex) return Invalid("sha256: is followed by the 64 hexadecimal digits of a token's SHA-256");
  const std::string bytes = absl::HexStringToBytes(word);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

absl::StatusOr<WallTime> ParseTime(absl::string_view text) {
  absl::Time time;
  std::string error;
  // One that says no zone would mean another time on another machine.
  const bool read = absl::ParseTime(absl::RFC3339_full, text, &time, &error);
  if (!read || time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return Invalid("expires= takes a time such as 2027-01-31T00:00:00Z");
  }
  return absl::ToChronoTime(time);
}

absl::StatusOr<double> ParseLimit(absl::string_view text, const char* key, double most) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value) || value < 0 || value > most) {
    return Invalid(absl::StrCat(key, " takes a number in 0..", most, "; 0: no limit"));
  }
  return value;
}

absl::Status ParseField(absl::string_view word, TokenEntry* entry, TenantLimits* limits) {
  if (word == "admin") {
    entry->admin = true;
  } else if (absl::ConsumePrefix(&word, "expires=")) {
    SSMD_ASSIGN_OR_RETURN(entry->expires, ParseTime(word));
  } else if (absl::ConsumePrefix(&word, "rate=")) {
    SSMD_ASSIGN_OR_RETURN(limits->rate, ParseLimit(word, "rate=", kTenantRateMax));
  } else if (absl::ConsumePrefix(&word, "tokens-per-minute=")) {
    SSMD_ASSIGN_OR_RETURN(limits->tokens_per_minute,
                          ParseLimit(word, "tokens-per-minute=", kTenantTokensPerMinuteMax));
  } else {
    return Invalid(
        "after TOKEN TENANT come admin, expires=TIME, rate=N and tokens-per-minute=N alone");
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenEntry> ParseLine(const std::vector<std::string>& words, TenantLimits* limits) {
  if (words.size() < 2) {
    return Invalid("expected TOKEN TENANT [admin] [expires=TIME] [rate=N] [tokens-per-minute=N]");
  }
  TokenEntry entry;
  SSMD_ASSIGN_OR_RETURN(entry.digest, ParseToken(words[0]));
  if (!IsTenant(words[1])) {
    return Invalid("a tenant has 1 to 64 characters of A-Z a-z 0-9 . _ -");
  }
  entry.tenant = words[1];
  for (size_t i = 2; i < words.size(); ++i) {
    SSMD_RETURN_IF_ERROR(ParseField(words[i], &entry, limits));
  }
  return entry;
}

// Whether one that both have is another.
bool Merge(const std::optional<double>& more, std::optional<double>* value) {
  if (!more.has_value()) return true;
  const bool agrees = !value->has_value() || **value == *more;
  *value = more;
  return agrees;
}

}  // namespace

TokenDigest DigestOf(std::string_view token) {
  TokenDigest digest{};
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), digest.data());
  return digest;
}

absl::StatusOr<TokenTable> ParseTokenFile(std::string_view text) {
  TokenTable table;
  std::set<TokenDigest> digests;
  int line_number = 0;
  const auto error = [&line_number](absl::string_view message) {
    return Invalid(absl::StrCat("line ", line_number, ": ", message));
  };
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++line_number;
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0].front() == '#') continue;
    TenantLimits limits;
    auto entry = ParseLine(words, &limits);
    if (!entry.ok()) return error(entry.status().message());
    if (!digests.insert(entry->digest).second) return error("this token is in the file already");
    if (table.entries.size() == kTokensMax) {
      return Invalid(absl::StrCat("more than ", kTokensMax, " tokens"));
    }
    if (limits.rate.has_value() || limits.tokens_per_minute.has_value()) {
      TenantLimits* of_tenant = &table.limits[entry->tenant];
      const bool agrees = Merge(limits.rate, &of_tenant->rate) &&
                          Merge(limits.tokens_per_minute, &of_tenant->tokens_per_minute);
      if (!agrees) return error("a line above gives this tenant another limit");
    }
    table.entries.push_back(*std::move(entry));
  }
  return table;
}

}  // namespace ssmd::server
