// A server's figures as people and as machines read them.
#ifndef SSMD_CLIENTS_SSMCTL_STATS_OUTPUT_H_
#define SSMD_CLIENTS_SSMCTL_STATS_OUTPUT_H_

#include <string>
#include <vector>

#include "clients/ssmctl/json_writer.h"
#include "ssmd/v1/admin.pb.h"

namespace ssmd::ctl {

// One object with all of it.
void WriteStats(const v1::GetStatsResponse& stats, JsonWriter* writer);
std::vector<std::string> DescribeStats(const v1::GetStatsResponse& stats);

// "up 12 s, 45.6 MB resident, draining".
std::string StatsHeader(const v1::GetStatsResponse& stats);
// What is not as it should be: a line each.
std::vector<std::string> Troubles(const v1::GetStatsResponse& stats);
// "12 device, 3 host, 1 none": tiers that hold sessions.
std::string SessionTiers(const v1::ModelStats& stats);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_STATS_OUTPUT_H_
