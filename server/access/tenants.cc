// See tenants.h.
#include "server/access/tenants.h"

#include <openssl/crypto.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/access/secret_file.h"

namespace ssmd::server {
namespace {

absl::Status Unauthenticated(CredentialFault because, const char* message, CredentialFault* fault) {
  if (fault != nullptr) *fault = because;
  return WithReason(absl::UnauthenticatedError(message), reason::kUnauthenticated);
}

}  // namespace

const char* NameOf(CredentialFault fault) {
  switch (fault) {
    case CredentialFault::kNone:
      return "none";
    case CredentialFault::kMalformed:
      return "malformed";
    case CredentialFault::kUnknown:
      return "unknown";
    case CredentialFault::kExpired:
      return "expired";
    case CredentialFault::kNotAdmin:
      return "not_admin";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Tenants>> Tenants::Open(const std::string& path, WallClock clock) {
  std::unique_ptr<Tenants> tenants(new Tenants(path, std::move(clock)));
  if (path.empty()) return tenants;
  MutexLock lock(&tenants->mutex_);
  tenants->stamp_ = StampOf(path);
  SSMD_ASSIGN_OR_RETURN(TokenTable table, tenants->ReadTable());
  tenants->table_ = std::make_shared<const TokenTable>(std::move(table));
  return tenants;
}

absl::StatusOr<Caller> Tenants::Authenticate(std::optional<std::string_view> authorization,
                                             bool loopback_peer, CredentialFault* fault) const {
  if (!has_tokens()) return Caller{std::string(kDefaultTenant), loopback_peer, {}};
  if (!authorization.has_value()) {
    return Unauthenticated(CredentialFault::kNone,
                           "a token is needed: send \"authorization: Bearer TOKEN\"", fault);
  }
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(absl::string_view(authorization->data(), authorization->size()),
                                  kScheme)) {
    return Unauthenticated(CredentialFault::kMalformed,
                           "the authorization must be \"Bearer TOKEN\", once", fault);
  }
  const TokenDigest digest = DigestOf(authorization->substr(kScheme.size()));
  std::shared_ptr<const TokenTable> table;
  {
    MutexLock lock(&mutex_);
    table = table_;
  }
  // Every entry is looked at, so that the time tells nothing of which came close.
  const TokenEntry* match = nullptr;
  for (const TokenEntry& entry : table->entries) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) match = &entry;
  }
  if (match == nullptr) {
    return Unauthenticated(CredentialFault::kUnknown,
                           "that token is not known here: send \"authorization: Bearer TOKEN\"",
                           fault);
  }
  if (match->expires.has_value() && clock_() >= *match->expires) {
    return Unauthenticated(CredentialFault::kExpired, "that token has expired: ask for a new one",
                           fault);
  }
  Caller caller{match->tenant, match->admin, {}};
  const auto limits = table->limits.find(caller.tenant);
  if (limits != table->limits.end()) caller.limits = limits->second;
  return caller;
}

absl::Status Tenants::Poll(bool* reloaded) {
  *reloaded = false;
  if (path_.empty()) return absl::OkStatus();
  const FileStamp stamp = StampOf(path_);
  {
    MutexLock lock(&mutex_);
    if (stamp == stamp_) return absl::OkStatus();
    stamp_ = stamp;  // also when it turns out to be broken: it is reported once
  }
  SSMD_ASSIGN_OR_RETURN(TokenTable table, ReadTable());
  MutexLock lock(&mutex_);
  table_ = std::make_shared<const TokenTable>(std::move(table));
  *reloaded = true;
  return absl::OkStatus();
}

absl::StatusOr<TokenTable> Tenants::ReadTable() const {
  const auto text = ReadSecretFile(path_, kTokenFileBytesMax);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("token file ", text.status().message()));
  }
  auto table = ParseTokenFile(*text);
  if (!table.ok()) {
    return absl::Status(table.status().code(),
                        absl::StrCat("token file ", path_, ", ", table.status().message()));
  }
  // A file that is being rewritten passes through this state, and would lock everyone out.
  if (table->entries.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("token file ", path_, " holds no tokens"));
  }
  return table;
}

}  // namespace ssmd::server
