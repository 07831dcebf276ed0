#include "engine/formats/gguf.h"

#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/forward_reader.h"
#include "engine/formats/gguf_tensor_type.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMinAlignment = 8;
constexpr char kAlignmentKey[] = "general.alignment";
constexpr char kArchitectureKey[] = "general.architecture";
constexpr char kPartsKey[] = "split.count";

// What a key with its value, and a tensor's description, take at least: so many of them fit.
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

uint64_t AlignUp(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

// A tensor's place, counted from the start of the data section.
struct DataExtent {
  uint64_t begin = 0;
  size_t tensor = 0;  // index into the result
};

class GgufReader {
 public:
  GgufReader(std::string_view source, std::string_view bytes) : file_(source, bytes) {}

  absl::Status Read();
  std::vector<Gguf::Pair> TakeMetadata() { return std::move(metadata_); }
  std::vector<TensorInfo> TakeTensors() { return std::move(tensors_); }

 private:
  absl::Status ReadHeader();
  absl::Status CheckVersion(uint32_t version) const;
  absl::StatusOr<std::string_view> ReadString(absl::string_view within, uint64_t max_bytes);
  absl::Status ReadPair(uint64_t number);
  absl::StatusOr<GgufValue> ReadValue(absl::string_view within);
  absl::StatusOr<GgufValue> ReadArray(absl::string_view within);
  absl::Status ReadAlignment();
  absl::Status ReadTensor(uint64_t number);
  absl::Status ReadShape(absl::string_view within, TensorInfo* tensor);
  absl::Status ReadType(absl::string_view within, TensorInfo* tensor);
  absl::Status PlaceTensors();

  ForwardReader file_;
  uint64_t tensor_count_ = 0;
  uint64_t pair_count_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  std::vector<Gguf::Pair> metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<DataExtent> extents_;
};

absl::Status GgufReader::Read() {
  SSMD_RETURN_IF_ERROR(ReadHeader());
  metadata_.reserve(pair_count_);
  for (uint64_t i = 0; i < pair_count_; ++i) SSMD_RETURN_IF_ERROR(ReadPair(i));
  absl::flat_hash_set<std::string_view> names;
  for (const Gguf::Pair& pair : metadata_) {
    if (!names.insert(pair.key).second) {
      return file_.Error(absl::StrCat("has the key ", Quoted(pair.key), " twice"));
    }
  }
  SSMD_RETURN_IF_ERROR(ReadAlignment());

  tensors_.reserve(tensor_count_);
  extents_.reserve(tensor_count_);
  for (uint64_t i = 0; i < tensor_count_; ++i) SSMD_RETURN_IF_ERROR(ReadTensor(i));
  names.clear();
  for (const TensorInfo& tensor : tensors_) {
    if (!names.insert(tensor.name).second) {
      return file_.Error(absl::StrCat("has the tensor ", Quoted(tensor.name), " twice"));
    }
  }
  return PlaceTensors();
}

absl::Status GgufReader::ReadHeader() {
  std::string_view magic;
  if (!file_.Take(kMagic.size(), &magic) || magic != kMagic) {
    return file_.Error(
        "is not a GGUF file: it does not begin with GGUF (a model of other files is given by its "
        "folder)");
  }
  uint32_t version = 0;
  if (!file_.Get(&version)) return file_.CutShort("the header");
  SSMD_RETURN_IF_ERROR(CheckVersion(version));
  if (!file_.Get(&tensor_count_) || !file_.Get(&pair_count_)) return file_.CutShort("the header");
  if (tensor_count_ > kMaxGgufTensors) {
    return file_.Error(absl::StrCat("has ", tensor_count_, " tensors, more than the ",
                                    kMaxGgufTensors, " allowed"));
  }
  if (pair_count_ > kMaxGgufKeys) {
    return file_.Error(
        absl::StrCat("has ", pair_count_, " keys, more than the ", kMaxGgufKeys, " allowed"));
  }
  if (pair_count_ * kMinPairBytes + tensor_count_ * kMinTensorBytes > file_.left()) {
    return file_.Error(absl::StrCat("is cut short: ", pair_count_, " keys and ", tensor_count_,
                                    " tensors do not fit into ", file_.bytes().size(), " bytes"));
  }
  return absl::OkStatus();
}

absl::Status GgufReader::CheckVersion(uint32_t version) const {
  if (version >= kOldestVersion && version <= kNewestVersion) return absl::OkStatus();
  if ((version & 0xFFFF) == 0 && version != 0) {
    return file_.Error("is a big-endian file, which is not supported: convert the model again");
  }
  return file_.Error(absl::StrCat("is of GGUF version ", version, "; ", kOldestVersion, " and ",
                                  kNewestVersion, " are read: convert the model again"));
}

absl::StatusOr<std::string_view> GgufReader::ReadString(absl::string_view within,
                                                        uint64_t max_bytes) {
  uint64_t length = 0;
  if (!file_.Get(&length)) return file_.CutShort(within);
  if (length > max_bytes) {
    return file_.Error(absl::StrCat(within, " has a string of ", length, " bytes, more than the ",
                                    max_bytes, " allowed"));
  }
  std::string_view text;
  if (!file_.Take(length, &text)) return file_.CutShort(within);
  return text;
}

absl::Status GgufReader::ReadPair(uint64_t number) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view key,
                        ReadString(absl::StrCat("the name of key ", number), kMaxGgufKeyBytes));
  if (key.empty()) return file_.Error(absl::StrCat("key ", number, " has no name"));
  SSMD_ASSIGN_OR_RETURN(const GgufValue value, ReadValue(absl::StrCat("key ", Quoted(key))));
  metadata_.push_back({key, value});
  return absl::OkStatus();
}

absl::StatusOr<GgufValue> GgufReader::ReadValue(absl::string_view within) {
  uint32_t number = 0;
  if (!file_.Get(&number)) return file_.CutShort(within);
  const auto type = static_cast<GgufType>(number);
  if (type == GgufType::kArray) return ReadArray(within);
  if (type == GgufType::kString) {
    SSMD_ASSIGN_OR_RETURN(const std::string_view text, ReadString(within, kMaxGgufStringBytes));
    return GgufValue(type, text);
  }
  const size_t size = GgufTypeBytes(type);
  if (size == 0) return file_.Error(absl::StrCat(within, " has the unknown type ", number));
  std::string_view bytes;
  if (!file_.Take(size, &bytes)) return file_.CutShort(within);
  if (type == GgufType::kBool && static_cast<unsigned char>(bytes.front()) > 1) {
    return file_.Error(absl::StrCat(within, " is a bool that is neither 0 nor 1"));
  }
  return GgufValue(type, bytes);
}

absl::StatusOr<GgufValue> GgufReader::ReadArray(absl::string_view within) {
  uint32_t number = 0;
  uint64_t size = 0;
  if (!file_.Get(&number) || !file_.Get(&size)) return file_.CutShort(within);
  const auto type = static_cast<GgufType>(number);
  if (type == GgufType::kArray) {
    return file_.Error(absl::StrCat(within, " is an array of arrays, which is not supported"));
  }
  if (size > kMaxGgufArrayElements) {
    return file_.Error(absl::StrCat(within, " has ", size, " elements, more than the ",
                                    kMaxGgufArrayElements, " allowed"));
  }
  const size_t begin = file_.at();
  if (type == GgufType::kString) {
    for (uint64_t i = 0; i < size; ++i) {
      SSMD_RETURN_IF_ERROR(ReadString(within, kMaxGgufStringBytes).status());
    }
  } else {
    const size_t element_bytes = GgufTypeBytes(type);
    if (element_bytes == 0) {
      return file_.Error(absl::StrCat(within, " is an array of the unknown type ", number));
    }
    std::string_view elements;  // no product overflows, for the limit above
    if (!file_.Take(size * element_bytes, &elements)) return file_.CutShort(within);
  }
  return GgufValue(type, size, file_.bytes().substr(begin, file_.at() - begin));
}

absl::Status GgufReader::ReadAlignment() {
  for (const Gguf::Pair& pair : metadata_) {
    if (pair.key != kAlignmentKey) continue;
    const auto alignment = pair.value.AsInt();
    if (!alignment || *alignment < static_cast<int64_t>(kMinAlignment) ||
        *alignment > static_cast<int64_t>(kMaxGgufAlignment) ||
        (*alignment & (*alignment - 1)) != 0) {
      return file_.Error(absl::StrCat("key ", Quoted(pair.key), " must be a power of two in [",
                                      kMinAlignment, ", ", kMaxGgufAlignment, "], got ",
                                      pair.value.Describe()));
    }
    alignment_ = static_cast<uint64_t>(*alignment);
  }
  return absl::OkStatus();
}

absl::Status GgufReader::ReadTensor(uint64_t number) {
  SSMD_ASSIGN_OR_RETURN(
      const std::string_view name,
      ReadString(absl::StrCat("the name of tensor ", number), kMaxGgufTensorNameBytes));
  if (name.empty()) return file_.Error(absl::StrCat("tensor ", number, " has no name"));
  const std::string within = absl::StrCat("tensor ", Quoted(name));
  TensorInfo tensor;
  tensor.name = std::string(name);
  SSMD_RETURN_IF_ERROR(ReadShape(within, &tensor));
  SSMD_RETURN_IF_ERROR(ReadType(within, &tensor));
  DataExtent extent;
  if (!file_.Get(&extent.begin)) return file_.CutShort(within);
  if (extent.begin % alignment_ != 0) {
    return file_.Error(absl::StrCat(within, " begins at ", extent.begin,
                                    ", which is no multiple of the alignment ", alignment_));
  }
  extent.tensor = tensors_.size();
  extents_.push_back(extent);
  tensors_.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status GgufReader::ReadShape(absl::string_view within, TensorInfo* tensor) {
  uint32_t dimensions = 0;
  if (!file_.Get(&dimensions)) return file_.CutShort(within);
  if (dimensions < 1 || dimensions > kMaxGgufDimensions) {
    return file_.Error(absl::StrCat(within, " has ", dimensions, " dimensions: not in [1, ",
                                    kMaxGgufDimensions, "]"));
  }
  tensor->elements = 1;
  tensor->shape.resize(dimensions);
  for (uint32_t i = dimensions; i-- > 0;) {  // innermost first in the file
    uint64_t dimension = 0;
    if (!file_.Get(&dimension)) return file_.CutShort(within);
    if (dimension < 1 || dimension > std::numeric_limits<int64_t>::max()) {
      return file_.Error(absl::StrCat(within, " has a dimension of ", dimension));
    }
    tensor->shape[i] = static_cast<int64_t>(dimension);
    if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements)) {
      return file_.Error(absl::StrCat(within, " has a shape whose product is too large"));
    }
  }
  return absl::OkStatus();
}

absl::Status GgufReader::ReadType(absl::string_view within, TensorInfo* tensor) {
  uint32_t number = 0;
  if (!file_.Get(&number)) return file_.CutShort(within);
  const auto type = GgufTensorType(number);
  if (!type) return file_.Error(absl::StrCat(within, " has type ", DescribeGgufTensorType(number)));
  tensor->type = *type;
  const int64_t block = TensorTypeBlock(*type);
  if (tensor->shape.back() % block != 0) {
    return file_.Error(absl::StrCat(within, " has rows of ", tensor->shape.back(),
                                    " elements, but ", View(TensorTypeName(*type)),
                                    " has blocks of ", block));
  }
  if (__builtin_mul_overflow(static_cast<uint64_t>(tensor->elements / block),
                             TensorTypeBytes(*type), &tensor->bytes)) {
    return file_.Error(absl::StrCat(within, " has a shape whose size is too large"));
  }
  return absl::OkStatus();
}

// Each tensor begins where the one before it ends, aligned, and lies within the file.
absl::Status GgufReader::PlaceTensors() {
  std::sort(extents_.begin(), extents_.end(),
            [](const DataExtent& a, const DataExtent& b) { return a.begin < b.begin; });
  const uint64_t data_begin =
      std::min<uint64_t>(AlignUp(file_.at(), alignment_), file_.bytes().size());
  const uint64_t data_bytes = file_.bytes().size() - data_begin;
  uint64_t end = 0;
  for (const DataExtent& extent : extents_) {
    TensorInfo& tensor = tensors_[extent.tensor];
    const std::string within = absl::StrCat("tensor ", Quoted(tensor.name));
    if (extent.begin < end) return file_.Error(absl::StrCat(within, " overlaps another tensor"));
    if (extent.begin != AlignUp(end, alignment_)) {
      return file_.Error(absl::StrCat(within, " leaves a hole before it, of ",
                                      extent.begin - AlignUp(end, alignment_), " bytes"));
    }
    if (extent.begin > data_bytes || tensor.bytes > data_bytes - extent.begin) {
      return file_.Error(absl::StrCat(within, ", of ", tensor.bytes, " bytes at ", extent.begin,
                                      " of the data, passes the end of the file"));
    }
    tensor.data =
        reinterpret_cast<const std::byte*>(file_.bytes().data() + data_begin + extent.begin);
    end = extent.begin + tensor.bytes;
  }
  if (data_bytes <= AlignUp(end, alignment_)) return absl::OkStatus();
  return file_.Error(absl::StrCat("has ", data_bytes - end, " bytes after the last tensor"));
}

}  // namespace

absl::StatusOr<Gguf> Gguf::Open(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  SSMD_ASSIGN_OR_RETURN(Gguf gguf, Parse(file.data(), file.size(), file.name()));
  gguf.file_ = std::move(file);
  return gguf;
}

absl::StatusOr<Gguf> Gguf::Parse(const std::byte* data, size_t size, std::string_view source) {
  GgufReader reader(source, {reinterpret_cast<const char*>(data), size});
  SSMD_RETURN_IF_ERROR(reader.Read());
  Gguf gguf;
  gguf.source_ = std::string(source);
  gguf.metadata_ = reader.TakeMetadata();
  gguf.tensors_ = reader.TakeTensors();
  return gguf;
}

const GgufValue* Gguf::Find(std::string_view key) const {
  for (const Pair& pair : metadata_) {
    if (pair.key == key) return &pair.value;
  }
  return nullptr;
}

absl::StatusOr<std::string_view> Gguf::Architecture() const {
  const GgufValue* parts = Find(kPartsKey);
  if (parts != nullptr && parts->AsInt() != 1) {
    return KeyError(kPartsKey, absl::StrCat("is ", parts->Describe(),
                                            ": a model in several files is not supported; join "
                                            "them with llama-gguf-split --merge"));
  }
  const GgufValue* value = Find(kArchitectureKey);
  if (value == nullptr) return KeyError(kArchitectureKey, "is missing");
  const auto architecture = value->AsString();
  if (architecture) return *architecture;
  return KeyError(kArchitectureKey, absl::StrCat("must be a string, got ", value->Describe()));
}

const TensorInfo* Gguf::FindTensor(std::string_view name) const {
  for (const TensorInfo& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::Status Gguf::KeyError(std::string_view key, std::string_view reason) const {
  return absl::InvalidArgumentError(absl::StrCat(source_, ": ", View(key), " ", View(reason)));
}

}  // namespace ssmd
