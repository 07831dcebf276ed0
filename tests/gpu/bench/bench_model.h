// A model with random weights, on a device and without an engine: every layer has weights and
// states of its own, so that no cache holds what a real model's steps would read from memory.
//
// Thread-compatible, as its device, which outlives it.
#ifndef SSMD_TESTS_GPU_BENCH_BENCH_MODEL_H_
#define SSMD_TESTS_GPU_BENCH_BENCH_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/gpu/bench/shapes.h"

namespace ssmd::gpu_bench {

// What a model has room for.
struct Room {
  int64_t rows = 0;
  int64_t slots = 0;  // states, which are also the rows of logits
};

// One kind of op, in all layers that have it.
struct Part {
  std::string name;
  bool of_weights = false;  // depends on the format of the weights
  int64_t count = 0;        // of ops
  // Of one op: what it reads and writes, each once, and multiply-adds of products as two.
  double bytes = 0;
  double flops = 0;
  std::function<void(const kernels::StepIndices&)> run;  // all of them
};

class BenchModel {
 public:
  // Null where memory is short.
  static std::unique_ptr<BenchModel> Make(kernels::Device& device, const Shape& shape,
                                          kernels::WeightFormat format, const Room& room);

  // Without the head, which follows where tokens are drawn.
  void Step(const kernels::StepIndices& step);
  // Of the first `rows` of what the step normalised for it.
  kernels::MatMulParams Head(int64_t rows) const;
  // Greedy draws of as many, which the host has when it returns.
  void DrawTokens(int64_t rows);

  // The kinds of op of such a step. `chunked`: the Mamba-2 recurrence by chunks, in prompts.
  std::vector<Part> Parts(const Load& load);

  // Prompts of Mamba-2 go by chunks from here on, or token by token, as at first.
  void UseChunks(bool chunked) { chunked_ = chunked; }
  bool chunked() const { return chunked_; }

  const Shape& shape() const { return shape_; }
  kernels::WeightFormat format() const { return format_; }
  std::byte* slot(int64_t i) const {
    return states_.data() + static_cast<size_t>(i) * shape_.slot_bytes();
  }
  int64_t slots() const { return static_cast<int64_t>(states_.bytes() / shape_.slot_bytes()); }
  double weight_bytes() const { return weight_bytes_; }  // that a step reads, all of them once
  double ProductFlops(int64_t rows, int64_t logit_rows) const;

 private:
  struct Layer {
    kernels::PackedMatrix in_proj, x_proj, dt_proj, out_proj;
    kernels::Buffer norm, gated_norm, conv, conv_bias, dt_bias, a, d;
    size_t ring_offset = 0;
    size_t ssm_offset = 0;
  };

  BenchModel(kernels::Device& device, const Shape& shape, kernels::WeightFormat format)
      : device_(device), shape_(shape), format_(format) {}
  bool Allocate(const Room& room);
  bool MakeVectors(Layer* layer);
  bool MakeMatrices();
  // On the device, counted as weights.
  kernels::Buffer Floats(const std::vector<float>& values);
  bool MakeMatrixOfLayers(int64_t outputs, int64_t inputs, kernels::WeightFormat format,
                          kernels::PackedMatrix Layer::*matrix);

  kernels::MambaLayerParams MambaParams(const Layer& layer, const kernels::StepIndices& step) const;
  kernels::Mamba2LayerParams Mamba2Params(const Layer& layer,
                                          const kernels::StepIndices& step) const;
  kernels::EmbedParams Embed(const kernels::StepIndices& step) const;
  kernels::RmsNormParams Norm(const kernels::Buffer& weight, const int32_t* row_index,
                              int64_t rows) const;
  kernels::MatMulParams Product(const kernels::PackedMatrix& w, const float* x, int64_t x_stride,
                                int64_t rows, float* out) const;
  kernels::MatMulParams AddToResidual(const kernels::PackedMatrix& w, const float* x,
                                      int64_t x_stride, int64_t rows) const;
  kernels::ConvSiluParams Conv(const Layer& layer, const kernels::StepIndices& step, const float* x,
                               float* out) const;
  kernels::StateField Field(size_t offset, kernels::StateFormat format) const {
    return {states_.data(), shape_.slot_bytes(), offset, format, 0};
  }
  void AddMambaParts(const Load& load, std::vector<Part>* parts);
  void AddMamba2Parts(const Load& load, std::vector<Part>* parts);
  // Adds `part`, of which `run` does one layer's.
  template <typename Params>
  void AddPart(Part part,
               Params (BenchModel::*params_of)(const Layer&, const kernels::StepIndices&) const,
               void (*run)(kernels::Device&, const std::type_identity_t<Params>&),
               std::vector<Part>* parts);
  Part ProductPart(const std::string& name, const kernels::PackedMatrix& w, int64_t rows,
                   bool adds) const;
  double ConvBytes(const Load& load) const;

  kernels::Device& device_;
  const Shape shape_;
  const kernels::WeightFormat format_;
  bool chunked_ = false;
  double weight_bytes_ = 0;

  std::vector<Layer> layers_;
  kernels::PackedMatrix vocabulary_;  // the embedding, and the head
  kernels::Buffer final_norm_;
  kernels::Buffer residual_, normalised_, projected_, inner_, dt_, dbc_, chunk_scratch_, logits_;
  kernels::Buffer states_;
  std::vector<kernels::SampleRow> draws_;
  std::vector<uint8_t> keep_;
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_BENCH_MODEL_H_
