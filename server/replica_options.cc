// See replica_options.h. Its limits are in limit_table.*.
#include "server/replica_options.h"

#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace ssmd::server {
namespace {

constexpr char kGroup[] = "Replicas";
constexpr size_t kUrlBytesMax = 4096;

absl::Status Refused(const std::string& message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<std::string> ReadUrl(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kUrlBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (in.gcount() == 0 && !in.eof())) {
    return Refused(absl::StrCat("--shared-store @", file, ": cannot be read"));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kUrlBytesMax) {
    return Refused(absl::StrCat("--shared-store @", file, ": is too long for a URL"));
  }
  return std::string(absl::StripAsciiWhitespace(text));
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
    auto url = ReadUrl(options->store.url.substr(1));
    if (!url.ok()) return url.status();
    options->store.url = *std::move(url);
    if (options->store.url.empty()) return Refused("--shared-store: the file is empty");
  }
  const auto store = OpenRedisStore(options->store);
  if (store.ok()) return absl::OkStatus();
  return Refused(absl::StrCat("--shared-store: ", std::string(store.status().message())));
}

}  // namespace ssmd::server
