#include "tests/bench/random_checkpoint.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/number_format.h"
#include "tests/support/models.h"

namespace ssmd::bench {
namespace {

struct NamedShape {
  const char* name;
  int d_model, layers, vocabulary;
  bool mamba2;
};
constexpr NamedShape kShapes[] = {{"tiny", 64, 2, 256, false},
                                  {"mamba-130m", 768, 24, 50280, false},
                                  {"mamba-370m", 1024, 48, 50280, false},
                                  {"mamba-790m", 1536, 48, 50280, false},
                                  {"mamba-1.4b", 2048, 48, 50280, false},
                                  {"mamba2-130m", 768, 24, 50288, true},
                                  {"mamba2-370m", 1024, 48, 50288, true},
                                  {"mamba2-780m", 1536, 48, 50288, true},
                                  {"mamba2-1.3b", 2048, 48, 50288, true}};

test::MambaShape ShapeOf(const std::string& name) {
  test::MambaShape shape;
  for (const NamedShape& known : kShapes) {
    if (name != known.name) continue;
    shape.d_model = known.d_model;
    shape.layers = known.layers;
    shape.vocabulary = known.vocabulary;
    shape.head_dim = known.mamba2 ? 64 : 0;
  }
  shape.state = shape.head_dim > 0 ? 128 : 16;
  shape.conv = 4;
  shape.expand = 2;
  shape.dt_rank = (shape.d_model + 15) / 16;
  return shape;
}

void WriteBf16(const std::vector<test::Tensor>& tensors, std::ofstream& file) {
  std::vector<std::string> entries;
  size_t offset = 0;
  for (const test::Tensor& tensor : tensors) {
    const size_t end = offset + 2 * tensor.values.size();
    entries.push_back(absl::StrCat("\"", tensor.name, R"(":{"dtype":"BF16","shape":[)",
                                   absl::StrJoin(tensor.shape, ","), R"(],"data_offsets":[)",
                                   offset, ",", end, "]}"));
    offset = end;
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  for (int byte = 0; byte < 8; ++byte) {
    file.put(static_cast<char>(uint64_t{header.size()} >> (8 * byte)));
  }
  file << header;
  for (const test::Tensor& tensor : tensors) {
    std::vector<uint16_t> rounded;
    rounded.reserve(tensor.values.size());
    for (float value : tensor.values) rounded.push_back(kernels::RoundToBf16(value));
    file.write(reinterpret_cast<const char*>(rounded.data()),
               static_cast<std::streamsize>(2 * rounded.size()));
  }
}

absl::Status Write(const std::string& folder, const test::MambaShape& shape) {
  std::ofstream(folder + "/config.json") << test::MambaConfig(shape);
  std::ofstream weights(folder + "/model.safetensors", std::ios::binary);
  WriteBf16(test::RandomMamba(shape, 1), weights);
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
  for (const NamedShape& shape : kShapes) names.emplace_back(shape.name);
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
  status_ = Write(folder_, ShapeOf(shape));
}

RandomCheckpoint::~RandomCheckpoint() {
  std::error_code error;  // what is left behind is the system's to clean
  if (!folder_.empty()) std::filesystem::remove_all(folder_, error);
}

}  // namespace ssmd::bench
