#include "tests/bench/scan_cases.h"

#include <algorithm>
#include <memory>
#include <random>

#include "absl/strings/str_format.h"
#include "kernels/linear_ops.h"
#include "kernels/ops.h"
#include "kernels/wkv_ops.h"

namespace ssmd::bench {
namespace {

using kernels::Buffer;
using kernels::Device;
using kernels::Segment;

constexpr int64_t kHeadDim = 64;  // of RWKV
// Arithmetic instructions for a channel of Wkv4 and a token: three exponentials of 13, and 18.
constexpr int64_t kWkv4Operations = 57;

// Numbers of one kind in every layer: coefficients, or states.
class Layered {
 public:
  Layered(Device& device, int64_t layers, int64_t elements, bool doubles)
      : elements_(elements),
        element_bytes_(doubles ? 8 : 4),
        data_(device.Allocate(static_cast<size_t>(layers * elements * element_bytes_))) {
    // Small, so that nothing grows; below zero, as logarithms of decays are.
    std::mt19937 engine(1);
    for (int64_t i = 0; data_ && i < layers * elements; ++i) {
      const float value = static_cast<float>(engine() >> 8) * -0x1p-31f;
      doubles ? data_.as<double>()[i] = value : data_.as<float>()[i] = value;
    }
  }

  const float* floats(int64_t layer) const { return data_.as<float>() + layer * elements_; }
  const double* doubles(int64_t layer) const { return data_.as<double>() + layer * elements_; }
  kernels::StateField state(int64_t layer) const {
    kernels::StateField field;
    field.slab = data_.data() + layer * elements_ * element_bytes_;
    return field;
  }

 private:
  const int64_t elements_;
  const int64_t element_bytes_;
  const Buffer data_;
};

// What all ops take alike, of which `Params` has the members that it has.
template <typename Params>
Params ParamsOf(const Segment& segment, const kernels::StateField& state) {
  Params params;
  params.segments = &segment;
  params.segment_count = 1;
  params.state = state;
  return params;
}

// Makes the cases, over numbers that they keep.
class ScanCases {
 public:
  ScanCases(Device& device, int64_t megabytes) : device_(device), bytes_(megabytes << 20) {}

  ScanCase Modal(int64_t modes, int64_t rank) const {
    const int64_t elements = kScanChannels * modes * 2;
    ScanCase c = TimeInvariant(absl::StrFormat("ModalScan %d modes, rank %d", modes, rank));
    c.coefficient_bytes = 4.0 * static_cast<double>(elements * (2 + 2 * rank));
    c.state_bytes = c.written_bytes = 4.0 * static_cast<double>(elements);
    c.flops = 2.0 * static_cast<double>(kScanChannels * modes * (6 + 4 * rank));
    const auto decay = Numbers(&c, elements), output = Numbers(&c, elements);
    const auto in = Numbers(&c, elements * rank), out = Numbers(&c, elements * rank);
    const auto state = Numbers(&c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ScanOf<kernels::ModalScanParams>(segment, state->state(layer), rows);
      params.modes = modes;
      params.rank = rank;
      params.decay = decay->floats(layer);
      params.output = output->floats(layer);
      params.coupling_in = rank > 0 ? in->floats(layer) : nullptr;
      params.coupling_out = rank > 0 ? out->floats(layer) : nullptr;
      params.d = output->floats(layer);
      device_.ModalScan(params);
    };
    return c;
  }

  // In place: each row is read and written.
  ScanCase Complex(int64_t modes) const {
    ScanCase c;
    c.name = absl::StrFormat("ComplexScan %d modes", modes);
    c.coefficient_bytes = c.state_bytes = c.written_bytes = 8.0 * static_cast<double>(modes);
    c.flops = 8.0 * static_cast<double>(modes);
    c.row_floats = 4 * modes;
    const auto decay = Numbers(&c, 2 * modes), state = Numbers(&c, 2 * modes);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ParamsOf<kernels::ComplexScanParams>(segment, state->state(layer));
      params.modes = modes;
      params.decay = decay->floats(layer);
      params.x = rows;
      params.x_stride = 2 * modes;
      device_.ComplexScan(params);
    };
    return c;
  }

  ScanCase Difference(int64_t delays) const {
    const int64_t elements = kScanChannels * delays;
    ScanCase c = TimeInvariant(absl::StrFormat("DifferenceScan %d delays", delays));
    c.coefficient_bytes = c.state_bytes = 8.0 * static_cast<double>(elements * 2);
    c.written_bytes = 8.0 * static_cast<double>(kScanChannels * 2);
    c.flops = 2.0 * static_cast<double>(elements * 2 * 2);
    const auto numerator = Numbers(&c, elements, true), denominator = Numbers(&c, elements, true);
    const auto state = Numbers(&c, 2 * elements, true);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ScanOf<kernels::DifferenceScanParams>(segment, state->state(layer), rows);
      params.delays = delays;
      params.numerator = numerator->doubles(layer);
      params.denominator = denominator->doubles(layer);
      params.d = numerator->doubles(layer);
      params.state.format = kernels::StateFormat::kF64;
      device_.DifferenceScan(params);
    };
    return c;
  }

  ScanCase Dense(int64_t size) const {
    const int64_t elements = kScanChannels * size;
    ScanCase c = TimeInvariant(absl::StrFormat("DenseScan N = %d", size));
    c.coefficient_bytes = 4.0 * static_cast<double>(elements + size * size);
    c.state_bytes = c.written_bytes = 4.0 * static_cast<double>(elements);
    c.flops = 2.0 * static_cast<double>(kScanChannels * (size * size + size));
    const auto a = Numbers(&c, size * size), b = Numbers(&c, size);
    const auto output = Numbers(&c, elements), state = Numbers(&c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ScanOf<kernels::DenseScanParams>(segment, state->state(layer), rows);
      params.state_size = size;
      params.a = a->floats(layer);
      params.b = b->floats(layer);
      params.output = output->floats(layer);
      params.d = output->floats(layer);
      device_.DenseScan(params);
    };
    return c;
  }

  // The exact step is measured without the nodes that only the reference needs.
  ScanCase Legs(int64_t size, kernels::LegsStep step) const {
    const int64_t elements = kScanChannels * size;
    const bool exact = step == kernels::LegsStep::kExact;
    ScanCase c =
        TimeInvariant(absl::StrFormat("LegsScan N = %d, %s", size, exact ? "exact" : "bilinear"));
    c.coefficient_bytes = c.state_bytes = c.written_bytes = 4.0 * static_cast<double>(elements);
    c.flops = 2.0 * static_cast<double>(elements * (exact ? (size + 1) / 2 + 1 : 6));
    const auto output = Numbers(&c, elements), state = Numbers(&c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ScanOf<kernels::LegsScanParams>(segment, state->state(layer), rows);
      params.state_size = size;
      params.step = step;
      params.output = output->floats(layer);
      params.d = output->floats(layer);
      device_.LegsScan(params);
    };
    return c;
  }

  ScanCase Wkv4() const {
    ScanCase c = Rwkv("Wkv4", 3, 2, 3 * kScanChannels, kWkv4Operations);
    const auto coefficients = Numbers(&c, 2 * kScanChannels),
               state = Numbers(&c, 3 * kScanChannels);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = WkvOf<kernels::Wkv4Params>(segment, state->state(layer), rows);
      params.channels = kScanChannels;
      params.k = OperandOf(segment, rows, 1);
      params.v = OperandOf(segment, rows, 2);
      params.y = OperandOf(segment, rows, 3);
      params.decay = coefficients->floats(layer);
      params.bonus = params.decay + kScanChannels;
      device_.Wkv4(params);
    };
    return c;
  }

  ScanCase Wkv6() const {
    ScanCase c = Rwkv("Wkv6", 4, 2, kScanChannels * kHeadDim, 3 * kHeadDim);
    const auto coefficients = Numbers(&c, 2 * kScanChannels);
    const auto state = Numbers(&c, kScanChannels * kHeadDim);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = WkvOf<kernels::Wkv6Params>(segment, state->state(layer), rows);
      params.heads = kScanChannels / kHeadDim;
      params.head_dim = kHeadDim;
      params.k = OperandOf(segment, rows, 1);
      params.v = OperandOf(segment, rows, 2);
      params.decay_row = OperandOf(segment, rows, 3);
      params.decay_stride = kScanChannels;
      params.y = OperandOf(segment, rows, 4);
      params.decay = coefficients->floats(layer);
      params.bonus = params.decay + kScanChannels;
      device_.Wkv6(params);
    };
    return c;
  }

  ScanCase Wkv7() const {
    ScanCase c = Rwkv("Wkv7", 8, 5, kScanChannels * kHeadDim, 5 * kHeadDim);
    const auto coefficients = Numbers(&c, 5 * kScanChannels);
    const auto state = Numbers(&c, kScanChannels * kHeadDim);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = WkvOf<kernels::Wkv7Params>(segment, state->state(layer), rows);
      params.heads = kScanChannels / kHeadDim;
      params.head_dim = kHeadDim;
      int64_t operand = 1;
      for (const float** x : {&params.w_raw, &params.k, &params.v, &params.a_raw, &params.g,
                              &params.v_gate, &params.v_first}) {
        *x = OperandOf(segment, rows, operand++);
      }
      params.y = OperandOf(segment, rows, operand);
      const float* next = coefficients->floats(layer);
      for (const float** x :
           {&params.k_k, &params.k_a, &params.r_k, &params.norm_weight, &params.norm_bias}) {
        *x = next;
        next += kScanChannels;
      }
      params.norm_eps = 64e-5f;
      device_.Wkv7(params);
    };
    return c;
  }

 private:
  static ScanCase TimeInvariant(std::string name) {
    ScanCase c;
    c.name = std::move(name);
    c.row_floats = 2 * kScanChannels;
    return c;
  }

  static ScanCase Rwkv(std::string name, int64_t operands, int64_t coefficients,
                       int64_t state_floats, int64_t operations_per_channel) {
    ScanCase c;
    c.name = std::move(name);
    c.coefficient_bytes = 4.0 * static_cast<double>(coefficients * kScanChannels);
    c.state_bytes = c.written_bytes = 4.0 * static_cast<double>(state_floats);
    c.flops = 2.0 * static_cast<double>(kScanChannels * operations_per_channel);
    c.row_floats = (operands + 1) * kScanChannels;
    return c;
  }

  std::shared_ptr<Layered> Numbers(ScanCase* c, int64_t elements, bool doubles = false) const {
    const auto layer_bytes = static_cast<int64_t>(c->coefficient_bytes + c->state_bytes);
    c->layers = std::max<int64_t>(1, bytes_ / layer_bytes);
    return std::make_shared<Layered>(device_, c->layers, std::max<int64_t>(elements, 1), doubles);
  }

  // The i-th operand of a segment, all of which are kScanChannels wide.
  static float* OperandOf(const Segment& segment, float* rows, int64_t i) {
    return rows + i * segment.length * kScanChannels;
  }

  template <typename Params>
  static Params ScanOf(const Segment& segment, const kernels::StateField& state, float* rows) {
    auto params = ParamsOf<Params>(segment, state);
    params.channels = kScanChannels;
    params.u = rows;
    params.y = OperandOf(segment, rows, 1);
    params.u_stride = params.y_stride = kScanChannels;
    return params;
  }

  template <typename Params>
  static Params WkvOf(const Segment& segment, const kernels::StateField& state, float* rows) {
    auto params = ParamsOf<Params>(segment, state);
    params.r = rows;
    params.x_stride = params.y_stride = kScanChannels;
    return params;
  }

  Device& device_;
  const int64_t bytes_;
};

}  // namespace

void ForEachScanCase(kernels::Device& device, int64_t megabytes,
                     const std::function<void(const ScanCase&)>& measure) {
  const ScanCases cases(device, megabytes);
  measure(cases.Modal(32, 0));
  measure(cases.Modal(32, 1));
  measure(cases.Complex(384));
  measure(cases.Difference(64));
  measure(cases.Dense(64));
  measure(cases.Legs(64, kernels::LegsStep::kBilinear));
  measure(cases.Legs(64, kernels::LegsStep::kExact));
  measure(cases.Wkv4());
  measure(cases.Wkv6());
  measure(cases.Wkv7());
}

}  // namespace ssmd::bench
