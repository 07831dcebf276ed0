#include "kernels/cuda/selfcheck/rehearsal.h"

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

std::string StateWord(const StateField& state) {
  return "state_" + std::string(StateFormatName(state.format));
}

std::string TextOf(const MatMulParams& p) {
  ShapeText shape("product");
  shape.Word(WeightFormatName(p.w->format))
      .Size("outputs", p.w->outputs)
      .Size("inputs", p.w->inputs)
      .Word("rounded", p.w->may_round_inputs)
      .Rows("x", p.x, p.x_stride)
      .Rows("bias", p.bias, p.w->outputs)
      .Rows("add", p.add, p.add_stride)
      .Rows("out", p.out, p.out_stride)
      .Word("in_place", p.add == p.out);
  return shape.text();
}

std::string TextOf(const RmsNormParams& p) {
  ShapeText shape("norm");
  shape.Size("cols", p.cols)
      .Rows("x", p.x, p.x_stride)
      .Rows("weight", p.weight, p.cols)
      .Rows("out", p.out, p.out_stride)
      .Word("indexed", p.row_index != nullptr)
      .Word("in_place", p.out == p.x);
  return shape.text();
}

std::string TextOf(const GatedRmsNormParams& p) {
  ShapeText shape("gated_norm");
  shape.Size("cols", p.cols)
      .Size("groups", p.groups)
      .Size("order", static_cast<int64_t>(p.order))
      .Rows("x", p.x, p.x_stride)
      .Rows("gate", p.gate, p.gate_stride)
      .Rows("weight", p.weight, p.cols)
      .Rows("out", p.out, p.out_stride)
      .Word("in_place", p.out == p.x);
  return shape.text();
}

std::string TextOf(const ConvSiluParams& p) {
  ShapeText shape("conv");
  shape.Size("channels", p.channels)
      .Size("width", p.width)
      .Rows("x", p.x, p.x_stride)
      .Rows("weight", p.weight, p.channels)
      .Rows("bias", p.bias, p.channels)
      .Rows("out", p.out, p.out_stride);
  return shape.text();
}

std::string TextOf(const SelectiveScanParams& p) {
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
      .Word("in_place", p.y == p.x)
      .Word(StateWord(p.state));
  return shape.text();
}

std::string TextOf(const SsdScanParams& p) {
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
      .Word(StateWord(p.state))
      .Word("in_chunks", p.chunk_scratch != nullptr);
  return shape.text();
}

std::string TextOf(const MambaLayerParams& p) {
  std::string text = "mamba_layer: " + TextOf(p.norm) + "; " + TextOf(p.in_proj) + "; " +
                     TextOf(p.conv) + "; " + TextOf(p.x_proj) + "; ";
  for (const RmsNormParams* norm : {&p.dt_norm, &p.b_norm, &p.c_norm}) {
    if (norm->rows > 0) text += TextOf(*norm) + "; ";
  }
  return text + TextOf(p.dt_proj) + "; " + TextOf(p.scan) + "; " + TextOf(p.out_proj);
}

std::string TextOf(const Mamba2LayerParams& p) {
  return "mamba2_layer: " + TextOf(p.norm) + "; " + TextOf(p.in_proj) + "; " + TextOf(p.conv) +
         "; " + TextOf(p.scan) + "; " + TextOf(p.gated_norm) + "; " + TextOf(p.out_proj);
}

// Of a step.
std::string CountsOf(const ConvSiluParams& p) {
  return ", rows=" + std::to_string(p.rows) + (p.rows == p.segment_count ? "" : " in a prompt");
}

}  // namespace

void Rehearsal::Note(const MatMulParams& p) {
  // Weights in f32 have no fast product.
  if (p.w->format == WeightFormat::kF32) return;
  cases_.try_emplace(
      TextOf(p) + " rows=" + std::to_string(most_rows_),
      Case{FastKernel::kProduct, [this, p](CheckSpace& space, fast::ProductUnit unit) {
             return CheckProduct(space, TwinsBy(unit), p, most_rows_);
           }});
}

void Rehearsal::Note(const RmsNormParams& p) {
  cases_.try_emplace(
      TextOf(p), Case{FastKernel::kNorm, [this, p](CheckSpace& space, fast::ProductUnit /*unit*/) {
                        return CheckNorm(space, twins_, p);
                      }});
}

void Rehearsal::Note(const GatedRmsNormParams& p) {
  cases_.try_emplace(
      TextOf(p), Case{FastKernel::kNorm, [this, p](CheckSpace& space, fast::ProductUnit /*unit*/) {
                        return CheckGatedNorm(space, twins_, p);
                      }});
}

void Rehearsal::Note(const ConvSiluParams& p) {
  cases_.try_emplace(
      TextOf(p), Case{FastKernel::kConv, [this, p](CheckSpace& space, fast::ProductUnit /*unit*/) {
                        return CheckConv(space, twins_, p);
                      }});
}

void Rehearsal::Note(const SelectiveScanParams& p) {
  cases_.try_emplace(
      TextOf(p), Case{FastKernel::kScan, [this, p](CheckSpace& space, fast::ProductUnit /*unit*/) {
                        return CheckScan(space, twins_, p);
                      }});
}

void Rehearsal::Note(const SsdScanParams& p) {
  cases_.try_emplace(
      TextOf(p), Case{FastKernel::kSsd, [this, p](CheckSpace& space, fast::ProductUnit /*unit*/) {
                        return CheckSsd(space, twins_, p);
                      }});
}

void Rehearsal::NoteProducts(std::initializer_list<const MatMulParams*> products) {
  for (const MatMulParams* p : products) layer_products_.try_emplace(TextOf(*p), *p);
}

void Rehearsal::Note(const MambaLayerParams& p) {
  NoteProducts({&p.in_proj, &p.x_proj, &p.dt_proj, &p.out_proj});
  mamba_layers_.try_emplace(TextOf(p) + CountsOf(p.conv), p);
}

void Rehearsal::Note(const Mamba2LayerParams& p) {
  NoteProducts({&p.in_proj, &p.out_proj});
  mamba2_layers_.try_emplace(TextOf(p) + CountsOf(p.conv), p);
}

Twins Rehearsal::TwinsBy(fast::ProductUnit unit) const {
  Twins twins = twins_;
  twins.product.unit = unit;
  return twins;
}

bool Rehearsal::Compare(CheckSpace& space, KernelChoice* choice, const Memory& memory,
                        std::vector<Disagreement>* found) const {
  for (const Trial& trial : memory.trials.off()) {
    for (const FastKernel kernel : kFastKernels) {
      if (NameOf(kernel) != trial.group || !choice->has(kernel)) continue;
      choice->SwitchOff(kernel);
      found->push_back({trial.group, trial.check, ""});
    }
  }
  for (const FastKernel kernel : kFastKernels) {
    if (kernel == FastKernel::kProduct && choice->has(FastKernel::kWgmma)) continue;
    if (!CompareOne(space, kernel, choice, memory, found)) return false;
  }
  return true;
}

bool Rehearsal::CompareOne(CheckSpace& space, FastKernel kernel, KernelChoice* choice,
                           const Memory& memory, std::vector<Disagreement>* found) const {
  const std::string name(NameOf(kernel));
  const bool wgmma = kernel == FastKernel::kWgmma;
  const auto unit = wgmma ? fast::ProductUnit::kWgmma : fast::ProductUnit::kMma;
  for (const auto& [shape, one] : cases_) {
    if (!choice->has(kernel)) return true;
    const std::string check = wgmma ? shape + " by wgmma" : shape;
    if (one.kernel != (wgmma ? FastKernel::kProduct : kernel) || memory.agreed.Has(check)) continue;
    memory.trials.Begin({name, check});
    std::string problem = one.check(space, unit);
    const bool gpu_failed = !space.gpu().failure().empty();
    memory.trials.End(gpu_failed);
    if (space.out_of_memory() || gpu_failed) return false;
    if (problem.empty()) {
      memory.agreed.Add(check);
    } else {
      choice->SwitchOff(kernel);
      found->push_back({name, shape, std::move(problem)});
    }
  }
  return true;
}

}  // namespace ssmd::kernels::cuda
