#include "engine/models/tensor_binder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

bool IsWeightType(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBf16 ||
         TensorTypeBlock(type) > 1;
}

}  // namespace

bool TensorBinder::AnyEndsWith(std::string_view suffix) const {
  return std::any_of(checkpoint_->tensors().begin(), checkpoint_->tensors().end(),
                     [&](const TensorInfo& tensor) { return tensor.key().ends_with(suffix); });
}

const TensorInfo* TensorBinder::Require(const std::string& name,
                                        const std::vector<int64_t>& shape) {
  wanted_.insert(name);
  const TensorInfo* tensor = checkpoint_->Find(name);
  if (tensor == nullptr) {
    AddProblem(name, absl::StrCat("is missing (expected shape ", DescribeShape(shape), ")"));
    return nullptr;
  }
  const bool shape_fits = tensor->shape == shape;
  const bool type_fits = IsWeightType(tensor->type);
  if (!shape_fits) {
    AddProblem(name, absl::StrCat("has shape ", DescribeShape(tensor->shape), ", expected ",
                                  DescribeShape(shape)));
  }
  if (!type_fits) {
    AddProblem(name, absl::StrCat("has type ", std::string(TensorTypeName(tensor->type)),
                                  ", expected F32, F16 or BF16"));
  }
  if (!shape_fits || !type_fits) return nullptr;
  bound_.push_back(tensor);
  return tensor;
}

const TensorInfo* TensorBinder::RequireMatrix(const std::string& name, int64_t outputs,
                                              int64_t inputs) {
  const TensorInfo* tensor = Require(name, {outputs, inputs});
  if (tensor != nullptr) matrix_elements_[tensor->type] += tensor->elements;
  return tensor;
}

void TensorBinder::AddProblem(const std::string& name, std::string_view reason) {
  problems_.push_back(
      absl::StrCat(Quoted(checkpoint_->NameInFile(name)), " ", std::string(reason)));
}

absl::Status TensorBinder::Finish() {
  for (const TensorInfo& tensor : checkpoint_->tensors()) {
    if (!wanted_.contains(tensor.key())) {
      AddProblem(tensor.key(),
                 absl::StrCat("is surplus (shape ", DescribeShape(tensor.shape), ")"));
    }
  }
  if (problems_.empty()) return absl::OkStatus();
  const size_t shown = std::min(problems_.size(), kMaxReportedTensors);
  const size_t hidden = problems_.size() - shown;
  return absl::InvalidArgumentError(absl::StrCat(
      "the checkpoint does not fit its configuration in ", problems_.size(),
      problems_.size() == 1 ? " tensor: " : " tensors: ",
      absl::StrJoin(problems_.begin(), problems_.begin() + static_cast<ptrdiff_t>(shown), "; "),
      hidden > 0 ? absl::StrCat("; and ", hidden, " more") : ""));
}

}  // namespace ssmd
