// MemoryService: both ways. See convert.h.
#include <utility>

#include "server/convert.h"
#include "server/convert_checks.h"
#include "server/convert_enums.h"

namespace ssmd::server {

absl::Status Validate(const v1::MemoryOpen& open, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", open.model(), limits));
  SSMD_RETURN_IF_ERROR(CheckName("session_id", open.session_id(), limits));
  if (open.session_id().empty()) {
    if (open.has_expected_revision()) return InvalidField("expected_revision needs a session_id");
    return AsCreation(open, limits).status();
  }
  if (open.temporary()) return InvalidField("temporary is for new sessions: leave session_id out");
  if (open.has_lifetime())
    return InvalidField("lifetime is for new sessions: leave session_id out");
  return absl::OkStatus();
}

absl::StatusOr<CreateSessionRequest> AsCreation(const v1::MemoryOpen& open,
                                                const RequestLimits& limits) {
  v1::CreateSessionRequest creation;
  creation.set_model(open.model());
  if (open.has_lifetime()) *creation.mutable_lifetime() = open.lifetime();
  return FromProto(creation, limits);
}

absl::StatusOr<AppendRequest> FromProto(const v1::MemoryAppend& append,
                                        const RequestLimits& limits) {
  AppendRequest out;
  SSMD_RETURN_IF_ERROR(
      CheckCount("samples", append.samples_size(), limits.append_samples, "--max-append-samples"));
  out.samples.assign(append.samples().begin(), append.samples().end());
  if (append.has_expected_revision()) out.expected_revision = append.expected_revision();
  SSMD_ASSIGN_OR_RETURN(out.when_busy, FromWire(append.when_busy()));
  SSMD_ASSIGN_OR_RETURN(out.durability, FromWire(append.durability(), limits.durability));
  if (append.request_id().empty()) return out;
  v1::MemoryAppend body = append;
  body.clear_request_id();
  SSMD_ASSIGN_OR_RETURN(out.key, ConvertRequestKey(append.request_id(), body));
  return out;
}

absl::StatusOr<MemoryQuery> FromProto(const v1::MemoryQuery& query, const MemoryConfig& memory,
                                      const RequestLimits& limits) {
  if (query.channels_size() > memory.channels) {
    return InvalidField(absl::StrCat("channels has ", query.channels_size(),
                                     " entries, more than the ", memory.channels,
                                     " channels of the memory"));
  }
  const int64_t channels = query.channels_size() > 0 ? query.channels_size() : memory.channels;
  SSMD_RETURN_IF_ERROR(CheckCount("times, of all channels together,", query.times_size() * channels,
                                  limits.reconstructed_values, "--max-reconstructed-values"));
  MemoryQuery out;
  out.times.assign(query.times().begin(), query.times().end());
  out.channels.assign(query.channels().begin(), query.channels().end());
  out.coefficients = query.coefficients();
  out.error = query.error();
  return out;
}

void ToProto(const MemoryReading& reading, v1::MemoryReading* out) {
  out->set_revision(reading.revision);
  out->set_samples(reading.samples);
  out->set_first_covered(reading.first_covered);
  for (const ChannelReading& channel : reading.channels) {
    v1::ChannelReading* to = out->add_channels();
    to->set_channel(channel.channel);
    to->mutable_values()->Add(channel.values.begin(), channel.values.end());
    to->mutable_coefficients()->Add(channel.coefficients.begin(), channel.coefficients.end());
    if (channel.rms_error.has_value()) to->set_rms_error(*channel.rms_error);
  }
}

}  // namespace ssmd::server
