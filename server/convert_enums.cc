// See convert_enums.h.
#include "server/convert_enums.h"

namespace ssmd::server {

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
