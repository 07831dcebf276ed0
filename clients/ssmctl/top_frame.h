// One frame of `ssmctl top`: a server's figures, and rates and latencies since the look before.
#ifndef SSMD_CLIENTS_SSMCTL_TOP_FRAME_H_
#define SSMD_CLIENTS_SSMCTL_TOP_FRAME_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/ssmctl/json_writer.h"
#include "clients/ssmctl/latency.h"
#include "ssmd/v1/admin.pb.h"

namespace ssmd::ctl {

// How often each of some names came up.
using NamedCounts = std::vector<std::pair<std::string, int64_t>>;

struct ModelRates {
  double ended_per_second = 0;  // requests
  NamedCounts failures;         // of them, by outcome, but for "ok"
  double sampled_per_second = 0;
  double read_per_second = 0;
  double steps_per_second = 0;
  double tokens_per_step = 0;
  std::optional<Percentiles> first_token;  // nothing when there was none
  std::optional<Percentiles> inter_token;
  std::optional<Percentiles> queue;
  std::vector<std::pair<std::string, Percentiles>> steps;  // by phase
  NamedCounts loads;                                       // turns by where their state was
  NamedCounts evictions;                                   // states by the tier that they left
  std::optional<double> prefix_hit_rate;                   // of the tokens that were looked up
};

class TopFrame {
 public:
  // `before` may be empty: everything is since the server's start then. `state_bytes`: of a
  // session, by model.
  TopFrame(v1::GetStatsResponse now, const v1::GetStatsResponse& before,
           std::map<std::string, int64_t> state_bytes);

  // None longer than 80 columns, but for long names.
  std::vector<std::string> Lines(const std::string& server) const;
  void Write(JsonWriter* writer) const;

  const ModelRates& rates(const std::string& model) const { return rates_.at(model); }

 private:
  void AddModel(const v1::ModelStats& model, std::vector<std::string>* lines) const;
  int64_t DeviceBytes(const v1::ModelStats& model) const;

  const v1::GetStatsResponse now_;
  const std::map<std::string, int64_t> state_bytes_;
  std::map<std::string, ModelRates> rates_;
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_TOP_FRAME_H_
