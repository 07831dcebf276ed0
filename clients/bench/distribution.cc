#include "clients/bench/distribution.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

namespace ssmd::bench {
namespace {

constexpr double kValueMax = 1e9;
constexpr double kSigmaMax = 10;

client::Error NoDistribution(std::string_view text, const std::string& why) {
  return {grpc::StatusCode::INVALID_ARGUMENT,
          "'" + std::string(text) + "' " + why +
              ": give a number, uniform:LEAST:MOST, lognormal:MEDIAN:SIGMA or exponential:MEAN",
          "", std::nullopt};
}

std::vector<std::string_view> SplitAtColons(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

std::optional<double> AsAmount(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(value >= 0 && value <= kValueMax)) return std::nullopt;
  return value;
}

}  // namespace

double DrawUnit(Random* random) {
  constexpr double kSteps = 9007199254740992;  // 2^53
  return (static_cast<double>((*random)() >> 11) + 1) / kSteps;
}

double DrawExponential(double mean, Random* random) { return -mean * std::log(DrawUnit(random)); }

client::Result<Distribution> Distribution::Parse(std::string_view text) {
  const std::vector<std::string_view> parts = SplitAtColons(text);
  Distribution result;
  size_t numbers = 2;
  if (parts.size() == 1) {
    numbers = 1;
  } else if (parts[0] == "uniform") {
    result.kind_ = Kind::kUniform;
  } else if (parts[0] == "lognormal") {
    result.kind_ = Kind::kLognormal;
  } else if (parts[0] == "exponential") {
    result.kind_ = Kind::kExponential;
    numbers = 1;
  } else {
    return NoDistribution(text, "names no distribution");
  }
  const size_t first = parts.size() == 1 ? 0 : 1;
  if (parts.size() != first + numbers) return NoDistribution(text, "has not the parts it needs");
  double* const values[] = {&result.first_, &result.second_};
  for (size_t i = 0; i < numbers; ++i) {
    const auto value = AsAmount(parts[first + i]);
    if (!value.has_value()) return NoDistribution(text, "has a part that is no number in [0, 1e9]");
    *values[i] = *value;
  }
  if (result.kind_ == Kind::kUniform && result.first_ > result.second_) {
    return NoDistribution(text, "has its least above its most");
  }
  if (result.kind_ == Kind::kLognormal && (result.first_ <= 0 || result.second_ > kSigmaMax)) {
    return NoDistribution(text, "needs a median above 0 and a sigma of at most 10");
  }
  return result;
}

double Distribution::Draw(Random* random, double min, double max) const {
  double value = first_;
  switch (kind_) {
    case Kind::kFixed:
      break;
    case Kind::kUniform:
      value = first_ + (second_ - first_) * DrawUnit(random);
      break;
    case Kind::kLognormal: {
      // Box and Muller (1958), one of the pair.
      const double radius = std::sqrt(-2 * std::log(DrawUnit(random)));
      value =
          first_ * std::exp(second_ * radius * std::cos(2 * std::numbers::pi * DrawUnit(random)));
      break;
    }
    case Kind::kExponential:
      value = DrawExponential(first_, random);
      break;
  }
  return std::clamp(value, min, max);
}

int64_t Distribution::DrawCount(Random* random, int64_t min, int64_t max) const {
  if (kind_ != Kind::kUniform) {
    return std::llround(Draw(random, static_cast<double>(min), static_cast<double>(max)));
  }
  // Each whole number as likely as the others, the ends too.
  const auto least = std::llround(first_);
  const auto steps = static_cast<double>(std::llround(second_) - least + 1);
  const auto drawn = least + static_cast<int64_t>(std::ceil(DrawUnit(random) * steps)) - 1;
  return std::clamp<int64_t>(drawn, min, max);
}

}  // namespace ssmd::bench
