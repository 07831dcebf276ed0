#include "engine/formats/gguf_tensor_type.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

constexpr std::pair<uint32_t, TensorType> kReadTypes[] = {
    {0, TensorType::kF32},   {1, TensorType::kF16},  {30, TensorType::kBf16},
    {8, TensorType::kQ8_0},  {2, TensorType::kQ4_0}, {12, TensorType::kQ4_K},
    {14, TensorType::kQ6_K},
};

// Others that files have, by name, so that an error says which.
constexpr std::pair<uint32_t, std::string_view> kOtherTypes[] = {
    {3, "Q4_1"},     {6, "Q5_0"},   {7, "Q5_1"},    {9, "Q8_1"},     {10, "Q2_K"},
    {11, "Q3_K"},    {13, "Q5_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"},
    {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},   {22, "IQ2_S"},
    {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {26, "I32"},     {27, "I64"},
    {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"},
};

}  // namespace

std::optional<TensorType> GgufTensorType(uint32_t number) {
  for (const auto& [known, type] : kReadTypes) {
    if (known == number) return type;
  }
  return std::nullopt;
}

std::string DescribeGgufTensorType(uint32_t number) {
  std::string text = absl::StrCat(number);
  for (const auto& [known, name] : kOtherTypes) {
    if (known == number) text = std::string(name);
  }
  absl::StrAppend(&text, ", which is not supported; these are: ");
  const char* separator = "";
  for (const auto& [known, type] : kReadTypes) {
    absl::StrAppend(&text, separator, View(TensorTypeName(type)));
    separator = ", ";
  }
  return text;
}

}  // namespace ssmd
