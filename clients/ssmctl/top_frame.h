// One frame of `ssmctl top`: a server's figures, and rates and latencies since the look before.
#ifndef SSMD_CLIENTS_SSMCTL_TOP_FRAME_H_
#define SSMD_CLIENTS_SSMCTL_TOP_FRAME_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "clients/ssmctl/json_writer.h"
#include "clients/ssmctl/latency.h"
#include "ssmd/v1/admin.pb.h"

namespace ssmd::ctl {

struct ModelRates {
  double sampled_per_second = 0;
  double read_per_second = 0;
  double steps_per_second = 0;
  std::optional<Percentiles> first_token;  // nothing when there was none
  std::optional<Percentiles> inter_token;
  std::optional<double> prefix_hit_rate;  // of the tokens that were looked up
};

class TopFrame {
 public:
  // `before` may be empty: everything is since the server's start then. `state_bytes`: of a
  // session, by model.
  TopFrame(v1::GetStatsResponse now, const v1::GetStatsResponse& before,
           std::map<std::string, int64_t> state_bytes);

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
