#include "kernels/cuda/rehearsal.h"

#include <string_view>
#include <utility>

namespace ssmd::kernels::cuda {
namespace {

// A line that two ops share where kernels cannot tell them apart: sizes, strides, which operands
// there are, and how far from 16 bytes they lie.
class ShapeText {
 public:
  explicit ShapeText(std::string_view op) : text_(op) {}

  ShapeText& Size(std::string_view name, int64_t value) {
    text_ += " " + std::string(name) + "=" + std::to_string(value);
    return *this;
  }
  ShapeText& Rows(std::string_view name, const float* at, int64_t stride) {
    if (at == nullptr) return *this;
    const auto offset = reinterpret_cast<uintptr_t>(at) % 16 / sizeof(float);
    text_ += " " + std::string(name) + ":" + std::to_string(stride);
    if (offset != 0) text_ += "+" + std::to_string(offset);
    return *this;
  }
  ShapeText& Word(std::string_view word, bool present = true) {
    if (present) text_ += " " + std::string(word);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

template <typename Params>
bool CompareEach(const std::map<std::string, Params>& layers, CheckSpace& space,
                 const LayerRuns<Params>& runs, AgreedChecks* agreed, std::string* problem) {
  for (const auto& [shape, layer] : layers) {
    if (agreed->Has(shape)) continue;
    const std::string found = CheckLayer(space, layer, runs);
    if (space.out_of_memory() || !space.gpu().failure().empty()) return false;
    if (found.empty()) {
      agreed->Add(shape);
    } else {
      *problem = found + " (" + shape + ")";
    }
  }
  return true;
}

}  // namespace

// Weights in f32 have no fast product.
void Rehearsal::Note(const MatMulParams& p) {
  if (p.w->format == WeightFormat::kF32) return;
  ShapeText shape("product");
  shape.Word(WeightFormatName(p.w->format))
      .Size("outputs", p.w->outputs)
      .Size("inputs", p.w->inputs)
      .Word("rounded", p.w->may_round_inputs)
      .Rows("x", p.x, p.x_stride)
      .Rows("bias", p.bias, p.w->outputs)
      .Rows("add", p.add, p.add_stride)
      .Rows("out", p.out, p.out_stride)
      .Word("in_place", p.add == p.out)
      .Size("rows", most_rows_);
  cases_.try_emplace(shape.text(), Case{FastKernel::kProduct, [this, p](CheckSpace& space) {
                                          return CheckProduct(space, twins_, p, most_rows_);
                                        }});
}

void Rehearsal::Note(const RmsNormParams& p) {
  ShapeText shape("norm");
  shape.Size("cols", p.cols)
      .Rows("x", p.x, p.x_stride)
      .Rows("weight", p.weight, p.cols)
      .Rows("out", p.out, p.out_stride)
      .Word("indexed", p.row_index != nullptr)
      .Word("in_place", p.out == p.x);
  cases_.try_emplace(shape.text(), Case{FastKernel::kNorm, [this, p](CheckSpace& space) {
                                          return CheckNorm(space, twins_, p);
                                        }});
}

void Rehearsal::Note(const GatedRmsNormParams& p) {
  ShapeText shape("gated_norm");
  shape.Size("cols", p.cols)
      .Size("groups", p.groups)
      .Size("order", static_cast<int64_t>(p.order))
      .Rows("x", p.x, p.x_stride)
      .Rows("gate", p.gate, p.gate_stride)
      .Rows("weight", p.weight, p.cols)
      .Rows("out", p.out, p.out_stride)
      .Word("in_place", p.out == p.x);
  cases_.try_emplace(shape.text(), Case{FastKernel::kNorm, [this, p](CheckSpace& space) {
                                          return CheckGatedNorm(space, twins_, p);
                                        }});
}

void Rehearsal::Note(const ConvSiluParams& p) {
  ShapeText shape("conv");
  shape.Size("channels", p.channels)
      .Size("width", p.width)
      .Rows("x", p.x, p.x_stride)
      .Rows("weight", p.weight, p.channels)
      .Rows("bias", p.bias, p.channels)
      .Rows("out", p.out, p.out_stride);
  cases_.try_emplace(shape.text(), Case{FastKernel::kConv, [this, p](CheckSpace& space) {
                                          return CheckConv(space, twins_, p);
                                        }});
}

void Rehearsal::Note(const SelectiveScanParams& p) {
  ShapeText shape("scan");
  shape.Size("channels", p.channels)
      .Size("states", p.state_size)
      .Rows("x", p.x, p.x_stride)
      .Rows("dt", p.dt, p.dt_stride)
      .Rows("b", p.b, p.b_stride)
      .Rows("c", p.c, p.c_stride)
      .Rows("z", p.z, p.z_stride)
      .Rows("d", p.d, p.channels)
      .Rows("y", p.y, p.y_stride)
      .Word("in_place", p.y == p.x);
  cases_.try_emplace(shape.text(), Case{FastKernel::kScan, [this, p](CheckSpace& space) {
                                          return CheckScan(space, twins_, p);
                                        }});
}

void Rehearsal::Note(const SsdScanParams& p) {
  ShapeText shape("ssd");
  shape.Size("heads", p.heads)
      .Size("head_dim", p.head_dim)
      .Size("groups", p.groups)
      .Size("states", p.state_size)
      .Rows("x", p.x, p.x_stride)
      .Rows("dt", p.dt, p.dt_stride)
      .Rows("b", p.b, p.b_stride)
      .Rows("c", p.c, p.c_stride)
      .Rows("dt_bias", p.dt_bias, p.heads)
      .Rows("d", p.d, p.heads * p.head_dim)
      .Rows("y", p.y, p.y_stride)
      .Word("in_place", p.y == p.x)
      .Word("in_chunks", p.chunk_scratch != nullptr);
  cases_.try_emplace(shape.text(), Case{FastKernel::kSsd, [this, p](CheckSpace& space) {
                                          return CheckSsd(space, twins_, p);
                                        }});
}

bool Rehearsal::Compare(CheckSpace& space, KernelChoice* choice, AgreedChecks* agreed,
                        std::vector<Disagreement>* found) const {
  for (const auto& [shape, one] : cases_) {
    if (!choice->has(one.kernel) || agreed->Has(shape)) continue;
    std::string problem = one.check(space);
    if (space.out_of_memory() || !space.gpu().failure().empty()) return false;
    if (problem.empty()) {
      agreed->Add(shape);
    } else {
      choice->SwitchOff(one.kernel);
      found->push_back({one.kernel, shape, std::move(problem)});
    }
  }
  return true;
}

bool Rehearsal::CompareLayers(CheckSpace& space, const LayerRuns<MambaLayerParams>& mamba,
                              const LayerRuns<Mamba2LayerParams>& mamba2, AgreedChecks* agreed,
                              std::string* problem) const {
  return CompareEach(mamba_, space, mamba, agreed, problem) &&
         CompareEach(mamba2_, space, mamba2, agreed, problem);
}

}  // namespace ssmd::kernels::cuda
