#include "tests/gpu/bench/bench_model.h"

#include <cmath>
#include <utility>

#include "tests/gpu/bench/random_numbers.h"

namespace ssmd::gpu_bench {

using kernels::Buffer;
using kernels::ConvSiluParams;
using kernels::MatMulParams;
using kernels::PackedMatrix;
using kernels::StepIndices;
using kernels::WeightFormat;

namespace {

constexpr float kNormEps = 1e-5f;
// What makes Δ about 0.02.
constexpr float kDtBias = -4;

// As the engine keeps them (engine/models/weight_loader.h): what feeds the recurrence stays bf16,
// and the vocabulary q8.
bool IsQuantised(WeightFormat format) {
  return format == WeightFormat::kQ8 || format == WeightFormat::kQ4 || format == WeightFormat::kFp8;
}
WeightFormat SelectionFormat(WeightFormat asked) {
  return IsQuantised(asked) ? WeightFormat::kBf16 : asked;
}
WeightFormat VocabularyFormat(WeightFormat asked) {
  return IsQuantised(asked) ? WeightFormat::kQ8 : asked;
}

}  // namespace

std::unique_ptr<BenchModel> BenchModel::Make(kernels::Device& device, const Shape& shape,
                                             WeightFormat format, const Room& room) {
  std::unique_ptr<BenchModel> model(new BenchModel(device, shape, format));
  const bool made = model->Allocate(room) && model->MakeMatrices();
  return made ? std::move(model) : nullptr;
}

bool BenchModel::Allocate(const Room& room) {
  bool all = true;
  const auto floats = [&](int64_t rows, int64_t columns) {
    Buffer buffer = device_.Allocate(static_cast<size_t>(rows * columns) * sizeof(float));
    all = all && buffer;
    return buffer;
  };
  residual_ = floats(room.rows, shape_.d_model);
  normalised_ = floats(room.rows, shape_.d_model);
  projected_ = floats(room.rows, shape_.projection());
  inner_ = floats(room.rows, shape_.conv_channels());
  dt_ = floats(room.rows, shape_.inner());
  dbc_ = floats(room.rows, shape_.dbc());
  chunk_scratch_ = floats(room.rows, kernels::SsdChunkScratch(1, shape_.state_size()));
  logits_ = floats(room.slots, shape_.vocabulary);
  states_ = device_.Allocate(static_cast<size_t>(room.slots) * shape_.slot_bytes());
  return all && states_;
}

Buffer BenchModel::Floats(const std::vector<float>& values) {
  const size_t bytes = values.size() * sizeof(float);
  weight_bytes_ += static_cast<double>(bytes);
  Buffer buffer = device_.Allocate(bytes);
  if (buffer)
    device_.Upload(buffer.data(), reinterpret_cast<const std::byte*>(values.data()), bytes);
  return buffer;
}

bool BenchModel::MakeVectors(Layer* layer) {
  const auto inner = static_cast<size_t>(shape_.inner());
  const auto channels = static_cast<size_t>(shape_.conv_channels());
  const auto deltas = static_cast<size_t>(shape_.mamba2 ? shape_.heads() : shape_.inner());
  const std::vector<float> ones(inner, 1.0f);
  // Decays of a state's entries are −1, −2, … in Mamba-1, of heads in Mamba-2: their order does not
  // matter here.
  std::vector<float> rates(shape_.mamba2 ? deltas : static_cast<size_t>(shape_.ssm_elements()));
  for (size_t i = 0; i < rates.size(); ++i) rates[i] = -1 - static_cast<float>(i % 16);
  layer->norm = Floats(std::vector<float>(static_cast<size_t>(shape_.d_model), 1.0f));
  layer->conv = Floats(RandomFloats(Shape::kConvWidth * channels, 0.5f, 1));
  layer->conv_bias = Floats(RandomFloats(channels, 0.1f, 2));
  layer->dt_bias = Floats(std::vector<float>(deltas, kDtBias));
  layer->a = Floats(rates);
  layer->d = Floats(ones);
  if (shape_.mamba2) layer->gated_norm = Floats(ones);
  return layer->norm && layer->conv && layer->conv_bias && layer->dt_bias && layer->a && layer->d &&
         (layer->gated_norm || !shape_.mamba2);
}

// Packed once; the other layers have the same bytes, each at a place of its own.
bool BenchModel::MakeMatrixOfLayers(int64_t outputs, int64_t inputs, WeightFormat format,
                                    PackedMatrix Layer::*matrix) {
  const float largest = 1 / std::sqrt(static_cast<float>(inputs));
  const std::vector<uint16_t> weights = RandomBf16(static_cast<size_t>(outputs * inputs), largest);
  PackedMatrix first = device_.Pack({reinterpret_cast<const std::byte*>(weights.data()),
                                     kernels::MatrixSource::Type::kBf16, outputs, inputs},
                                    format);
  if (!first.data) return false;
  std::vector<std::byte> packed(first.bytes());
  device_.Download(packed.data(), first.data.data(), packed.size());
  weight_bytes_ += static_cast<double>(packed.size() * layers_.size());
  layers_[0].*matrix = std::move(first);
  for (size_t i = 1; i < layers_.size(); ++i) {
    layers_[i].*matrix = device_.Restore({outputs, inputs, format, packed.data(), packed.size()});
    if (!(layers_[i].*matrix).data) return false;
  }
  return true;
}

bool BenchModel::MakeMatrices() {
  layers_.resize(static_cast<size_t>(shape_.layers));
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].ring_offset = i * (shape_.ring_bytes() + shape_.ssm_bytes());
    layers_[i].ssm_offset = layers_[i].ring_offset + shape_.ring_bytes();
    if (!MakeVectors(&layers_[i])) return false;
  }
  final_norm_ = Floats(std::vector<float>(static_cast<size_t>(shape_.d_model), 1.0f));
  if (!final_norm_) return false;
  const WeightFormat selection = SelectionFormat(format_);
  const auto make = [&](int64_t outputs, int64_t inputs, WeightFormat format,
                        PackedMatrix Layer::*matrix) {
    return MakeMatrixOfLayers(outputs, inputs, format, matrix);
  };
  bool made = make(shape_.projection(), shape_.d_model, format_, &Layer::in_proj) &&
              make(shape_.d_model, shape_.inner(), format_, &Layer::out_proj);
  if (!shape_.mamba2) {
    made = made && make(shape_.dbc(), shape_.inner(), selection, &Layer::x_proj) &&
           make(shape_.inner(), shape_.rank(), selection, &Layer::dt_proj);
  }
  for (Layer& layer : layers_) {
    layer.in_proj.may_round_inputs = layer.out_proj.may_round_inputs = true;
  }
  if (!made) return false;

  const std::vector<uint16_t> weights =
      RandomBf16(static_cast<size_t>(shape_.vocabulary * shape_.d_model), 0.02f);
  vocabulary_ =
      device_.Pack({reinterpret_cast<const std::byte*>(weights.data()),
                    kernels::MatrixSource::Type::kBf16, shape_.vocabulary, shape_.d_model},
                   VocabularyFormat(format_));
  vocabulary_.may_round_inputs = true;
  weight_bytes_ += static_cast<double>(vocabulary_.bytes());
  return static_cast<bool>(vocabulary_.data);
}

double BenchModel::ProductFlops(int64_t rows, int64_t logit_rows) const {
  const int64_t selection = shape_.mamba2 ? 0 : shape_.inner() * (shape_.dbc() + shape_.rank());
  const int64_t layer = shape_.d_model * (shape_.projection() + shape_.inner()) + selection;
  return 2.0 * static_cast<double>(rows * shape_.layers * layer +
                                   logit_rows * shape_.vocabulary * shape_.d_model);
}

kernels::EmbedParams BenchModel::Embed(const StepIndices& step) const {
  kernels::EmbedParams embed;
  embed.table = &vocabulary_;
  embed.token_ids = step.token_ids;
  embed.rows = step.rows;
  embed.out = residual_.as<float>();
  return embed;
}

kernels::RmsNormParams BenchModel::Norm(const Buffer& weight, const int32_t* row_index,
                                        int64_t rows) const {
  kernels::RmsNormParams norm;
  norm.x = residual_.as<float>();
  norm.x_stride = norm.cols = norm.out_stride = shape_.d_model;
  norm.row_index = row_index;
  norm.weight = weight.as<float>();
  norm.eps = kNormEps;
  norm.rows = rows;
  norm.out = normalised_.as<float>();
  return norm;
}

MatMulParams BenchModel::Product(const PackedMatrix& w, const float* x, int64_t x_stride,
                                 int64_t rows, float* out) const {
  MatMulParams product;
  product.x = x;
  product.x_stride = x_stride;
  product.rows = rows;
  product.w = &w;
  product.out = out;
  product.out_stride = w.outputs;
  return product;
}

MatMulParams BenchModel::AddToResidual(const PackedMatrix& w, const float* x, int64_t x_stride,
                                       int64_t rows) const {
  MatMulParams product = Product(w, x, x_stride, rows, residual_.as<float>());
  product.add = residual_.as<float>();
  product.add_stride = w.outputs;
  return product;
}

MatMulParams BenchModel::Head(int64_t rows) const {
  return Product(vocabulary_, normalised_.as<float>(), shape_.d_model, rows, logits_.as<float>());
}

ConvSiluParams BenchModel::Conv(const Layer& layer, const StepIndices& step, const float* x,
                                float* out) const {
  ConvSiluParams conv;
  conv.segments = step.segments;
  conv.segment_count = step.segment_count;
  conv.rows = step.rows;
  conv.channels = shape_.conv_channels();
  conv.width = Shape::kConvWidth;
  conv.x = x;
  conv.x_stride = shape_.projection();
  conv.weight = layer.conv.as<float>();
  conv.bias = layer.conv_bias.as<float>();
  conv.ring = Field(layer.ring_offset, kernels::StateFormat::kF32);
  conv.out = out;
  conv.out_stride = shape_.conv_channels();
  return conv;
}

kernels::MambaLayerParams BenchModel::MambaParams(const Layer& layer,
                                                  const StepIndices& step) const {
  const int64_t inner = shape_.inner();
  auto* u = inner_.as<float>();
  auto* xz = projected_.as<float>();
  kernels::MambaLayerParams params;
  params.norm = Norm(layer.norm, nullptr, step.rows);
  params.in_proj = Product(layer.in_proj, normalised_.as<float>(), shape_.d_model, step.rows, xz);
  params.conv = Conv(layer, step, xz, u);
  params.x_proj = Product(layer.x_proj, u, inner, step.rows, dbc_.as<float>());
  params.dt_proj =
      Product(layer.dt_proj, dbc_.as<float>(), shape_.dbc(), step.rows, dt_.as<float>());
  params.dt_proj.bias = layer.dt_bias.as<float>();
  kernels::SelectiveScanParams& scan = params.scan;
  scan.segments = step.segments;
  scan.segment_count = step.segment_count;
  scan.rows = step.rows;
  scan.channels = inner;
  scan.state_size = shape_.state_size();
  scan.x = u;
  scan.x_stride = scan.y_stride = scan.dt_stride = inner;
  scan.y = u;
  scan.dt = dt_.as<float>();
  scan.b = dbc_.as<float>() + shape_.rank();
  scan.c = scan.b + shape_.state_size();
  scan.b_stride = scan.c_stride = shape_.dbc();
  scan.z = xz + inner;
  scan.z_stride = shape_.projection();
  scan.a = layer.a.as<float>();
  scan.d = layer.d.as<float>();
  scan.state = Field(layer.ssm_offset, shape_.state);
  params.out_proj = AddToResidual(layer.out_proj, u, inner, step.rows);
  return params;
}

kernels::Mamba2LayerParams BenchModel::Mamba2Params(const Layer& layer,
                                                    const StepIndices& step) const {
  const int64_t inner = shape_.inner();
  auto* projected = projected_.as<float>();  // z, x, B, C, Δ
  auto* xbc = inner_.as<float>();
  kernels::Mamba2LayerParams params;
  params.norm = Norm(layer.norm, nullptr, step.rows);
  params.in_proj =
      Product(layer.in_proj, normalised_.as<float>(), shape_.d_model, step.rows, projected);
  params.conv = Conv(layer, step, projected + inner, xbc);
  kernels::SsdScanParams& scan = params.scan;
  scan.segments = step.segments;
  scan.segment_count = step.segment_count;
  scan.rows = step.rows;
  scan.heads = shape_.heads();
  scan.head_dim = Shape::kHeadDim;
  scan.state_size = shape_.state_size();
  scan.x = xbc;
  scan.y = xbc;
  scan.b = xbc + inner;
  scan.c = scan.b + shape_.state_size();
  scan.x_stride = scan.y_stride = scan.b_stride = scan.c_stride = shape_.conv_channels();
  scan.dt = projected + inner + shape_.conv_channels();
  scan.dt_stride = shape_.projection();
  scan.dt_bias = layer.dt_bias.as<float>();
  scan.a = layer.a.as<float>();
  scan.d = layer.d.as<float>();
  scan.state = Field(layer.ssm_offset, shape_.state);
  scan.chunk_scratch = chunked_ ? chunk_scratch_.as<float>() : nullptr;
  kernels::GatedRmsNormParams& norm = params.gated_norm;
  norm.x = xbc;
  norm.out = xbc;
  norm.x_stride = norm.out_stride = shape_.conv_channels();
  norm.gate = projected;
  norm.gate_stride = shape_.projection();
  norm.weight = layer.gated_norm.as<float>();
  norm.eps = kNormEps;
  norm.rows = step.rows;
  norm.cols = inner;
  params.out_proj = AddToResidual(layer.out_proj, xbc, shape_.conv_channels(), step.rows);
  return params;
}

void BenchModel::Step(const StepIndices& step) {
  device_.Embed(Embed(step));
  for (const Layer& layer : layers_) {
    if (shape_.mamba2) {
      device_.Mamba2Layer(Mamba2Params(layer, step));
    } else {
      device_.MambaLayer(MambaParams(layer, step));
    }
  }
  device_.RmsNorm(Norm(final_norm_, step.logit_rows, step.logit_row_count));
}

void BenchModel::DrawTokens(int64_t rows) {
  draws_.assign(static_cast<size_t>(rows), {});
  keep_.assign(draws_.size(), 0);
  for (size_t i = 0; i < draws_.size(); ++i) {
    draws_[i].logits = logits_.as<float>() + static_cast<int64_t>(i) * shape_.vocabulary;
    draws_[i].temperature = 0;
  }
  device_.SampleHead({Head(rows), keep_.data(), draws_.data(), rows});
}

}  // namespace ssmd::gpu_bench
