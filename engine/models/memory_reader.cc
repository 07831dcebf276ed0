#include "engine/models/memory_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/models/hippo.h"
#include "engine/models/memory_model.h"

namespace ssmd {

MemoryReader::MemoryReader(const MemoryConfig& config, const StateLayout& layout)
    : config_(config), tables_(config), state_bytes_(layout.bytes_per_slot()) {
  for (const StateFieldSpec& field : layout.fields()) {
    if (field.name == kMemoryCoefficients) coefficients_ = field.offset;
    if (field.name == kMemoryEnergy) energy_ = field.offset;
  }
}

int64_t MemoryReader::FirstCovered(int64_t samples) const {
  if (config_.basis == MemoryBasis::kLegs) return 0;
  return std::max(samples - config_.window, int64_t{0});
}

absl::Status MemoryReader::Check(const MemoryQuery& query, int64_t samples) const {
  for (const int32_t channel : query.channels) {
    if (channel >= 0 && channel < config_.channels) continue;
    return InvalidField(
        absl::StrFormat("channels must be in [0, %d), got %d", config_.channels, channel));
  }
  if (query.times.empty()) return absl::OkStatus();
  if (samples == 0) return InvalidField("times must be empty while there are no samples");
  const auto first = static_cast<double>(FirstCovered(samples));
  const auto last = static_cast<double>(samples - 1);
  for (size_t i = 0; i < query.times.size(); ++i) {
    if (query.times[i] >= first && query.times[i] <= last) continue;
    return InvalidField(
        absl::StrFormat("times must be in [%.0f, %.0f], what the memory covers; "
                        "number %d is %g",
                        first, last, i, query.times[i]));
  }
  return absl::OkStatus();
}

void MemoryReader::Feed(int64_t position, absl::Span<const int32_t> tokens,
                        std::byte* state) const {
  kernels::Segment segment;
  segment.length = static_cast<int32_t>(tokens.size());
  segment.src_slot = segment.dst_slot = 0;
  segment.position = position;
  kernels::MemoryScanParams scan = tables_.ParamsAt(tables_.values().data());
  scan.segments = &segment;
  scan.segment_count = 1;
  scan.token_ids = tokens.data();
  scan.coefficients.slab = scan.energy.slab = state;
  scan.coefficients.slot_bytes = scan.energy.slot_bytes = state_bytes_;
  scan.coefficients.format = scan.energy.format = kernels::StateFormat::kF64;
  scan.coefficients.offset = coefficients_;
  scan.energy.offset = energy_;
  kernels::ScanMemories(scan, 0, config_.channels);
}

std::vector<double> MemoryReader::BasisAt(double time, int64_t samples) const {
  const auto now = static_cast<double>(samples);
  const double middle = time + 0.5;
  switch (config_.basis) {
    case MemoryBasis::kLegs:
      return NormalisedLegendre(middle / now, config_.state_size);
    case MemoryBasis::kLegt:
      return NormalisedLegendre(1 - (now - middle) / static_cast<double>(config_.window),
                                config_.state_size);
    case MemoryBasis::kFourier:
      return FourierFunctions((now - middle) / static_cast<double>(config_.window),
                              config_.state_size);
  }
  return {};
}

std::vector<ChannelReading> MemoryReader::Read(const MemoryQuery& query, int64_t samples,
                                               const std::byte* state) const {
  const auto size = static_cast<size_t>(config_.state_size);
  std::vector<int32_t> channels = query.channels;
  if (channels.empty()) {
    channels.resize(static_cast<size_t>(config_.channels));
    std::iota(channels.begin(), channels.end(), 0);
  }
  std::vector<ChannelReading> readings;
  std::vector<std::vector<double>> states;
  for (const int32_t channel : channels) {
    std::vector<double>& c = states.emplace_back(size);
    const auto index = static_cast<size_t>(channel);
    std::memcpy(c.data(), state + coefficients_ + index * size * sizeof(double),
                size * sizeof(double));
    double energy[2];
    std::memcpy(energy, state + energy_ + index * sizeof(energy), sizeof(energy));
    ChannelReading& reading = readings.emplace_back();
    reading.channel = channel;
    if (query.coefficients) reading.coefficients = c;
    if (query.error && config_.knows_error() && samples > 0) {
      const double kept = std::inner_product(c.begin(), c.end(), c.begin(), 0.0);
      const double mean_square = (energy[0] + energy[1]) / static_cast<double>(samples);
      reading.rms_error = std::sqrt(std::max(0.0, mean_square - kept));
    }
  }
  for (const double time : query.times) {
    const std::vector<double> basis = BasisAt(time, samples);
    for (size_t i = 0; i < readings.size(); ++i) {
      readings[i].values.push_back(
          std::inner_product(basis.begin(), basis.end(), states[i].begin(), 0.0));
    }
  }
  return readings;
}

}  // namespace ssmd
