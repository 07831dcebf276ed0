#include "engine/state/layout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ssmd {
namespace {

constexpr size_t kAlignment = 64;

size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

absl::string_view KindName(StateKind kind) {
  switch (kind) {
    case StateKind::kConvRing:
      return "conv_ring";
    case StateKind::kSsm:
      return "ssm";
    case StateKind::kTokenShift:
      return "token_shift";
    case StateKind::kLinear:
      return "linear";
    case StateKind::kDelayLine:
      return "delay_line";
    case StateKind::kMemory:
      return "memory";
  }
  return "unknown";
}

}  // namespace

StatePlace StateLayout::Add(int layer, std::string name, StateKind kind,
                            std::vector<int64_t> shape) {
  size_t elements = 1;
  for (const int64_t dimension : shape) elements *= static_cast<size_t>(dimension);
  StateFieldSpec field;
  field.layer = layer;
  field.name = std::move(name);
  field.shape = std::move(shape);
  field.kind = kind;
  if (kind == StateKind::kSsm) field.format = ssm_;
  if (kind == StateKind::kDelayLine || kind == StateKind::kMemory) {
    field.format = kernels::StateFormat::kF64;
  }
  field.offset = bytes_;
  field.bytes = elements * kernels::StateFormatBytes(field.format);
  bytes_ = AlignUp(bytes_ + field.bytes);
  const StatePlace place = {field.offset, field.format, static_cast<uint32_t>(layer)};
  fields_.push_back(std::move(field));
  return place;
}

std::string StateLayout::Describe() const {
  std::string text;
  for (const StateFieldSpec& field : fields_) {
    absl::StrAppend(&text, "layer ", field.layer, " ", field.name, " ", KindName(field.kind), " ",
                    std::string(kernels::StateFormatName(field.format)), " ",
                    absl::StrJoin(field.shape, "x"), " at ", field.offset, "\n");
  }
  return text;
}

}  // namespace ssmd
