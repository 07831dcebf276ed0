// Who calls: static bearer tokens from a file, each of a tenant.
//
// The file has a line a token: `TOKEN TENANT [admin]`; empty lines and lines that start with # are
// skipped. Only SHA-256 digests of tokens are kept, and a presented token is compared with every
// one of them in constant time. Poll() reloads the file when it changed; a file that does not parse
// leaves the old tokens in force and is reported once. Without a file there is one tenant, every
// token is ignored, and callers on the loopback are administrators.
//
// Limits: file 1 MiB, 10,000 tokens, a token 8 to 512 printable characters, a tenant 1 to 64 of
// [A-Za-z0-9._-].
#ifndef SSMD_SERVER_ACCESS_TENANTS_H_
#define SSMD_SERVER_ACCESS_TENANTS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"

namespace ssmd::server {

inline constexpr std::string_view kDefaultTenant = "default";
inline constexpr size_t kTokenFileBytesMax = size_t{1} << 20;
inline constexpr size_t kTokensMax = 10000;

struct Caller {
  std::string tenant;
  bool admin = false;
};

struct TokenEntry {
  std::array<uint8_t, 32> digest{};
  std::string tenant;
  bool admin = false;
};
// INVALID_ARGUMENT names the line, never the token.
absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text);

// Thread-safe.
class Tenants {
 public:
  // `path` empty: no tokens. Otherwise the file must be there and parse.
  static absl::StatusOr<std::unique_ptr<Tenants>> Open(const std::string& path);

  // `authorization` is the header's value ("Bearer …"), if there was one. UNAUTHENTICATED
  // otherwise.
  absl::StatusOr<Caller> Authenticate(std::optional<std::string_view> authorization,
                                      bool loopback_peer) const;
  bool has_tokens() const { return !path_.empty(); }

  // Reloads a changed file. Returns what to report: OK when nothing changed or the reload worked.
  // `reloaded` tells whether new tokens are in force.
  absl::Status Poll(bool* reloaded);

 private:
  // What tells that a file changed.
  struct Stamp {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    uint64_t inode = 0;
    int64_t bytes = -1;
    bool operator==(const Stamp&) const = default;
  };
  using Table = std::vector<TokenEntry>;

  explicit Tenants(std::string path) : path_(std::move(path)) {}
  Stamp ReadStamp() const;
  absl::StatusOr<Table> ReadTable() const;

  const std::string path_;
  mutable Mutex mutex_;
  // Shared: an authentication under way keeps the table it began with.
  std::shared_ptr<const Table> table_ ABSL_GUARDED_BY(mutex_);
  Stamp stamp_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TENANTS_H_
