#include "engine/models/mixers/discretise.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

// e^z − 1. With z = x + iy its real part is e^x cos y − 1 = (e^x − 1) cos y − 2 sin²(y/2), which
// cancels nothing where z is small.
Complex ExpMinusOne(Complex z) {
  const double half_sine = std::sin(z.imag() / 2);
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half_sine * half_sine,
          std::exp(z.real()) * std::sin(z.imag())};
}

}  // namespace

std::string_view DiscretisationName(Discretisation rule) {
  return rule == Discretisation::kZoh ? "zoh" : "bilinear";
}

absl::StatusOr<Discretisation> ParseDiscretisation(const ConfigObject& members,
                                                   Discretisation fallback) {
  SSMD_ASSIGN_OR_RETURN(const std::string name,
                        members.StringOr("discretization", DiscretisationName(fallback)));
  for (const Discretisation rule : {Discretisation::kZoh, Discretisation::kBilinear}) {
    if (name == DiscretisationName(rule)) return rule;
  }
  return members.Error("discretization",
                       absl::StrCat("must be \"zoh\" or \"bilinear\", got ", Quoted(name)));
}

DiscreteMode Discretise(Discretisation rule, Complex lambda, double step) {
  const Complex z = lambda * step;
  if (rule == Discretisation::kBilinear) {
    const Complex below = 1.0 - z / 2.0;
    return {(1.0 + z / 2.0) / below, step / below};
  }
  return {std::exp(z), lambda == 0.0 ? step : ExpMinusOne(z) / lambda};
}

}  // namespace ssmd
