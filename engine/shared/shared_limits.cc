#include "engine/shared/shared_limits.h"

#include "absl/strings/str_cat.h"

namespace ssmd {

absl::Status PresentElsewhere() {
  return absl::FailedPreconditionError(
      "another process is present as this replica. One that was killed is forgotten in a moment; "
      "if this lasts, one of their state directories is a copy of the other: stop one, and delete "
      "the file REPLICA in the copy before it is used again (deploy/README.md)");
}

absl::Status CheckReplica(const Replica& replica) {
  if (IsReplicaId(replica.id) && IsReplicaId(replica.incarnation)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a replica's id and incarnation have 32 lower-case hexadecimal digits, and these have not");
}

absl::Status CheckFence(uint64_t fence) {
  if (fence >= 1 && fence <= kSharedNumberMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a session's fence is from 1 to ", kSharedNumberMax, ", got ", fence));
}

absl::Status CheckNumber(uint64_t number) {
  if (number <= kSharedNumberMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a session's number is at most ", kSharedNumberMax, ", got ", number));
}

absl::Status CheckSummary(std::string_view summary) {
  if (summary.size() <= kSharedSummaryBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "a session's summary has at most ", kSharedSummaryBytes, " bytes, got ", summary.size()));
}

absl::Status CheckListed(int most) {
  if (most >= 1 && most <= kSharedListedMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a list looks at 1 to ", kSharedListedMax, " sessions, got ", most));
}

}  // namespace ssmd
