// What config.json says of a memory: a model without weights that keeps a signal as coefficients in
// a basis of functions over its past (kernels/memory_ops.h).
//
//   {"model_type": "hippo_memory", "basis": "legs", "d_state": 64, "channels": 1}
#ifndef SSMD_ENGINE_MODELS_MEMORY_CONFIG_H_
#define SSMD_ENGINE_MODELS_MEMORY_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/models/config_object.h"

namespace ssmd {

inline constexpr char kMemoryModelType[] = "hippo_memory";

enum class MemoryBasis : uint8_t {
  kLegs,     // Legendre polynomials over all of the past
  kLegt,     // Legendre polynomials over a sliding window
  kFourier,  // sines and cosines over a sliding window
};
absl::string_view MemoryBasisName(MemoryBasis basis);  // "legs", "legt", "fourier"

struct MemoryConfig {
  MemoryBasis basis = MemoryBasis::kLegs;
  int64_t state_size = 0;  // N: coefficients of a channel
  int64_t channels = 1;
  int64_t window = 0;     // samples, of kLegt and kFourier
  bool bilinear = false;  // kLegs by the trapezoidal rule

  // Samples are held until the next one, so that coefficients of kLegs are those of a projection,
  // whose error is known.
  bool knows_error() const { return basis == MemoryBasis::kLegs && !bilinear; }
  absl::string_view discretization() const { return bilinear ? "bilinear" : "zoh"; }
  // One line with all that changes a state; part of the model's fingerprint.
  std::string Describe() const;
};

// Whether `root`, the object of config.json, is of a memory.
bool IsMemoryConfig(const ConfigObject& root);
// INVALID_ARGUMENT names the member that is missing, unknown or out of range.
absl::StatusOr<MemoryConfig> ParseMemoryConfig(const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MEMORY_CONFIG_H_
