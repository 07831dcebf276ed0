// See reloading_credentials.h.
#include "server/grpc/reloading_credentials.h"

#include <grpc/grpc.h>

namespace ssmd::server {

ReloadingCredentials::ReloadingCredentials(const Certificates* certificates)
    : certificates_(certificates),
      credentials_(grpc_ssl_server_credentials_create_with_options(
          grpc_ssl_server_credentials_create_options_using_config_fetcher(
              certificates->asks_clients()
                  ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                  : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
              &ReloadingCredentials::Fetch, this))) {}

ReloadingCredentials::~ReloadingCredentials() { grpc_server_credentials_release(credentials_); }

grpc_ssl_certificate_config_reload_status ReloadingCredentials::Fetch(
    void* self, grpc_ssl_server_certificate_config** config) {
  auto* credentials = static_cast<ReloadingCredentials*>(self);
  auto current = credentials->certificates_->Current();
  if (current == credentials->given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {current->key.c_str(), current->certificate.c_str()};
  // gRPC insists on an authority here even where clients are asked for nothing, and then does
  // nothing with it.
  const std::string& authority =
      current->client_ca.empty() ? current->certificate : current->client_ca;
  *config = grpc_ssl_server_certificate_config_create(authority.c_str(), &pair, 1);
  credentials->given_ = std::move(current);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

int ReloadingCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  return grpc_server_add_http2_port(server, address.c_str(), credentials_);
}

}  // namespace ssmd::server
