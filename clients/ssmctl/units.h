// Numbers for people: sizes, ages, counts.
#ifndef SSMD_CLIENTS_SSMCTL_UNITS_H_
#define SSMD_CLIENTS_SSMCTL_UNITS_H_

#include <cstdint>
#include <string>

namespace ssmd::ctl {

std::string Bytes(int64_t bytes);       // "0 B", "512 B", "1.5 KB", "196 KB", "2.0 GB" (of 1000)
std::string Age(int64_t milliseconds);  // "0s", "59s", "2m", "3h", "4d"
std::string UtcTime(int64_t unix_ms);   // "2026-01-31 12:00:00 UTC"

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_UNITS_H_
