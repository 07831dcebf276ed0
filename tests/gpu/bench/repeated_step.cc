#include "tests/gpu/bench/repeated_step.h"

namespace ssmd::gpu_bench {
namespace {

// Sessions have come that far: their states are not empty.
constexpr int64_t kPosition = 2048;

}  // namespace

std::optional<RepeatedStep> RepeatedStep::Make(kernels::Device& device, const Load& load) {
  RepeatedStep step;
  for (int64_t session = 0; session < load.sessions; ++session) {
    const auto slot = static_cast<int32_t>(session);
    const auto first = static_cast<int32_t>(session * load.tokens);
    const auto length = static_cast<int32_t>(load.tokens);
    step.segments_.push_back({first, length, slot, slot, kPosition});
    step.logit_rows_.push_back(first + length - 1);
  }
  for (int64_t row = 0; row < load.rows(); ++row) {
    step.token_ids_.push_back(static_cast<int32_t>(row * 31 % 256));
  }
  const auto upload = [&device](const auto& values, kernels::Buffer* buffer) {
    const size_t bytes = values.size() * sizeof(values[0]);
    *buffer = device.Allocate(bytes);
    if (!*buffer) return false;
    device.Upload(buffer->data(), reinterpret_cast<const std::byte*>(values.data()), bytes);
    return true;
  };
  const bool uploaded = upload(step.segments_, &step.device_segments_) &&
                        upload(step.token_ids_, &step.device_token_ids_) &&
                        upload(step.logit_rows_, &step.device_logit_rows_);
  if (!uploaded) return std::nullopt;
  return step;
}

kernels::StepIndices RepeatedStep::on_host() const {
  return {token_ids_.data(),  static_cast<int64_t>(token_ids_.size()),
          segments_.data(),   static_cast<int64_t>(segments_.size()),
          logit_rows_.data(), static_cast<int64_t>(logit_rows_.size())};
}

kernels::StepIndices RepeatedStep::on_device() const {
  kernels::StepIndices step = on_host();
  step.token_ids = device_token_ids_.as<int32_t>();
  step.segments = device_segments_.as<kernels::Segment>();
  step.logit_rows = device_logit_rows_.as<int32_t>();
  return step;
}

}  // namespace ssmd::gpu_bench
