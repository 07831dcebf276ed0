// A model's head as its files have it: what makes logits of hidden vectors.
#ifndef SSMD_TESTS_SUPPORT_HEAD_WEIGHTS_H_
#define SSMD_TESTS_SUPPORT_HEAD_WEIGHTS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "engine/formats/checkpoint.h"
#include "kernels/matrix_source.h"

namespace ssmd::testing {

class HeadWeights {
 public:
  // Of a checkpoint with plain numbers, named as state-spaces' and Hugging Face's are.
  explicit HeadWeights(const std::string& path) {
    const auto checkpoint = Checkpoint::Open(path);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    const TensorInfo* head = nullptr;
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      const bool own = absl::EndsWith(tensor.key(), "lm_head.weight");
      if (own || (head == nullptr && absl::StrContains(tensor.key(), "backbone.embedding"))) {
        head = &tensor;
      }
    }
    if (head == nullptr) {
      ADD_FAILURE() << path << " has no head";
      return;
    }
    kernels::MatrixSource source;
    source.data = head->data;
    source.outputs = head->shape[0];
    source.inputs = head->shape[1];
    source.source = head->type == TensorType::kBf16  ? kernels::MatrixSource::Type::kBf16
                    : head->type == TensorType::kF16 ? kernels::MatrixSource::Type::kF16
                                                     : kernels::MatrixSource::Type::kF32;
    rows_.assign(static_cast<size_t>(source.outputs),
                 std::vector<float>(static_cast<size_t>(source.inputs)));
    for (size_t row = 0; row < rows_.size(); ++row) {
      kernels::ReadSourceRow(source, static_cast<int64_t>(row), rows_[row].data());
    }
  }

  // In double.
  std::vector<double> Logits(const float* hidden) const {
    std::vector<double> logits;
    for (const std::vector<float>& row : rows_) {
      double& logit = logits.emplace_back(0);
      for (size_t i = 0; i < row.size(); ++i) logit += double{row[i]} * hidden[i];
    }
    return logits;
  }

 private:
  std::vector<std::vector<float>> rows_;  // (vocabulary, d_model)
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_HEAD_WEIGHTS_H_
