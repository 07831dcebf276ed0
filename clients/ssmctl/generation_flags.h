// The flags that say how to generate, shared by `generate` and `chat`. A flag that is not given
// stays absent in the request, so that the server's documented default holds.
#ifndef SSMD_CLIENTS_SSMCTL_GENERATION_FLAGS_H_
#define SSMD_CLIENTS_SSMCTL_GENERATION_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ssmd/v1/generation.pb.h"

namespace ssmd::ctl {

struct GenerationFlags {
  std::string model;
  std::optional<int32_t> max_tokens;
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<int32_t> penalty_window;
  std::vector<std::string> logit_bias;  // "ID=VALUE"
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_tokens;
  std::string stop_history;  // "", "trim" or "keep"
  bool ignore_eos = false;
  std::string priority;  // "", "low", "normal", "high" or a number

  void AddTo(CLI::App* command);
  // Returns what is wrong with the flags, or nothing.
  std::optional<std::string> Apply(v1::GenerateRequest* request) const;
};

// An option that may be given several times, one value each.
template <typename T>
CLI::Option* AddRepeatable(CLI::App* command, const std::string& name, std::vector<T>& values,
                           const std::string& help) {
  return command->add_option(name, values, help)->allow_extra_args(false);
}

// For flags of 64 bits, which the parser would wrap or clamp: nothing but a number that fits.
CLI::Validator Unsigned64();

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_GENERATION_FLAGS_H_
