#include "engine/formats/tensor_info.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ssmd {
namespace {

struct TensorTypeRow {
  TensorType type;
  std::string_view name;
  int64_t block;
  size_t bytes;
};
constexpr std::array<TensorTypeRow, 19> kTensorTypes = {{
    {TensorType::kBool, "BOOL", 1, 1},      {TensorType::kU8, "U8", 1, 1},
    {TensorType::kI8, "I8", 1, 1},          {TensorType::kF8E4M3, "F8_E4M3", 1, 1},
    {TensorType::kF8E5M2, "F8_E5M2", 1, 1}, {TensorType::kI16, "I16", 1, 2},
    {TensorType::kU16, "U16", 1, 2},        {TensorType::kF16, "F16", 1, 2},
    {TensorType::kBf16, "BF16", 1, 2},      {TensorType::kI32, "I32", 1, 4},
    {TensorType::kU32, "U32", 1, 4},        {TensorType::kF32, "F32", 1, 4},
    {TensorType::kI64, "I64", 1, 8},        {TensorType::kU64, "U64", 1, 8},
    {TensorType::kF64, "F64", 1, 8},        {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ4_0, "Q4_0", 32, 18},    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
}};

// The rows are in the order of the enumeration.
const TensorTypeRow& RowOf(TensorType type) { return kTensorTypes[static_cast<size_t>(type)]; }

}  // namespace

std::string_view TensorTypeName(TensorType type) { return RowOf(type).name; }
int64_t TensorTypeBlock(TensorType type) { return RowOf(type).block; }
size_t TensorTypeBytes(TensorType type) { return RowOf(type).bytes; }

std::string DescribeShape(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace ssmd
