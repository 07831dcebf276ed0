// Any bytes as a GGUF file: refused, or every tensor and string lies within them, the metadata give
// a configuration within its limits or an error, and the tokenizer inside encodes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/formats/gguf_names.h"
#include "engine/models/config_object.h"
#include "engine/models/gguf_metadata.h"
#include "engine/models/model_config.h"
#include "engine/models/registry.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/gguf_tokenizer.h"

namespace {

void CheckExtents(const ssmd::Gguf& gguf, const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  for (const ssmd::TensorInfo& tensor : gguf.tensors()) {
    if (tensor.data < begin || tensor.bytes > size) std::abort();
    if (tensor.data + tensor.bytes > begin + size) std::abort();
    const auto blocks = static_cast<size_t>(tensor.elements / ssmd::TensorTypeBlock(tensor.type));
    if (tensor.bytes != blocks * ssmd::TensorTypeBytes(tensor.type)) std::abort();
    ssmd::TensorInfo named = tensor;
    ssmd::TakeModelName("mamba2", &named);
    int64_t elements = 1;
    for (const int64_t dimension : named.shape) elements *= dimension;
    if (elements != tensor.elements) std::abort();
  }
  const char* const end = reinterpret_cast<const char*>(data) + size;
  for (const auto& [key, value] : gguf.metadata()) {
    if (key.data() + key.size() > end) std::abort();
    if (value.Describe().empty()) std::abort();
    const auto strings = value.AsStrings();
    if (!strings) continue;
    for (const std::string_view text : *strings) {
      if (text.data() + text.size() > end) std::abort();
    }
  }
}

void CheckConfig(const ssmd::Gguf& gguf) {
  const auto document = ssmd::ReadGgufMetadata(gguf);
  if (!document.ok()) std::abort();
  const ssmd::ConfigObject root(document->root(), "fuzz: ");
  const auto config = ssmd::ParseGgufConfig(root, 100);
  if (!config.ok()) return;
  for (const int32_t id : config->eos_token_ids) {
    if (id < 0 || id >= 100) std::abort();
  }
  const auto stack = ssmd::PlanStack(*config, root);
  if (!stack.ok()) return;
  if (config->d_model < 1 || config->layers < 1) std::abort();
  const int64_t scratch = stack->scratch_floats_per_row();
  if (scratch < 1 || scratch > 5 * ssmd::kMaxInnerWidth) std::abort();
}

void CheckTokenizer(const ssmd::Gguf& gguf) {
  auto parts = ssmd::ReadGgufTokenizer(gguf);
  if (!parts.ok()) return;
  const auto tokenizer = ssmd::MakeByteLevelBpe(*std::move(parts));
  if (!tokenizer.ok()) return;
  const auto ids = (*tokenizer)->Encode("<s>ab  ab \xC3\xA9 12345'll\n\n", {.parse_special = true});
  if (!ids.ok()) return;
  for (const int32_t id : *ids) {
    if (id < 0 || id >= (*tokenizer)->size() || (*tokenizer)->TokenBytes(id).empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto gguf = ssmd::Gguf::Parse(reinterpret_cast<const std::byte*>(data), size, "fuzz");
  if (!gguf.ok()) return 0;
  CheckExtents(*gguf, data, size);
  CheckConfig(*gguf);
  CheckTokenizer(*gguf);
  return 0;
}
