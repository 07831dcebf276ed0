// The certificate, key and authority that both listeners show and ask for: read from their files,
// and again when those change. What is in force is always a whole set that fits together: a new one
// that cannot be read, does not parse, or whose key is not the certificate's is refused, reported
// once, and the old one stays. Connections keep what they began with; new ones get the new set.
#ifndef SSMD_SERVER_ACCESS_CERTIFICATES_H_
#define SSMD_SERVER_ACCESS_CERTIFICATES_H_

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "server/access/file_stamp.h"
#include "server/options.h"

namespace ssmd::server {

struct TlsMaterial {  // PEM
  std::string certificate;
  std::string key;
  std::string client_ca;  // empty: clients need no certificate
};

// Thread-safe.
class Certificates {
 public:
  // The files must be there and fit together. Without TLS there is nothing to read.
  static absl::StatusOr<std::unique_ptr<Certificates>> Open(const TlsFiles& files);

  // Null without TLS. Another object whenever it is another set.
  std::shared_ptr<const TlsMaterial> Current() const;
  bool asks_clients() const { return !files_.client_ca.empty(); }

  // Reads changed files. Returns what to report: OK when nothing changed or the new set is in
  // force, of which `reloaded` tells.
  absl::Status Poll(bool* reloaded);

 private:
  using Stamps = std::array<FileStamp, 3>;

  explicit Certificates(TlsFiles files) : files_(std::move(files)) {}
  Stamps ReadStamps() const;
  absl::StatusOr<TlsMaterial> Read() const;

  const TlsFiles files_;
  mutable Mutex mutex_;
  std::shared_ptr<const TlsMaterial> current_ ABSL_GUARDED_BY(mutex_);
  Stamps stamps_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_CERTIFICATES_H_
