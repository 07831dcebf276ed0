// The parts of a step, op by op, with what each has to move and to multiply.
#include <algorithm>
#include <utility>

#include "tests/gpu/bench/bench_model.h"

namespace ssmd::gpu_bench {
namespace {

using kernels::Device;
using kernels::PackedMatrix;
using kernels::StepIndices;

// Bytes of f32 activations.
double FloatBytes(int64_t rows, int64_t columns) {
  return 4.0 * static_cast<double>(rows * columns);
}

Part OpPart(const char* name, double bytes) {
  Part part;
  part.name = name;
  part.bytes = bytes;
  return part;
}

}  // namespace

Part BenchModel::ProductPart(const std::string& name, const PackedMatrix& w, int64_t rows,
                             bool adds) const {
  Part part;
  part.name = name;
  part.of_weights = w.may_round_inputs;
  part.count = shape_.layers;
  part.bytes =
      static_cast<double>(w.bytes()) + FloatBytes(rows, w.inputs + (adds ? 2 : 1) * w.outputs);
  part.flops = 2.0 * static_cast<double>(rows * w.outputs * w.inputs);
  return part;
}

// Of the ring, the columns that lie before the segment are read, and those of its own tokens
// written.
double BenchModel::ConvBytes(const Load& load) const {
  const int64_t columns = Shape::kConvWidth - 1;
  const int64_t ring = load.sessions * (columns + std::min(load.tokens, columns));
  return FloatBytes(2 * load.rows() + ring + Shape::kConvWidth, shape_.conv_channels());
}

template <typename Params>
void BenchModel::AddPart(Part part,
                         Params (BenchModel::*params_of)(const Layer&, const StepIndices&) const,
                         void (*run)(Device&, const std::type_identity_t<Params>&),
                         std::vector<Part>* parts) {
  part.count = shape_.layers;
  part.run = [this, params_of, run](const StepIndices& step) {
    for (const Layer& layer : layers_) run(device_, (this->*params_of)(layer, step));
  };
  parts->push_back(std::move(part));
}

void BenchModel::AddMambaParts(const Load& load, std::vector<Part>* parts) {
  const int64_t rows = load.rows();
  const auto states = static_cast<double>(shape_.ssm_bytes());
  const double scan = 2.0 * static_cast<double>(load.sessions) * states +
                      FloatBytes(1, shape_.ssm_elements()) +  // `a`
                      FloatBytes(rows, 4 * shape_.inner() + 2 * shape_.state_size());
  const Layer& first = layers_[0];
  using Params = kernels::MambaLayerParams;
  const auto add = [&](Part part, void (*run)(Device&, const Params&)) {
    AddPart(std::move(part), &BenchModel::MambaParams, run, parts);
  };
  add(OpPart("norm", FloatBytes(2 * rows, shape_.d_model)),
      [](Device& device, const Params& p) { device.RmsNorm(p.norm); });
  add(ProductPart("in_proj", first.in_proj, rows, false),
      [](Device& device, const Params& p) { device.MatMul(p.in_proj); });
  add(OpPart("conv", ConvBytes(load)),
      [](Device& device, const Params& p) { device.ConvSilu(p.conv); });
  add(ProductPart("x_proj", first.x_proj, rows, false),
      [](Device& device, const Params& p) { device.MatMul(p.x_proj); });
  add(ProductPart("dt_proj", first.dt_proj, rows, false),
      [](Device& device, const Params& p) { device.MatMul(p.dt_proj); });
  add(OpPart("scan", scan), [](Device& device, const Params& p) { device.SelectiveScan(p.scan); });
  add(ProductPart("out_proj", first.out_proj, rows, true),
      [](Device& device, const Params& p) { device.MatMul(p.out_proj); });
}

void BenchModel::AddMamba2Parts(const Load& load, std::vector<Part>* parts) {
  const int64_t rows = load.rows();
  const auto states = static_cast<double>(shape_.ssm_bytes());
  const double scan =
      2.0 * static_cast<double>(load.sessions) * states +
      FloatBytes(rows, 2 * shape_.inner() + 2 * shape_.state_size() + shape_.heads());
  const Layer& first = layers_[0];
  using Params = kernels::Mamba2LayerParams;
  const auto add = [&](Part part, void (*run)(Device&, const Params&)) {
    AddPart(std::move(part), &BenchModel::Mamba2Params, run, parts);
  };
  add(OpPart("norm", FloatBytes(2 * rows, shape_.d_model)),
      [](Device& device, const Params& p) { device.RmsNorm(p.norm); });
  add(ProductPart("in_proj", first.in_proj, rows, false),
      [](Device& device, const Params& p) { device.MatMul(p.in_proj); });
  add(OpPart("conv", ConvBytes(load)),
      [](Device& device, const Params& p) { device.ConvSilu(p.conv); });
  add(OpPart(chunked_ && !load.decodes() ? "scan_chunked" : "scan", scan),
      [](Device& device, const Params& p) { device.SsdScan(p.scan); });
  add(OpPart("gated_norm", FloatBytes(3 * rows, shape_.inner())),
      [](Device& device, const Params& p) { device.GatedRmsNorm(p.gated_norm); });
  add(ProductPart("out_proj", first.out_proj, rows, true),
      [](Device& device, const Params& p) { device.MatMul(p.out_proj); });
}

std::vector<Part> BenchModel::Parts(const Load& load) {
  std::vector<Part> parts;
  const double table_row =
      static_cast<double>(vocabulary_.bytes()) / static_cast<double>(shape_.vocabulary);
  Part embed = OpPart("embed", FloatBytes(load.rows(), shape_.d_model) +
                                   static_cast<double>(load.rows()) * table_row);
  embed.count = 1;
  embed.run = [this](const StepIndices& step) { device_.Embed(Embed(step)); };
  parts.push_back(std::move(embed));
  if (shape_.mamba2) {
    AddMamba2Parts(load, &parts);
  } else {
    AddMambaParts(load, &parts);
  }
  Part norm = OpPart("final_norm", FloatBytes(2 * load.sessions, shape_.d_model));
  norm.count = 1;
  norm.run = [this](const StepIndices& step) {
    device_.RmsNorm(Norm(final_norm_, step.logit_rows, step.logit_row_count));
  };
  parts.push_back(std::move(norm));
  Part head = ProductPart("head", vocabulary_, load.sessions, false);
  head.count = 1;
  head.run = [this](const StepIndices& step) { device_.MatMul(Head(step.logit_row_count)); };
  parts.push_back(std::move(head));
  return parts;
}

}  // namespace ssmd::gpu_bench
