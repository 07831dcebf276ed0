#include "engine/models/mixers/rwkv.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/rwkv4.h"
#include "engine/models/mixers/rwkv5.h"
#include "engine/models/mixers/rwkv6.h"
#include "engine/models/mixers/rwkv7.h"

namespace ssmd {
namespace {

constexpr int64_t kDefaultHeadDim = 64;
constexpr std::string_view kMixerMembers[] = {"type", "head_dim"};
constexpr std::string_view kMixer4Members[] = {"type"};
constexpr std::string_view kChannelMembers[] = {"type", "d_inner"};

class TimeMixingFamily final : public MixerFamily {
 public:
  explicit TimeMixingFamily(const RwkvTimeMixing& config) : config_(config) {}

  std::string Describe() const override {
    std::string text = absl::StrCat("time_mixing=", config_.version, " d_inner=", config_.d_inner);
    if (config_.version > 4) {
      absl::StrAppendFormat(&text, " head_dim=%d group_eps=%.9g", config_.head_dim,
                            config_.group_eps);
    }
    return text;
  }
  int64_t scratch_floats_per_row() const override {
    switch (config_.version) {
      case 4:
        return Rwkv4ScratchFloatsPerRow(config_);
      case 5:
        return Rwkv5ScratchFloatsPerRow(config_);
      case 6:
        return Rwkv6ScratchFloatsPerRow(config_);
      default:
        return Rwkv7ScratchFloatsPerRow(config_);
    }
  }
  int64_t scan_operations() const override {
    // RWKV-4: three exponentials of 13, and 18.
    if (config_.version == 4) return 57 * config_.d_inner;
    return (config_.version == 7 ? 5 : 3) * config_.d_inner * config_.head_dim;
  }
  int64_t shared_floats_per_row() const override {
    return config_.version == 7 ? Rwkv7SharedFloatsPerRow(config_) : 0;
  }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    switch (config_.version) {
      case 4:
        return BindRwkv4(config_, place, binder);
      case 5:
        return BindRwkv5(config_, place, binder);
      case 6:
        return BindRwkv6(config_, place, binder);
      default:
        return BindRwkv7(config_, place, binder);
    }
  }

 private:
  const RwkvTimeMixing config_;
};

}  // namespace

std::unique_ptr<MixerFamily> MakeRwkvTimeMixing(const RwkvTimeMixing& config) {
  return std::make_unique<TimeMixingFamily>(config);
}

absl::Status CheckRwkvHeads(const RwkvTimeMixing& config, const ConfigObject& members,
                            std::string_view key) {
  if (config.version == 4) return absl::OkStatus();
  if (config.d_inner % config.head_dim != 0) {
    return members.Error(key, absl::StrCat("must divide ", config.d_inner,
                                           ", the width of all "
                                           "heads, got ",
                                           config.head_dim));
  }
  if (config.version == 7 && config.head_dim % kernels::kVectorLanes != 0) {
    return members.Error(key, absl::StrCat("must be a multiple of ", kernels::kVectorLanes,
                                           ", got ", config.head_dim));
  }
  return absl::OkStatus();
}

template <int kVersion>
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvTimeMixing(const ModelConfig& config,
                                                                 const ConfigObject& members) {
  RwkvTimeMixing mixing;
  mixing.version = kVersion;
  mixing.d_model = mixing.d_inner = config.d_model;
  if (kVersion == 4) {
    SSMD_RETURN_IF_ERROR(members.AllowOnly(kMixer4Members));
    return MakeRwkvTimeMixing(mixing);
  }
  SSMD_RETURN_IF_ERROR(members.AllowOnly(kMixerMembers));
  SSMD_ASSIGN_OR_RETURN(mixing.head_dim, members.IntOr("head_dim", kDefaultHeadDim, kMinRwkvHead,
                                                       kernels::kMaxWkvHead));
  SSMD_RETURN_IF_ERROR(CheckRwkvHeads(mixing, members, "head_dim"));
  return MakeRwkvTimeMixing(mixing);
}

template <int kVersion>
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvChannelMixing(const ModelConfig& config,
                                                                    const ConfigObject& members) {
  SSMD_RETURN_IF_ERROR(members.AllowOnly(kChannelMembers));
  RwkvChannelMixing mixing;
  mixing.version = kVersion;
  mixing.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(mixing.d_inner, members.Int("d_inner", 1, kMaxInnerWidth));
  return MakeRwkvChannelMixing(mixing);
}

#define SSMD_RWKV_PARSERS(version)                                                       \
  template absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvTimeMixing<version>(    \
      const ModelConfig&, const ConfigObject&);                                          \
  template absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvChannelMixing<version>( \
      const ModelConfig&, const ConfigObject&)
SSMD_RWKV_PARSERS(4);
SSMD_RWKV_PARSERS(5);
SSMD_RWKV_PARSERS(6);
SSMD_RWKV_PARSERS(7);
#undef SSMD_RWKV_PARSERS

}  // namespace ssmd
