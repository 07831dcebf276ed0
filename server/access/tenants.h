// Who calls: static bearer tokens from a file (token_file.h), each of a tenant.
//
// Only SHA-256 digests of tokens are kept, and a presented token is compared with every one of them
// in constant time. An expiry is looked at whenever its token is used. Poll() reloads the file when
// it changed; a file that does not parse leaves the old tokens in force and is reported once.
// Without a file there is one tenant, every token is ignored, and callers on the loopback are
// administrators.
//
// Limits: file 1 MiB, and those of token_file.h.
#ifndef SSMD_SERVER_ACCESS_TENANTS_H_
#define SSMD_SERVER_ACCESS_TENANTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "server/access/file_stamp.h"
#include "server/access/token_file.h"

namespace ssmd::server {

inline constexpr std::string_view kDefaultTenant = "default";
inline constexpr size_t kTokenFileBytesMax = size_t{1} << 20;

struct Caller {
  std::string tenant;
  bool admin = false;
  TenantLimits limits;  // of its tenant, from the token file
};

// What is wrong with a caller's credential.
enum class CredentialFault : uint8_t {
  kNone,       // there is none, and one is needed
  kMalformed,  // no "Bearer TOKEN", or several
  kUnknown,
  kExpired,
  kNotAdmin,  // known, but the call is for administrators
};
inline constexpr int kCredentialFaults = 5;
// "none", "malformed", …: for logs and metrics.
const char* NameOf(CredentialFault fault);

// Thread-safe.
class Tenants {
 public:
  using WallClock = std::function<WallTime()>;  // thread-safe

  // `path` empty: no tokens. Otherwise the file must be there and parse.
  static absl::StatusOr<std::unique_ptr<Tenants>> Open(
      const std::string& path, WallClock clock = &std::chrono::system_clock::now);

  // `authorization` is the header's value ("Bearer …"), if there was one; an empty one for several.
  // UNAUTHENTICATED otherwise, and `fault`, which may be null, is why.
  absl::StatusOr<Caller> Authenticate(std::optional<std::string_view> authorization,
                                      bool loopback_peer, CredentialFault* fault = nullptr) const;
  bool has_tokens() const { return !path_.empty(); }

  // Reloads a changed file. Returns what to report: OK when nothing changed or the reload worked.
  // `reloaded` tells whether new tokens are in force.
  absl::Status Poll(bool* reloaded);

 private:
  Tenants(std::string path, WallClock clock) : path_(std::move(path)), clock_(std::move(clock)) {}
  absl::StatusOr<TokenTable> ReadTable() const;

  const std::string path_;
  const WallClock clock_;
  mutable Mutex mutex_;
  // Shared: an authentication under way keeps the table it began with.
  std::shared_ptr<const TokenTable> table_ ABSL_GUARDED_BY(mutex_);
  FileStamp stamp_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TENANTS_H_
