#include "tests/bench/random_checkpoint.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "kernels/number_format.h"
#include "tests/bench/random_stack.h"
#include "tests/support/models.h"

namespace ssmd::bench {
namespace {

// config.json, and the tensors of a model of one layer.
struct Model {
  std::string config;
  std::vector<test::Tensor> tensors;
  int64_t layers = 0;
};

struct NamedMamba {
  const char* name;
  int d_model, layers, vocabulary;
  bool mamba2;
};
constexpr NamedMamba kMambas[] = {{"tiny", 64, 2, 256, false},
                                  {"mamba-130m", 768, 24, 50280, false},
                                  {"mamba-370m", 1024, 48, 50280, false},
                                  {"mamba-790m", 1536, 48, 50280, false},
                                  {"mamba-1.4b", 2048, 48, 50280, false},
                                  {"mamba-2.8b", 2560, 64, 50280, false},
                                  {"mamba2-130m", 768, 24, 50288, true},
                                  {"mamba2-370m", 1024, 48, 50288, true},
                                  {"mamba2-780m", 1536, 48, 50288, true},
                                  {"mamba2-1.3b", 2048, 48, 50288, true},
                                  {"mamba2-2.7b", 2560, 64, 50288, true}};

Model MakeMamba(const NamedMamba& known) {
  test::MambaShape shape;
  shape.d_model = known.d_model;
  shape.layers = known.layers;
  shape.vocabulary = known.vocabulary;
  shape.head_dim = known.mamba2 ? 64 : 0;
  shape.state = known.mamba2 ? 128 : 16;
  shape.conv = 4;
  shape.expand = 2;
  shape.dt_rank = (shape.d_model + 15) / 16;
  Model model = {test::MambaConfig(shape), {}, shape.layers};
  shape.layers = 1;
  model.tensors = test::RandomMamba(shape, 1);
  return model;
}

struct NamedSize {
  const char* name;
  int64_t d_model, layers, vocabulary;
};
constexpr NamedSize kStackSizes[] = {{"tiny", 64, 2, 256}, {"768x24", 768, 24, 1024}};

std::string StackName(const std::string& mixer, const NamedSize& size) {
  return absl::StrCat(mixer, "-", size.name);
}

Model MakeModel(const std::string& name) {
  for (const NamedMamba& known : kMambas) {
    if (name == known.name) return MakeMamba(known);
  }
  Model model;
  for (const std::string& mixer : RandomMixers()) {
    for (const NamedSize& size : kStackSizes) {
      if (name != StackName(mixer, size)) continue;
      const StackShape shape = {mixer, size.d_model, size.layers, size.vocabulary};
      model = {StackConfig(shape), RandomStack(shape, 1), shape.layers};
    }
  }
  return model;
}

// A tensor of the file, and whose values it has: layers have those of the first one.
struct NamedTensor {
  std::string name;
  const test::Tensor* values;
};

std::vector<NamedTensor> OfAllLayers(const std::vector<test::Tensor>& tensors, int64_t layers) {
  constexpr absl::string_view kFirstLayer = "backbone.layers.0.";
  std::vector<NamedTensor> all;
  for (const test::Tensor& tensor : tensors) {
    absl::string_view name = tensor.name;
    if (!absl::ConsumePrefix(&name, kFirstLayer)) {
      all.push_back({tensor.name, &tensor});
      continue;
    }
    for (int64_t layer = 0; layer < layers; ++layer) {
      all.push_back({absl::StrCat("backbone.layers.", layer, ".", name), &tensor});
    }
  }
  return all;
}

void WriteBf16(const std::vector<NamedTensor>& tensors, std::ofstream& file) {
  std::vector<std::string> entries;
  size_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    const size_t end = offset + 2 * tensor.values->values.size();
    entries.push_back(absl::StrCat("\"", tensor.name, R"(":{"dtype":"BF16","shape":[)",
                                   absl::StrJoin(tensor.values->shape, ","),
                                   R"(],"data_offsets":[)", offset, ",", end, "]}"));
    offset = end;
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  for (int byte = 0; byte < 8; ++byte) {
    file.put(static_cast<char>(uint64_t{header.size()} >> (8 * byte)));
  }
  file << header;
  for (const NamedTensor& tensor : tensors) {
    std::vector<uint16_t> rounded;
    rounded.reserve(tensor.values->values.size());
    for (float value : tensor.values->values) rounded.push_back(kernels::RoundToBf16(value));
    file.write(reinterpret_cast<const char*>(rounded.data()),
               static_cast<std::streamsize>(2 * rounded.size()));
  }
}

absl::Status Write(const std::string& folder, const Model& model) {
  std::ofstream(folder + "/config.json") << model.config;
  std::ofstream weights(folder + "/model.safetensors", std::ios::binary);
  WriteBf16(OfAllLayers(model.tensors, model.layers), weights);
  weights.close();
  if (weights.fail()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write a random checkpoint to ", folder, "; is the disk full?"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> RandomShapes() {
  std::vector<std::string> names;
  for (const NamedMamba& known : kMambas) names.emplace_back(known.name);
  for (const NamedSize& size : kStackSizes) {
    for (const std::string& mixer : RandomMixers()) names.push_back(StackName(mixer, size));
  }
  return names;
}

RandomCheckpoint::RandomCheckpoint(const std::string& shape) {
  std::error_code error;
  folder_ = (std::filesystem::temp_directory_path(error) / "ssmd-bench-XXXXXX").string();
  if (error || mkdtemp(folder_.data()) == nullptr) {
    folder_.clear();
    status_ = absl::UnavailableError("cannot make a temporary folder; set TMPDIR to one");
    return;
  }
  status_ = Write(folder_, MakeModel(shape));
}

RandomCheckpoint::~RandomCheckpoint() {
  std::error_code error;  // what is left behind is the system's to clean
  if (!folder_.empty()) std::filesystem::remove_all(folder_, error);
}

}  // namespace ssmd::bench
