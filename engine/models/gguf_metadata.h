// The metadata of a GGUF file as a configuration: what config.json is to a folder.
#ifndef SSMD_ENGINE_MODELS_GGUF_METADATA_H_
#define SSMD_ENGINE_MODELS_GGUF_METADATA_H_

#include "absl/status/statusor.h"
#include "engine/formats/gguf.h"
#include "engine/formats/json.h"

namespace ssmd {

// An object of the scalars, under the file's own keys: "mamba.ssm.state_size": 16. Arrays are left
// out, and so are keys and strings that are longer, or odder, than any of a configuration.
absl::StatusOr<JsonDocument> ReadGgufMetadata(const Gguf& gguf);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_GGUF_METADATA_H_
