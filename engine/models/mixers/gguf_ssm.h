// The sizes of Mamba layers as the metadata of a GGUF file has them.
#ifndef SSMD_ENGINE_MODELS_MIXERS_GGUF_SSM_H_
#define SSMD_ENGINE_MODELS_MIXERS_GGUF_SSM_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"

namespace ssmd {

struct GgufSsmSizes {
  int64_t conv_width = 0;
  int64_t d_inner = 0;
  int64_t state_size = 0;
  int64_t dt_rank = 0;  // of Mamba-2: the number of heads
  int64_t groups = 1;   // of B and C; Mamba-2 alone has several
};

// Keys are "<architecture>.ssm.…". All are required, ssm.group_count for "mamba2" alone. Of
// "mamba2", the heads divide d_inner and the groups divide the heads.
absl::StatusOr<GgufSsmSizes> ReadGgufSsmSizes(std::string_view architecture,
                                              const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_GGUF_SSM_H_
