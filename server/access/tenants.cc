// See tenants.h.
#include "server/access/tenants.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"

namespace ssmd::server {
namespace {

constexpr size_t kTokenBytesMin = 8;
constexpr size_t kTokenBytesMax = 512;
constexpr size_t kTenantBytesMax = 64;

std::array<uint8_t, 32> Digest(std::string_view token) {
  std::array<uint8_t, 32> digest{};
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), digest.data());
  return digest;
}

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

absl::StatusOr<TokenEntry> ParseLine(const std::vector<std::string>& words) {
  if (words.size() < 2 || words.size() > 3) {
    return absl::InvalidArgumentError("expected TOKEN TENANT [admin]");
  }
  if (!IsToken(words[0])) {
    return absl::InvalidArgumentError("a token has 8 to 512 printable ASCII characters");
  }
  if (!IsTenant(words[1])) {
    return absl::InvalidArgumentError("a tenant has 1 to 64 characters of A-Z a-z 0-9 . _ -");
  }
  if (words.size() == 3 && words[2] != "admin") {
    return absl::InvalidArgumentError("the only role is admin");
  }
  return TokenEntry{Digest(words[0]), words[1], words.size() == 3};
}

absl::Status Unauthenticated(const char* message) {
  return WithReason(absl::UnauthenticatedError(message), reason::kUnauthenticated);
}

}  // namespace

absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text) {
  std::vector<TokenEntry> entries;
  std::set<std::array<uint8_t, 32>> digests;
  int line_number = 0;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++line_number;
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0].front() == '#') continue;
    auto entry = ParseLine(words);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number, ": ", entry.status().message()));
    }
    if (!digests.insert(entry->digest).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number, ": this token is in the file already"));
    }
    if (entries.size() == kTokensMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kTokensMax, " tokens"));
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

absl::StatusOr<std::unique_ptr<Tenants>> Tenants::Open(const std::string& path) {
  std::unique_ptr<Tenants> tenants(new Tenants(path));
  if (path.empty()) return tenants;
  MutexLock lock(&tenants->mutex_);
  tenants->stamp_ = tenants->ReadStamp();
  SSMD_ASSIGN_OR_RETURN(Table table, tenants->ReadTable());
  tenants->table_ = std::make_shared<const Table>(std::move(table));
  return tenants;
}

absl::StatusOr<Caller> Tenants::Authenticate(std::optional<std::string_view> authorization,
                                             bool loopback_peer) const {
  if (!has_tokens()) return Caller{std::string(kDefaultTenant), loopback_peer};
  if (!authorization.has_value()) {
    return Unauthenticated("a token is needed: send the metadata \"authorization: Bearer TOKEN\"");
  }
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(absl::string_view(authorization->data(), authorization->size()),
                                  kScheme)) {
    return Unauthenticated("the authorization must be \"Bearer TOKEN\"");
  }
  const auto digest = Digest(authorization->substr(kScheme.size()));
  std::shared_ptr<const Table> table;
  {
    MutexLock lock(&mutex_);
    table = table_;
  }
  // Every entry is looked at, so that the time tells nothing of which came close.
  const TokenEntry* match = nullptr;
  for (const TokenEntry& entry : *table) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) match = &entry;
  }
  if (match == nullptr) return Unauthenticated("the token is not known");
  return Caller{match->tenant, match->admin};
}

absl::Status Tenants::Poll(bool* reloaded) {
  *reloaded = false;
  if (path_.empty()) return absl::OkStatus();
  const Stamp stamp = ReadStamp();
  {
    MutexLock lock(&mutex_);
    if (stamp == stamp_) return absl::OkStatus();
    stamp_ = stamp;  // also when it turns out to be broken: it is reported once
  }
  SSMD_ASSIGN_OR_RETURN(Table table, ReadTable());
  MutexLock lock(&mutex_);
  table_ = std::make_shared<const Table>(std::move(table));
  *reloaded = true;
  return absl::OkStatus();
}

Tenants::Stamp Tenants::ReadStamp() const {
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return Stamp{};
  return Stamp{info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ino, info.st_size};
}

absl::StatusOr<Tenants::Table> Tenants::ReadTable() const {
  std::ifstream file(path_, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot read the token file ", path_));
  }
  std::string text(kTokenFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad()) {
    return absl::UnavailableError(absl::StrCat("reading the token file ", path_, " failed"));
  }
  if (text.size() > kTokenFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("token file ", path_, ": larger than ", kTokenFileBytesMax, " bytes"));
  }
  auto table = ParseTokenFile(text);
  if (!table.ok()) {
    return absl::Status(table.status().code(),
                        absl::StrCat("token file ", path_, ", ", table.status().message()));
  }
  // A file that is being rewritten passes through this state, and would lock everyone out.
  if (table->empty()) {
    return absl::InvalidArgumentError(absl::StrCat("token file ", path_, " holds no tokens"));
  }
  return table;
}

}  // namespace ssmd::server
