#include "tests/gpu/bench/bench.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include "kernels/cuda/cuda_device.h"
#include "tests/gpu/bench/acceptance.h"
#include "tests/gpu/bench/text.h"

namespace ssmd::gpu_bench {

using kernels::StepIndices;
using kernels::WeightFormat;

namespace {

// All names that a figure may have (bench_parts.cc, below).
constexpr const char* kKernels[] = {"embed",      "norm",     "in_proj",    "conv",
                                    "x_proj",     "dt_proj",  "scan",       "scan_chunked",
                                    "gated_norm", "out_proj", "final_norm", "head"};
constexpr const char* kSteps[] = {"decode", "decode+draws", "prefill", "prefill_chunked"};
constexpr const char* kStates[] = {"fork", "evict", "restore"};

constexpr int64_t kTimesOfSingleOps = 16;

std::string NameOf(WeightFormat format) { return std::string(kernels::WeightFormatName(format)); }

}  // namespace

bool Bench::Open(std::string* error) {
  auto gpu = kernels::cuda::OpenGpu(options_.device, error);
  if (gpu == nullptr) return false;
  auto stream = gpu->MakeStream();
  if (stream == nullptr) {
    *error = gpu->failure();
    return false;
  }
  gpu_ = gpu.get();
  stream_ = stream.get();
  timer_.emplace(*stream_, options_.ceilings.timer);
  kernels::CudaOptions options;
  options.plain = options_.plain;
  options.wgmma = !options_.without_wgmma;
  options.fast_gemm = options_.gemm;
  device_ = kernels::cuda::MakeDeviceOf(std::move(gpu), std::move(stream), options, error);
  if (device_ == nullptr) return false;
  device_->AdoptThread();
  return true;
}

bool Bench::Run(std::string* error) {
  if (!Open(error) || !MeasureCeilings(*gpu_, *stream_, options_.ceilings, &ceilings_, error)) {
    return false;
  }
  std::printf("%s%s, kernels: %s\n", ToText(ceilings_).c_str(), device_->name().c_str(),
              device_->profile(options_.weights[0]).c_str());
  std::fflush(stdout);
  for (const Shape& shape : options_.models) {
    for (const WeightFormat format : options_.weights) {
      if (!WantsAny(shape, format)) continue;
      if (!MeasureModel(shape, format, format == options_.weights[0], error)) return false;
    }
  }
  std::fputs(AcceptanceText(figures_).c_str(), stdout);
  return WriteJson(error);
}

bool Bench::WantsAny(const Shape& shape, WeightFormat format) const {
  const auto wants = [&](const std::string& group, const auto& names, const std::string& load) {
    return std::any_of(std::begin(names), std::end(names), [&](const char* name) {
      return options_.Wants(group + "/" + shape.name + "/" + NameOf(format) + "/" + load + "/" +
                            name);
    });
  };
  return wants("state", kStates, "1") ||
         std::any_of(options_.loads.begin(), options_.loads.end(), [&](const Load& load) {
           return wants("kernel", kKernels, load.name()) || wants("step", kSteps, load.name());
         });
}

// Where not all loads fit, the largest are left out.
std::unique_ptr<BenchModel> Bench::MakeModel(const Shape& shape, WeightFormat format,
                                             std::vector<Load>* loads) {
  constexpr int64_t kSlotsOfFork = 2;
  while (!loads->empty()) {
    Room room = {0, kSlotsOfFork};
    for (const Load& load : *loads) {
      room.rows = std::max(room.rows, load.rows());
      room.slots = std::max(room.slots, load.sessions);
    }
    auto model = BenchModel::Make(*device_, shape, format, room);
    if (model != nullptr || !device_->failure().empty()) return model;
    const auto largest =
        std::max_element(loads->begin(), loads->end(),
                         [](const Load& a, const Load& b) { return a.sessions < b.sessions; });
    std::printf("%s %s: %s sessions do not fit into this GPU's memory\n", shape.name.c_str(),
                NameOf(format).c_str(), largest->name().c_str());
    loads->erase(largest);
  }
  return nullptr;
}

bool Bench::MeasureModel(const Shape& shape, WeightFormat format, bool in_full,
                         std::string* error) {
  std::vector<Load> loads = options_.loads;
  const std::unique_ptr<BenchModel> model = MakeModel(shape, format, &loads);
  *error = device_->failure();
  if (model == nullptr) return error->empty();
  int64_t rows = 0, sessions = 0;
  for (const Load& load : loads) {
    rows = std::max(rows, load.rows());
    sessions = std::max(sessions, load.sessions);
  }
  const kernels::StepLimits limits = {rows, sessions, shape.vocabulary};
  Programs programs = {device_->MakeProgram(limits), device_->MakeProgram(limits)};
  bool measured = programs.whole != nullptr && programs.without_head != nullptr;
  figures_.Title(shape.name + " " + NameOf(format));
  for (size_t i = 0; measured && i < loads.size(); ++i) {
    measured = MeasureLoad(*model, loads[i], in_full, programs);
  }
  if (measured && in_full && shape.name == options_.models[0].name) MeasureStates(*model);
  *error = device_->failure();
  for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
    if (error->empty()) *error = kernel.off_because;
  }
  if (!measured && error->empty()) *error = "no memory for the steps of " + shape.name;
  return error->empty();
}

bool Bench::MeasureLoad(BenchModel& model, const Load& load, bool in_full, Programs& programs) {
  const std::optional<RepeatedStep> step = RepeatedStep::Make(*device_, load);
  if (!step) return false;
  const bool with_chunks = model.shape().mamba2 && !load.decodes();
  for (const bool chunked : {false, true}) {
    if (chunked && !with_chunks) break;
    model.UseChunks(chunked);
    MeasureKernels(model, load, in_full, step->on_device());
    MeasureStep(model, load, *step, programs);
  }
  model.UseChunks(false);
  stream_->Synchronize();
  return device_->failure().empty();
}

Figure Bench::FigureOf(const std::string& group, const BenchModel& model, const Load& load,
                       const std::string& name) const {
  Figure figure;
  figure.group = group;
  figure.model = model.shape().name;
  figure.weights = NameOf(model.format());
  figure.load = load.name();
  figure.name = name;
  return figure;
}

void Bench::MeasureKernels(BenchModel& model, const Load& load, bool in_full,
                           const StepIndices& step) {
  for (const Part& part : model.Parts(load)) {
    const std::string id = FigureOf("kernel", model, load, part.name).id();
    const bool measured = alone_ms_.count(id) > 0;  // whether prompts go by chunks or not
    if (measured || !(in_full || part.of_weights) || !options_.Wants(id)) continue;
    MeasureKernel(model, load, part, step);
  }
}

void Bench::MeasureKernel(const BenchModel& model, const Load& load, const Part& part,
                          const StepIndices& step) {
  // An op that a step has once is short beside the start of a replay.
  const int64_t times = part.count > 1 ? 1 : kTimesOfSingleOps;
  part.run(step);  // loads its code, which a recording need not allow
  std::unique_ptr<kernels::cuda::Graph> graph;
  if (stream_->BeginRecording()) {
    for (int64_t i = 0; i < times; ++i) part.run(step);
    graph = stream_->EndRecording();
  }
  const Spread all = graph != nullptr ? timer_->OnGpu([&] { stream_->Replay(*graph); })
                                      : timer_->OnGpu([&] { part.run(step); });
  stream_->Synchronize();
  if (all.median <= 0) return;  // the GPU has failed
  const auto count = static_cast<double>(graph != nullptr ? times * part.count : part.count);
  Figure figure = FigureOf("kernel", model, load, part.name);
  figure.ms = {all.median / count, all.lowest / count, all.highest / count, all.runs};
  figure.bytes = part.bytes;
  figure.flops = part.flops;
  if (graph != nullptr) {
    figure.pieces = graph->size() / (times * part.count);
    const double boundaries =
        1e-3 * ceilings_.boundary_us.median * static_cast<double>(graph->size());
    alone_ms_[figure.id()] = std::max(0.0, all.median - boundaries) / static_cast<double>(times);
  }
  figures_.Add(figure);
}

std::optional<double> Bench::KernelsAloneMs(BenchModel& model, const Load& load) const {
  double sum = 0;
  for (const Part& part : model.Parts(load)) {
    Figure figure = FigureOf("kernel", model, load, part.name);
    if (!part.of_weights) figure.weights = NameOf(options_.weights[0]);
    const auto found = alone_ms_.find(figure.id());
    if (found == alone_ms_.end()) return std::nullopt;
    sum += found->second;
  }
  return sum;
}

void Bench::MeasureStep(BenchModel& model, const Load& load, const RepeatedStep& step,
                        Programs& programs) {
  const bool chunked = model.shape().mamba2 && !load.decodes() && model.chunked();
  const std::string name = load.decodes() ? "decode" : chunked ? "prefill_chunked" : "prefill";
  const double states =
      static_cast<double>(load.sessions) * static_cast<double>(model.shape().slot_bytes());
  Figure figure = FigureOf("step", model, load, name);
  figure.tokens = static_cast<double>(load.rows());
  figure.flops = model.ProductFlops(load.rows(), load.sessions);
  figure.floor_ms = ceilings_.MultiplyMs(figure.flops);
  if (load.decodes()) {
    figure.bytes = model.weight_bytes() + 2 * states;
    const double moving = ceilings_.ReadMs(model.weight_bytes()) + ceilings_.UpdateMs(states);
    figure.floor_ms = std::max(figure.floor_ms, moving);
  }
  if (options_.Wants(figure.id())) {
    figure.ms = timer_->OnGpu([&] {
      programs.whole->Run(step.on_host(), [&](const StepIndices& indices) {
        model.Step(indices);
        device_->MatMul(model.Head(indices.logit_row_count));
      });
    });
    const std::optional<double> alone = KernelsAloneMs(model, load);
    if (alone && figure.ms.median > 0) {
      figure.boundary_loss = std::max(0.0, 1 - *alone / figure.ms.median);
    }
    if (figure.ms.median > 0) figures_.Add(figure);
  }
  figure.name = "decode+draws";
  figure.boundary_loss = -1;
  if (!load.decodes() || !options_.Wants(figure.id())) return;
  figure.ms = timer_->OnHost([&] {
    programs.without_head->Run(step.on_host(),
                               [&](const StepIndices& indices) { model.Step(indices); });
    model.DrawTokens(load.sessions);
  });
  if (figure.ms.median > 0) figures_.Add(figure);
}

void Bench::MeasureStates(const BenchModel& model) {
  const size_t bytes = model.shape().slot_bytes();
  const kernels::Buffer host = device_->AllocateStaging(bytes);
  if (!host) return;
  const auto megabytes = static_cast<double>(bytes) * 1e-6;
  const auto add = [&](const char* name, double floor_ms, bool on_host, auto work) {
    Figure figure = FigureOf("state", model, {1, 1}, name);
    if (!options_.Wants(figure.id())) return;
    figure.ms = on_host ? timer_->OnHost(work) : timer_->OnGpu(work);
    figure.bytes = static_cast<double>(bytes) * (on_host ? 1 : 2);
    figure.floor_ms = floor_ms;
    if (figure.ms.median > 0) figures_.Add(figure);
  };
  int64_t parent = 0;  // not always the same, which the cache would have
  add("fork", ceilings_.UpdateMs(static_cast<double>(bytes)), false, [&] {
    device_->Copy(model.slot(parent + 1), model.slot(parent), bytes);
    parent = parent + 3 < model.slots() ? parent + 2 : 0;
  });
  add("evict", megabytes / ceilings_.from_gpu_gb_s.median, true,
      [&] { device_->Download(host.data(), model.slot(0), bytes); });
  add("restore", megabytes / ceilings_.to_gpu_gb_s.median, true,
      [&] { device_->Upload(model.slot(0), host.data(), bytes); });
}

bool Bench::WriteJson(std::string* error) const {
  if (options_.json_file.empty()) return true;
  std::ofstream file(options_.json_file);
  file << "{\"bench\":\"gpu_kernels\",\"device\":" << Quoted(device_->name())
       << ",\"kernels\":" << Quoted(device_->profile(options_.weights[0]))
       << ",\"quick\":" << (options_.quick ? "true" : "false")
       << ",\n\"ceilings\":" << ToJson(ceilings_) << ",\n\"figures\":" << figures_.ToJson()
       << ",\n\"acceptance\":" << AcceptanceJson(figures_) << "}\n";
  file.close();
  if (file.fail()) *error = "cannot write " + options_.json_file;
  return !file.fail();
}

}  // namespace ssmd::gpu_bench
