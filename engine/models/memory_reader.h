// What the state of a memory says of the signal: coefficients, the past at given times, the error.
//
// Immutable, so any thread may use it. States are bytes in host memory, laid out as the model's
// StateLayout says.
#ifndef SSMD_ENGINE_MODELS_MEMORY_READER_H_
#define SSMD_ENGINE_MODELS_MEMORY_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/models/memory_config.h"
#include "engine/models/memory_tables.h"
#include "engine/state/layout.h"

namespace ssmd {

struct MemoryQuery {
  // When to reconstruct, as numbers of samples: 0 is the first there was. Fractions are allowed.
  std::vector<double> times;
  std::vector<int32_t> channels;  // empty: all
  bool coefficients = false;
  bool error = false;
};

struct ChannelReading {
  int32_t channel = 0;
  std::vector<double> values;        // one a time
  std::vector<double> coefficients;  // where asked for
  // Where asked for and known: the root of the mean square of the difference between the signal,
  // each sample held until the next, and its reconstruction, over all of the past.
  std::optional<double> rms_error;
};

class MemoryReader {
 public:
  MemoryReader(const MemoryConfig& config, const StateLayout& layout);

  const MemoryConfig& config() const { return config_; }
  size_t state_bytes() const { return state_bytes_; }

  // The first sample that a reconstruction covers; the last is samples − 1.
  int64_t FirstCovered(int64_t samples) const;
  // INVALID_ARGUMENT names the first channel or time that is out of range. `samples`: that every
  // channel has had.
  absl::Status Check(const MemoryQuery& query, int64_t samples) const;

  // Feeds tokens from `position` of the history on, as the model does. `state`: state_bytes().
  void Feed(int64_t position, absl::Span<const int32_t> tokens, std::byte* state) const;

  // REQUIRES: Check(query, samples) is OK.
  std::vector<ChannelReading> Read(const MemoryQuery& query, int64_t samples,
                                   const std::byte* state) const;

 private:
  // The basis functions at the middle of the time through which sample `time` is held.
  std::vector<double> BasisAt(double time, int64_t samples) const;

  const MemoryConfig config_;
  const MemoryTables tables_;
  size_t state_bytes_ = 0;
  size_t coefficients_ = 0;  // where the field begins in a state
  size_t energy_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MEMORY_READER_H_
