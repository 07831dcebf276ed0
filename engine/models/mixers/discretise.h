// From a continuous mode h' = λh + u to its step h ← decay · h + input · u. In double precision,
// with no loss where λΔ is small.
#ifndef SSMD_ENGINE_MODELS_MIXERS_DISCRETISE_H_
#define SSMD_ENGINE_MODELS_MIXERS_DISCRETISE_H_

#include <complex>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"

namespace ssmd {

using Complex = std::complex<double>;

enum class Discretisation : uint8_t {
  kZoh,       // the input is held through a step: e^{λΔ}, (e^{λΔ} − 1) / λ
  kBilinear,  // the trapezoidal rule: (1 + λΔ/2) / (1 − λΔ/2), Δ / (1 − λΔ/2)
};
std::string_view DiscretisationName(Discretisation rule);

// The member `discretization`, which is not in all files.
absl::StatusOr<Discretisation> ParseDiscretisation(const ConfigObject& members,
                                                   Discretisation fallback);

struct DiscreteMode {
  Complex decay;
  Complex input;  // factor of the mode's B
};
DiscreteMode Discretise(Discretisation rule, Complex lambda, double step);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_DISCRETISE_H_
