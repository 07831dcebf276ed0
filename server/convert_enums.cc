// See convert_enums.h.
#include "server/convert_enums.h"

#include <utility>

#include "server/convert_checks.h"

namespace ssmd::server {
namespace {

constexpr std::pair<v1::WhenBusy, WhenBusy> kWhenBusy[] = {
    {v1::WHEN_BUSY_UNSPECIFIED, WhenBusy::kAbort},
    {v1::WHEN_BUSY_ABORT, WhenBusy::kAbort},
    {v1::WHEN_BUSY_WAIT, WhenBusy::kWait}};
constexpr std::pair<v1::Durability, Durability> kDurabilities[] = {
    {v1::DURABILITY_PROCESS, Durability::kProcess},
    {v1::DURABILITY_POWER, Durability::kPower},
    {v1::DURABILITY_REPLICATED, Durability::kReplicated}};

}  // namespace

absl::StatusOr<WhenBusy> FromWire(v1::WhenBusy when_busy) {
  return ConvertEnum(kWhenBusy, when_busy, "when_busy must be WHEN_BUSY_ABORT or WHEN_BUSY_WAIT");
}

absl::StatusOr<Durability> FromWire(v1::Durability durability, Durability unspecified) {
  if (durability == v1::DURABILITY_UNSPECIFIED) return unspecified;
  return ConvertEnum(
      kDurabilities, durability,
      "durability must be DURABILITY_PROCESS, DURABILITY_POWER or DURABILITY_REPLICATED");
}

v1::StateSource ToWire(StateSource source) {
  switch (source) {
    case StateSource::kFresh:
      return v1::STATE_SOURCE_FRESH;
    case StateSource::kResident:
      return v1::STATE_SOURCE_RESIDENT;
    case StateSource::kHost:
      return v1::STATE_SOURCE_HOST;
    case StateSource::kDisk:
      return v1::STATE_SOURCE_DISK;
    case StateSource::kRemote:
      return v1::STATE_SOURCE_REMOTE;
    case StateSource::kPrefix:
      return v1::STATE_SOURCE_PREFIX;
    case StateSource::kReplayed:
      return v1::STATE_SOURCE_REPLAYED;
  }
  return v1::STATE_SOURCE_UNSPECIFIED;
}

v1::StateTier ToWire(StateTier tier) {
  switch (tier) {
    case StateTier::kDevice:
      return v1::STATE_TIER_DEVICE;
    case StateTier::kHost:
      return v1::STATE_TIER_HOST;
    case StateTier::kDisk:
      return v1::STATE_TIER_DISK;
    case StateTier::kLost:
      return v1::STATE_TIER_LOST;
  }
  return v1::STATE_TIER_UNSPECIFIED;
}

}  // namespace ssmd::server
