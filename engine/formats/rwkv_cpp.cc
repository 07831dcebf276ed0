#include "engine/formats/rwkv_cpp.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/little_endian.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/forward_reader.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr uint32_t kRwkvCppMagic = 0x67676d66;
constexpr uint32_t kFirstVersion = 100;
constexpr uint32_t kVersionOfBlocks = 101;  // blocks of quantised numbers were others before
constexpr int32_t kMaxHeaderNumber = 1 << 24;

struct TypeRow {
  uint32_t number;
  std::string_view name;
  std::optional<TensorType> type;  // absent for one that is not read
};
constexpr TypeRow kRwkvCppTypes[] = {
    {0, "FP32", TensorType::kF32},  {1, "FP16", TensorType::kF16}, {2, "Q4_0", TensorType::kQ4_0},
    {3, "Q4_1", std::nullopt},      {7, "Q5_0", std::nullopt},     {8, "Q5_1", std::nullopt},
    {9, "Q8_0", TensorType::kQ8_0},
};

struct Header {
  uint32_t version = 0;
  int32_t vocabulary = 0;
  int32_t d_model = 0;
  int32_t layers = 0;
};

class RwkvCppReader {
 public:
  RwkvCppReader(std::string_view source, std::string_view bytes) : file_(source, bytes) {}

  absl::StatusOr<std::vector<TensorInfo>> Read();

 private:
  absl::Status ReadHeader();
  absl::Status ReadTensor();
  absl::Status ReadShape(absl::string_view within, uint32_t dimensions, TensorInfo* tensor);
  absl::Status SetType(absl::string_view within, uint32_t number, TensorInfo* tensor) const;
  absl::Status TakeData(absl::string_view within, TensorInfo* tensor);
  absl::Status CheckHeader() const;
  const TensorInfo* Find(std::string_view name) const;

  ForwardReader file_;
  Header header_;
  std::vector<TensorInfo> tensors_;
};

absl::StatusOr<std::vector<TensorInfo>> RwkvCppReader::Read() {
  SSMD_RETURN_IF_ERROR(ReadHeader());
  while (file_.left() > 0) {
    if (tensors_.size() == kMaxRwkvCppTensors) {
      return file_.Error(
          absl::StrCat("has more than the ", kMaxRwkvCppTensors, " tensors allowed"));
    }
    SSMD_RETURN_IF_ERROR(ReadTensor());
  }
  absl::flat_hash_set<std::string_view> names;
  for (const TensorInfo& tensor : tensors_) {
    if (!names.insert(tensor.name).second) {
      return file_.Error(absl::StrCat("has the tensor ", Quoted(tensor.name), " twice"));
    }
  }
  SSMD_RETURN_IF_ERROR(CheckHeader());
  return std::move(tensors_);
}

absl::Status RwkvCppReader::ReadHeader() {
  uint32_t magic = 0;
  uint32_t type = 0;  // of most tensors; each has its own
  if (!file_.Get(&magic) || !file_.Get(&header_.version) || !file_.Get(&header_.vocabulary) ||
      !file_.Get(&header_.d_model) || !file_.Get(&header_.layers) || !file_.Get(&type)) {
    return file_.CutShort("the header");
  }
  if (magic != kRwkvCppMagic) return file_.Error("is not a file of rwkv.cpp");
  if (header_.version != kFirstVersion && header_.version != kVersionOfBlocks) {
    return file_.Error(absl::StrCat("is of version ", header_.version, " of rwkv.cpp's format; ",
                                    kFirstVersion, " and ", kVersionOfBlocks,
                                    " are read: convert the model again"));
  }
  const std::pair<const char*, int32_t> numbers[] = {
      {"n_vocab", header_.vocabulary}, {"n_embed", header_.d_model}, {"n_layer", header_.layers}};
  for (const auto& [name, number] : numbers) {
    if (number >= 1 && number <= kMaxHeaderNumber) continue;
    return file_.Error(absl::StrCat(name, " must be in [1, ", kMaxHeaderNumber, "], got ", number));
  }
  return absl::OkStatus();
}

absl::Status RwkvCppReader::ReadTensor() {
  const std::string number = absl::StrCat("tensor ", tensors_.size());
  uint32_t dimensions = 0;
  uint32_t name_bytes = 0;
  uint32_t type = 0;
  if (!file_.Get(&dimensions) || !file_.Get(&name_bytes) || !file_.Get(&type))
    return file_.CutShort(number);
  if (name_bytes < 1 || name_bytes > kMaxRwkvCppNameBytes) {
    return file_.Error(absl::StrCat(number, " has a name of ", name_bytes, " bytes: not in [1, ",
                                    kMaxRwkvCppNameBytes, "]"));
  }
  TensorInfo tensor;
  SSMD_RETURN_IF_ERROR(ReadShape(number, dimensions, &tensor));
  std::string_view name;
  if (!file_.Take(name_bytes, &name)) return file_.CutShort(number);
  tensor.name = std::string(name);
  const std::string within = absl::StrCat("tensor ", Quoted(tensor.name));
  SSMD_RETURN_IF_ERROR(SetType(within, type, &tensor));
  SSMD_RETURN_IF_ERROR(TakeData(within, &tensor));
  tensors_.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status RwkvCppReader::ReadShape(absl::string_view within, uint32_t dimensions,
                                      TensorInfo* tensor) {
  if (dimensions < 1 || dimensions > kMaxRwkvCppDimensions) {
    return file_.Error(absl::StrCat(within, " has ", dimensions, " dimensions: not in [1, ",
                                    kMaxRwkvCppDimensions, "]"));
  }
  tensor->elements = 1;
  tensor->shape.resize(dimensions);
  for (uint32_t i = dimensions; i-- > 0;) {  // innermost first in the file
    int32_t dimension = 0;
    if (!file_.Get(&dimension)) return file_.CutShort(within);
    if (dimension < 1) return file_.Error(absl::StrCat(within, " has a dimension of ", dimension));
    tensor->shape[i] = dimension;
    if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements)) {
      return file_.Error(absl::StrCat(within, " has a shape whose product is too large"));
    }
  }
  return absl::OkStatus();
}

absl::Status RwkvCppReader::SetType(absl::string_view within, uint32_t number,
                                    TensorInfo* tensor) const {
  std::string name = absl::StrCat(number);
  for (const TypeRow& row : kRwkvCppTypes) {
    if (row.number != number) continue;
    name = std::string(row.name);
    if (!row.type) break;
    if (TensorTypeBlock(*row.type) > 1 && header_.version != kVersionOfBlocks) {
      return file_.Error(absl::StrCat(within, " has type ", name, ", which version ",
                                      header_.version,
                                      " has in an older form: convert the model again"));
    }
    tensor->type = *row.type;
    return absl::OkStatus();
  }
  return file_.Error(absl::StrCat(within, " has type ", name,
                                  ", which is not supported; these are: FP32, FP16, Q4_0, Q8_0"));
}

absl::Status RwkvCppReader::TakeData(absl::string_view within, TensorInfo* tensor) {
  const int64_t block = TensorTypeBlock(tensor->type);
  if (tensor->shape.back() % block != 0) {
    return file_.Error(absl::StrCat(within, " has rows of ", tensor->shape.back(),
                                    " elements, but ", View(TensorTypeName(tensor->type)),
                                    " has blocks of ", block));
  }
  if (__builtin_mul_overflow(static_cast<size_t>(tensor->elements / block),
                             TensorTypeBytes(tensor->type), &tensor->bytes)) {
    return file_.Error(absl::StrCat(within, " has a shape whose size is too large"));
  }
  std::string_view data;
  if (!file_.Take(tensor->bytes, &data)) {
    return file_.Error(absl::StrCat(within, ", of ", tensor->bytes, " bytes at ", file_.at(),
                                    ", passes the end of the file"));
  }
  tensor->data = reinterpret_cast<const std::byte*>(data.data());
  return absl::OkStatus();
}

// What the tensors say, too.
absl::Status RwkvCppReader::CheckHeader() const {
  const TensorInfo* embedding = Find("emb.weight");
  if (embedding == nullptr)
    return file_.Error("has no tensor \"emb.weight\": a file without weights?");
  if (embedding->shape != std::vector<int64_t>{header_.vocabulary, header_.d_model}) {
    return file_.Error(absl::StrCat("tensor \"emb.weight\" has shape ",
                                    DescribeShape(embedding->shape), ", but n_vocab is ",
                                    header_.vocabulary, " and n_embed ", header_.d_model));
  }
  const auto has_layer = [&](int32_t layer) {
    return Find(absl::StrCat("blocks.", layer, ".ln1.weight")) != nullptr;
  };
  if (has_layer(header_.layers - 1) && !has_layer(header_.layers)) return absl::OkStatus();
  return file_.Error(absl::StrCat("n_layer is ", header_.layers, ", but the tensors have ",
                                  has_layer(header_.layers) ? "more" : "fewer", " layers"));
}

const TensorInfo* RwkvCppReader::Find(std::string_view name) const {
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const TensorInfo& tensor) { return tensor.name == name; });
  return at == tensors_.end() ? nullptr : &*at;
}

}  // namespace

bool IsRwkvCpp(std::string_view first_bytes) {
  return first_bytes.size() >= sizeof(kRwkvCppMagic) &&
         GetLittleEndian<uint32_t>(first_bytes.data()) == kRwkvCppMagic;
}

absl::StatusOr<std::vector<TensorInfo>> ParseRwkvCpp(const std::byte* data, size_t size,
                                                     std::string_view source) {
  return RwkvCppReader(source, {reinterpret_cast<const char*>(data), size}).Read();
}

}  // namespace ssmd
