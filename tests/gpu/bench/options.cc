#include "tests/gpu/bench/options.h"

#include <cstdlib>
#include <functional>
#include <optional>

namespace ssmd::gpu_bench {

const char kHelp[] =
    R"(kernels_bench: what the CUDA kernels of ssmd do on a GPU, beside what the GPU can do.

First the ceilings, measured in this run: bandwidths of its memory and of the link to the host, the
price of a kernel boundary, and the matrix peak, by cuBLASLt where the dynamic linker finds it. Then,
for each model and number format, with random weights:

  kernel  each kind of op of a step alone, in all layers one after the other, each layer with weights
          and states of its own; a figure is of one layer's, boundary included (what all layers
          together have in less than the cache, as norms have, is read from there: above the copy)
  step    whole steps as they are served: a decode step is a recorded graph, a prompt is not; once as
          steps in a row (`decode`, `prefill`), once with greedy draws that the host waits for
          (`decode+draws`). A decode step's floor is reading weights once, and reading and writing
          states; activations, below 1% of it, are left out. A prompt's is its matrix products.
          `loss` is the part of a step that its kernels alone, without boundaries, do not take
  state   of the first model: copying a session's state (fork), to pinned host memory (evict) and back

Last, the acceptance lines: met, missed or not measured.

  --quick            fewer loads and formats, shorter runs: less than a minute
  --only=PART        only figures whose name has PART in it, as in kernel/mamba-2.8b/bf16/64/scan
  --models=A,B       of mamba-2.8b, mamba2-2.7b, mamba-130m, mamba2-130m, tiny, tiny2
                     (default: the first two); +bf16 or +f16 behind one keeps its states so
  --weights=A,B      of f32, bf16, f16, fp8, q8, q4 (default: bf16,fp8,q8,q4); of the formats after
                     the first one, only what depends on the format is measured
  --loads=A,B        sessions that decode, or sessions x tokens of a prompt
                     (default: 1,8,64,256,4x2048)
  --device=N         which GPU (default: 0)
  --plain            with the plain kernels only, which unknown GPUs are served with
  --gemm             prompts' products by cuBLASLt, as `ssmd --gemm=fast` has them
  --without-wgmma    products by mma.sync also where the GPU has wgmma
  --megabytes=N      of a buffer for bandwidths, of which there are two (default: 2048)
  --matrix-peak=T    TFLOP/s of bf16 to hold products against, where cuBLASLt is not there
  --json=FILE        all figures, for machines
  --help             this

The exit status is 0 if all that was asked for could be measured, whether it is fast or not.

  kernels_bench --json=h100.json
  kernels_bench --only=/scan --models=mamba2-2.7b
)";

namespace {

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Within [low, high], all of the text.
std::optional<int64_t> Number(const std::string& text, int64_t low, int64_t high) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < low || value > high) return std::nullopt;
  return value;
}

std::optional<Load> ParseLoad(const std::string& text) {
  const size_t x = text.find('x');
  const auto sessions = Number(text.substr(0, x), 1, 4096);
  const auto tokens = x == std::string::npos ? 1 : Number(text.substr(x + 1), 2, 1 << 20);
  if (!sessions || !tokens) return std::nullopt;
  return Load{*sessions, *tokens};
}

// Appends `parse` of each part of a list. False where there is none.
template <typename T, typename Parse>
bool ParseList(const std::string& text, const Parse& parse, std::vector<T>* list) {
  for (const std::string& part : Split(text)) {
    const std::optional<T> value = parse(part);
    if (!value) return false;
    list->push_back(*value);
  }
  return true;
}

bool ParseInto(const std::string& name, const std::string& value, Options* options) {
  const auto number = [&value](auto* to, int64_t low, int64_t high) {
    const auto parsed = Number(value, low, high);
    if (parsed) *to = static_cast<std::remove_reference_t<decltype(*to)>>(*parsed);
    return parsed.has_value();
  };
  const auto flag = [&value](bool* to) { return *to = true, value.empty(); };
  const auto text = [&value](std::string* to) { return *to = value, !value.empty(); };
  if (name == "--help") return flag(&options->help);
  if (name == "--quick") return flag(&options->quick);
  if (name == "--plain") return flag(&options->plain);
  if (name == "--gemm") return flag(&options->gemm);
  if (name == "--without-wgmma") return flag(&options->without_wgmma);
  if (name == "--only") return text(&options->only);
  if (name == "--json") return text(&options->json_file);
  if (name == "--device") return number(&options->device, 0, 1023);
  if (name == "--megabytes") return number(&options->ceilings.megabytes, 1, 1 << 20);
  if (name == "--matrix-peak") return number(&options->ceilings.matrix_tflop_s, 1, 1'000'000);
  if (name == "--models") return ParseList(value, ShapeNamed, &options->models);
  if (name == "--loads") return ParseList(value, ParseLoad, &options->loads);
  if (name == "--weights") {
    return ParseList(
        value, [](const std::string& format) { return kernels::ParseWeightFormat(format); },
        &options->weights);
  }
  return false;
}

void SetDefaults(Options* options) {
  const bool quick = options->quick;
  if (options->models.empty()) {
    options->models = {*ShapeNamed("mamba-2.8b"), *ShapeNamed("mamba2-2.7b")};
  }
  if (options->loads.empty()) {
    options->loads = {{1, 1}, {64, 1}, {4, 2048}};
    if (!quick) options->loads = {{1, 1}, {8, 1}, {64, 1}, {256, 1}, {4, 2048}};
  }
  using kernels::WeightFormat;
  if (options->weights.empty()) {
    options->weights = {WeightFormat::kBf16};
    if (!quick) {
      options->weights.insert(options->weights.end(),
                              {WeightFormat::kFp8, WeightFormat::kQ8, WeightFormat::kQ4});
    }
  }
  if (quick) options->ceilings.timer = {5, 5, 300};
}

}  // namespace

bool ParseOptions(int argc, char** argv, Options* options, std::string* error) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (!ParseInto(argument.substr(0, equals), value, options)) {
      *error = "cannot make sense of " + argument + "; --help says what there is";
      return false;
    }
  }
  SetDefaults(options);
  return true;
}

}  // namespace ssmd::gpu_bench
