// Samples of a signal as text: a frame a line, its channels parted by commas or blanks.
#ifndef SSMD_CLIENTS_SSMCTL_SAMPLES_H_
#define SSMD_CLIENTS_SSMCTL_SAMPLES_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ssmd::ctl {

// What is wrong, with the number of its line, or nothing. Empty lines are at the end
// alone, for elsewhere they might be samples that are missing; samples are finite.
std::optional<std::string> ParseSamples(std::string_view text, int channels,
                                        std::vector<float>* samples);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_SAMPLES_H_
