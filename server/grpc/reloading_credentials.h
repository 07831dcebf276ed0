// TLS for gRPC with the certificates that are in force when a connection begins.
#ifndef SSMD_SERVER_GRPC_RELOADING_CREDENTIALS_H_
#define SSMD_SERVER_GRPC_RELOADING_CREDENTIALS_H_

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "server/access/certificates.h"

namespace ssmd::server {

// gRPC asks Fetch before each handshake. Its C++ classes offer that for files alone, read by a
// thread of their own and not looked at before they are used; hence a class of our own over its C
// interface. For one port. Outlives the server, which keeps a pointer to it.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  // `certificates`, which has some, outlives this.
  explicit ReloadingCredentials(const Certificates* certificates);
  ~ReloadingCredentials() override;
  ReloadingCredentials(const ReloadingCredentials&) = delete;
  ReloadingCredentials& operator=(const ReloadingCredentials&) = delete;

 private:
  // Not called at once from several threads: gRPC locks.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config);

  // --- grpc::ServerCredentials ---
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}
  int AddPortToServer(const std::string& address, grpc_server* server) override;

  const Certificates* const certificates_;
  std::shared_ptr<const TlsMaterial> given_;  // what gRPC has
  grpc_server_credentials* const credentials_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_RELOADING_CREDENTIALS_H_
