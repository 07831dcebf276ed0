#include "engine/formats/torch_zip.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"
#include "engine/formats/torch_pickle.h"
#include "engine/formats/zip_directory.h"

namespace ssmd {
namespace {

constexpr std::string_view kPickleName = "data.pkl";
// torch reads more than we do.
constexpr char kAdvice[] = " (deploy/convert_checkpoint.py may convert it to safetensors)";

// Entries by their names within the archive's one folder.
using Entries = std::map<std::string_view, std::string_view>;

class TorchZipReader {
 public:
  explicit TorchZipReader(std::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<TensorInfo>> Read(std::string_view file);

 private:
  absl::Status Error(const std::string& reason) const {
    return absl::InvalidArgumentError(absl::StrCat(std::string(source_), ": ", reason));
  }
  // Of a file that torch may be able to read.
  absl::Status Unsupported(const std::string& reason) const {
    return Error(absl::StrCat(reason, kAdvice));
  }

  absl::Status FindEntries(std::string_view file);
  absl::Status CheckByteOrder() const;
  absl::StatusOr<TensorInfo> Locate(const PickledTensor& pickled) const;

  std::string_view source_;
  Entries entries_;
};

absl::StatusOr<std::vector<TensorInfo>> TorchZipReader::Read(std::string_view file) {
  // Before 1.6 torch wrote pickles one after another.
  if (!file.empty() && file.front() == '\x80') {
    return Unsupported("is a bare pickle, as torch wrote before version 1.6");
  }
  SSMD_RETURN_IF_ERROR(FindEntries(file));
  SSMD_RETURN_IF_ERROR(CheckByteOrder());
  const auto pickle = entries_.find(kPickleName);
  if (pickle == entries_.end()) return Error("has no data.pkl: not a checkpoint of torch?");
  const auto state_dict =
      ReadStateDict(pickle->second, absl::StrCat(View(source_), ": ", View(kPickleName)));
  if (!state_dict.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(state_dict.status().message(), "; nothing in a pickle is executed", kAdvice));
  }
  std::vector<TensorInfo> tensors;
  tensors.reserve(state_dict->size());
  for (const PickledTensor& pickled : *state_dict) {
    SSMD_ASSIGN_OR_RETURN(TensorInfo tensor, Locate(pickled));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

absl::Status TorchZipReader::FindEntries(std::string_view file) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<ZipEntry> listed, ReadZipDirectory(file, source_));
  std::string_view folder;
  for (const ZipEntry& entry : listed) {
    const size_t slash = entry.name.find('/');
    if (slash == entry.name.npos) {
      return Error(absl::StrCat("entry ", Quoted(entry.name), " is not in a folder"));
    }
    const std::string_view its_folder = entry.name.substr(0, slash);
    if (folder.empty()) folder = its_folder;
    if (its_folder != folder) {
      return Error(absl::StrCat("entry ", Quoted(entry.name), " is not in the folder ",
                                Quoted(folder), " of the others"));
    }
    entries_.emplace(entry.name.substr(slash + 1), entry.bytes);
  }
  return absl::OkStatus();
}

// Absent in files from before torch 2.1, which knew one order.
absl::Status TorchZipReader::CheckByteOrder() const {
  const auto entry = entries_.find("byteorder");
  if (entry == entries_.end() || entry->second == "little") return absl::OkStatus();
  return Unsupported(
      absl::StrCat("its byte order is ", Quoted(entry->second), ", where it must be \"little\""));
}

// Whether the strides are those of rows one after another; that of a dimension of 1 says nothing.
// REQUIRES: there are elements, and their number does not overflow.
bool IsRowMajor(const PickledTensor& tensor) {
  int64_t stride = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.shape[i];
  }
  return true;
}

absl::StatusOr<TensorInfo> TorchZipReader::Locate(const PickledTensor& pickled) const {
  const std::string name = absl::StrCat("tensor ", Quoted(pickled.name), ": ");
  TensorInfo tensor;
  tensor.name = std::string(pickled.name);
  tensor.type = pickled.type;
  tensor.shape = pickled.shape;
  tensor.elements = 1;
  for (const int64_t dimension : pickled.shape) {
    if (__builtin_mul_overflow(tensor.elements, dimension, &tensor.elements)) {
      return Error(absl::StrCat(name, "the product of its dimensions is too large"));
    }
  }
  const auto entry = entries_.find(absl::StrCat("data/", View(pickled.storage)));
  if (entry == entries_.end()) {
    return Error(absl::StrCat(name, "its storage data/", Quoted(pickled.storage), " is absent"));
  }
  const size_t element_bytes = TensorTypeBytes(pickled.type);
  uint64_t storage_bytes = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(pickled.storage_elements), element_bytes,
                             &storage_bytes) ||
      storage_bytes != entry->second.size()) {
    return Error(absl::StrCat(name, "its storage of ", pickled.storage_elements, " elements of ",
                              View(TensorTypeName(pickled.type)), " has ", entry->second.size(),
                              " bytes"));
  }
  if (tensor.elements > pickled.storage_elements ||
      pickled.offset > pickled.storage_elements - tensor.elements) {
    return Error(absl::StrCat(name, "shape ", DescribeShape(tensor.shape), " at element ",
                              pickled.offset, " passes the end of its storage of ",
                              pickled.storage_elements, " elements"));
  }
  if (tensor.elements > 0 && !IsRowMajor(pickled)) {
    return Unsupported(absl::StrCat(name, "its elements do not lie row by row: shape ",
                                    DescribeShape(tensor.shape), " with strides ",
                                    DescribeShape(pickled.strides)));
  }
  // Within the storage, whose bytes exist: neither product overflows.
  tensor.bytes = static_cast<size_t>(tensor.elements) * element_bytes;
  tensor.data = reinterpret_cast<const std::byte*>(entry->second.data()) +
                static_cast<size_t>(pickled.offset) * element_bytes;
  return tensor;
}

}  // namespace

absl::StatusOr<std::vector<TensorInfo>> ParseTorchZip(const std::byte* data, size_t size,
                                                      std::string_view source) {
  return TorchZipReader(source).Read({reinterpret_cast<const char*>(data), size});
}

}  // namespace ssmd
