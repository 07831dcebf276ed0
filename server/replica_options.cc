// See replica_options.h. Its limits are in limit_table.*.
#include "server/replica_options.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/status_macros.h"
#include "server/access/listen_address.h"
#include "server/access/secret_file.h"

namespace ssmd::server {
namespace {

constexpr char kGroup[] = "Replicas";
constexpr size_t kUrlBytesMax = 4096;

absl::Status Refused(const std::string& message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<std::string> ReadUrl(const std::string& file) {
  const auto text = ReadSecretFile(file, kUrlBytesMax);
  if (!text.ok()) return Refused(absl::StrCat("--shared-store @", text.status().message()));
  const absl::string_view url = absl::StripAsciiWhitespace(*text);
  if (url.empty()) return Refused(absl::StrCat("--shared-store @", file, " is empty"));
  return std::string(url);
}

// People and routers may know it by a name alone; Docker's names have underscores, too.
bool IsReplicaAddress(absl::string_view text) {
  std::string address = absl::StrReplaceAll(text, {{"_", "-"}});
  if (!absl::StrContains(address, ':')) address += ":1";
  const auto parsed = ParseListenAddress(address);
  return parsed.ok() && parsed->port != 0;
}

// What Redis, its access lists and people's shells take as it is.
bool IsPrefix(absl::string_view text) {
  constexpr size_t kBytesMax = 256;
  if (text.empty() || text.size() > kBytesMax) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(".:_-/{}", static_cast<char>(c));
  });
}

absl::Status CheckSharing(const ReplicaOptions& options) {
  if (!options.address.empty() && !IsReplicaAddress(options.address)) {
    return Refused(absl::StrCat("--replica-address ", options.address,
                                ": give HOST:PORT, as ssmd-0:50051, or a name alone"));
  }
  if (!IsPrefix(options.store.prefix)) {
    return Refused(absl::StrCat("--shared-prefix \"", absl::CEscape(options.store.prefix),
                                "\": give 1 to 256 characters of A-Z a-z 0-9 . : _ - / { }"));
  }
  // A replica that waits for the store says that it is alive once the store has answered.
  if (options.limits.presence <= 2 * options.store.timeout) {
    return Refused(absl::StrCat("--replica-presence ", Seconds(options.limits.presence),
                                " must be more than twice --shared-timeout, which is ",
                                Seconds(options.store.timeout),
                                ": raise the one or lower the other"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddReplicaFlags(CLI::App* app, ReplicaOptions* options) {
  app->add_option(
         "--shared-store", options->store.url,
         "Share sessions with other replicas through this Redis: any replica goes on with any "
         "session, after a crash too. redis://[USER:PASSWORD@]HOST[:PORT][/DB], unix:///PATH, or "
         "@FILE: the file that has it, so that a password is not in the list of processes")
      ->group(kGroup)
      ->type_name("URL");
  app->add_option("--replica-address", options->address,
                  "By what name this replica is known to people and routers. Default: where gRPC "
                  "listens")
      ->group(kGroup)
      ->type_name("HOST:PORT");
  app->add_option("--shared-prefix", options->store.prefix,
                  "What every key in the shared store begins with; replicas of one service have "
                  "the same")
      ->group(kGroup)
      ->type_name("TEXT")
      ->capture_default_str();
  app->add_option(
         "--durability", options->durability,
         "When a commit counts, where a request does not say: process (in the log of "
         "--state-dir), power (and on its medium), replicated (and in the shared store: no crash "
         "of a replica loses it)")
      ->group(kGroup)
      ->type_name("WORD")
      ->capture_default_str();
}

absl::Status CheckReplicaOptions(ReplicaOptions* options, Durability* durability) {
  static const std::map<std::string, Durability> kWords = {{"process", Durability::kProcess},
                                                           {"power", Durability::kPower},
                                                           {"replicated", Durability::kReplicated}};
  const auto word = kWords.find(options->durability);
  if (word == kWords.end()) {
    return Refused(absl::StrCat("--durability must be process, power or replicated, got ",
                                options->durability));
  }
  *durability = word->second;
  if (options->store.url.empty()) {
    if (*durability != Durability::kReplicated) return absl::OkStatus();
    return Refused("--durability replicated takes a --shared-store to replicate to");
  }
  if (options->store.url.front() == '@') {
    SSMD_ASSIGN_OR_RETURN(options->store.url, ReadUrl(options->store.url.substr(1)));
  }
  SSMD_RETURN_IF_ERROR(CheckSharing(*options));
  const auto store = OpenRedisStore(options->store);
  if (store.ok()) return absl::OkStatus();
  return Refused(absl::StrCat("--shared-store: ", std::string(store.status().message())));
}

}  // namespace ssmd::server
