#include "engine/models/mixers/rtf.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/linear_tensors.h"
#include "engine/models/mixers/prepare_rtf.h"
#include "engine/models/mixers/time_invariant.h"
#include "kernels/linear_ops.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

using kernels::kChannelBlock;

constexpr std::string_view kRtfMembers[] = {"d_state", "num_a", "trunc_len"};

struct RtfConfig : TimeInvariantConfig {
  int64_t delays = 0;     // N
  int64_t num_a = 0;      // denominators, each of d_model / num_a neighbouring channels
  int64_t trunc_len = 0;  // of the kernel that it was trained by

  int64_t group() const { return d_model / num_a; }
  int64_t scan_operations() const { return 4 * d_model * delays; }  // in double
  std::string Describe() const {
    return absl::StrFormat("rtf delays=%d num_a=%d trunc_len=%d output=%s", delays, num_a,
                           trunc_len, output());
  }
};

class RtfMixer final : public TimeInvariantMixer {
 public:
  RtfMixer(const RtfConfig& config, const std::string& prefix, TensorBinder* binder)
      : TimeInvariantMixer(config, prefix, binder), config_(config) {
    a_ = binder->Require(prefix + "a", {config.num_a, config.delays});
    b_ = binder->Require(prefix + "b", {config.d_model, config.delays});
    h0_ = binder->Require(prefix + "h_0", {config.d_model});
  }

  void DeclareState(int layer, StateLayout* layout) override {
    state_ = layout->Add(layer, "delay_line", StateKind::kDelayLine,
                         {kernels::PaddedChannels(config_.d_model) / kChannelBlock, 2,
                          config_.delays, kChannelBlock});
  }

 private:
  absl::Status PrepareSsm(WeightLoader* loader) override;
  void Ssm(const MixerStep& step, float* scratch, float* y) const override;

  absl::StatusOr<std::vector<RtfGroup>> LoadGroups(WeightLoader* loader) const;
  absl::Status CheckPoles(const RtfGroup& group, int64_t index) const;
  // Of a channel's delays, into the kernel's layout.
  void Put(const std::vector<double>& values, int64_t channel, std::vector<double>* table) const;

  const RtfConfig& config_;
  const TensorInfo* a_;  // the tensors: until PrepareSsm has read them
  const TensorInfo* b_;
  const TensorInfo* h0_;
  StatePlace state_;
  kernels::Buffer numerator_, denominator_, d_;
};

absl::StatusOr<std::vector<RtfGroup>> RtfMixer::LoadGroups(WeightLoader* loader) const {
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> a, LoadDoubles(*a_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> b, LoadDoubles(*b_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> h0, LoadDoubles(*h0_, loader));
  const auto row = [this](const std::vector<double>& values, int64_t i) {
    return std::vector<double>(values.begin() + i * config_.delays,
                               values.begin() + (i + 1) * config_.delays);
  };
  std::vector<RtfGroup> groups(static_cast<size_t>(config_.num_a));
  for (int64_t channel = 0; channel < config_.d_model; ++channel) {
    const int64_t index = channel / config_.group();
    RtfGroup& group = groups[static_cast<size_t>(index)];
    if (group.a.empty()) group.a = row(a, index);
    group.b.push_back(row(b, channel));
    group.h0.push_back(h0[static_cast<size_t>(channel)]);
  }
  return groups;
}

absl::Status RtfMixer::CheckPoles(const RtfGroup& group, int64_t index) const {
  const double largest = LargestPole(group.a);
  if (largest < 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("weight ", Quoted(a_->name), " has a pole of magnitude ", largest, " in row ",
                   index, ", of channels from ", index * config_.group(),
                   " on: it is not inside the unit circle, so a state would grow without bound"));
}

void RtfMixer::Put(const std::vector<double>& values, int64_t channel,
                   std::vector<double>* table) const {
  const int64_t block = channel / kChannelBlock * config_.delays;
  for (int64_t i = 0; i < config_.delays; ++i) {
    (*table)[static_cast<size_t>((block + i) * kChannelBlock + channel % kChannelBlock)] =
        values[static_cast<size_t>(i)];
  }
}

absl::Status RtfMixer::PrepareSsm(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<RtfGroup> groups, LoadGroups(loader));
  std::vector<double> numerator(
      static_cast<size_t>(kernels::PaddedChannels(config_.d_model) * config_.delays));
  std::vector<double> denominator(numerator.size());
  std::vector<double> d;
  int64_t channel = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    SSMD_RETURN_IF_ERROR(CheckPoles(groups[g], static_cast<int64_t>(g)));
    const RtfRecurrence recurrence = UnfoldKernel(groups[g], config_.trunc_len);
    for (size_t i = 0; i < recurrence.d.size(); ++i, ++channel) {
      Put(groups[g].a, channel, &denominator);
      Put(recurrence.numerator[i], channel, &numerator);
      d.push_back(recurrence.d[i]);
      for (const double c : recurrence.numerator[i]) {
        SSMD_RETURN_IF_ERROR(Narrow(c, b_->name, channel * config_.delays).status());
      }
      SSMD_RETURN_IF_ERROR(Narrow(d.back(), h0_->name, channel).status());
    }
  }
  SSMD_ASSIGN_OR_RETURN(numerator_, loader->Upload(numerator, b_->name));
  SSMD_ASSIGN_OR_RETURN(denominator_, loader->Upload(denominator, a_->name));
  SSMD_ASSIGN_OR_RETURN(d_, loader->Upload(d, h0_->name));
  a_ = b_ = h0_ = nullptr;
  return absl::OkStatus();
}

void RtfMixer::Ssm(const MixerStep& step, float* /*scratch*/, float* y) const {
  auto scan = ScanOf<kernels::DifferenceScanParams>(step, config_.d_model, y);
  scan.delays = config_.delays;
  scan.numerator = numerator_.as<double>();
  scan.denominator = denominator_.as<double>();
  scan.d = d_.as<double>();
  scan.state = step.pool->field(state_);
  step.device->DifferenceScan(scan);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRtf(const ModelConfig& config,
                                                      const ConfigObject& members) {
  RtfConfig rtf;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kRtfMembers, &rtf));
  SSMD_ASSIGN_OR_RETURN(rtf.delays, members.Int("d_state", 1, kernels::kMaxModes));
  SSMD_ASSIGN_OR_RETURN(rtf.num_a, members.Int("num_a", 1, rtf.d_model));
  if (rtf.d_model % rtf.num_a != 0) {
    return members.Error("num_a",
                         absl::StrCat("must divide d_model = ", rtf.d_model, ", got ", rtf.num_a));
  }
  SSMD_ASSIGN_OR_RETURN(rtf.trunc_len, members.Int("trunc_len", 1, kMaxTaps));
  return std::make_unique<TimeInvariantFamily<RtfConfig, RtfMixer>>(rtf);
}

}  // namespace ssmd
