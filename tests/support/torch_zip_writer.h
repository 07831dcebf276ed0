// Checkpoints of torch for tests: right ones from tensors, and the pieces that wrong ones are made
// of. The layout is that of torch.save: entries stored as they are, sizes behind the data, zip64
// records at the end; a pickle of protocol 2.
#ifndef SSMD_TESTS_SUPPORT_TORCH_ZIP_WRITER_H_
#define SSMD_TESTS_SUPPORT_TORCH_ZIP_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/little_endian.h"

namespace ssmd::testing {

// An entry of a zip file. What is not set is as torch has it.
struct ZipEntryToWrite {
  std::string name;
  std::string bytes;
  std::string extra;        // in the directory
  std::string local_extra;  // in the entry's own header
};

// The layout of one file, for tests that damage it.
struct ZipFile {
  std::string bytes;
  std::vector<size_t> headers;  // where each entry's own header is
  std::vector<size_t> entries;  // where the directory has it
  size_t zip64_end = 0;         // where the records at the end are
  size_t end = 0;

  template <typename T>
  ZipFile With(size_t at, T value) const {
    ZipFile changed = *this;
    std::string raw;
    PutLittleEndian<T>(&raw, value);
    changed.bytes.replace(at, sizeof(T), raw);
    return changed;
  }
};

namespace zip_internal {

inline void PutHeader(const ZipEntryToWrite& entry, std::string* out) {
  out->append("PK\3\4");
  PutLittleEndian<uint16_t>(out, 0);       // version
  PutLittleEndian<uint16_t>(out, 0x0808);  // flags: sizes behind the data, a name in UTF-8
  out->append(18, '\0');                   // stored, time, date, checksum, sizes
  PutLittleEndian<uint16_t>(out, static_cast<uint16_t>(entry.name.size()));
  PutLittleEndian<uint16_t>(out, static_cast<uint16_t>(entry.local_extra.size()));
  out->append(entry.name).append(entry.local_extra);
}

inline void PutDirectoryEntry(const ZipEntryToWrite& entry, size_t header_at, std::string* out) {
  out->append("PK\1\2");
  PutLittleEndian<uint32_t>(out, 0);       // versions
  PutLittleEndian<uint16_t>(out, 0x0808);  // flags
  out->append(10, '\0');                   // stored, time, date, checksum
  PutLittleEndian<uint32_t>(out, static_cast<uint32_t>(entry.bytes.size()));
  PutLittleEndian<uint32_t>(out, static_cast<uint32_t>(entry.bytes.size()));
  PutLittleEndian<uint16_t>(out, static_cast<uint16_t>(entry.name.size()));
  PutLittleEndian<uint16_t>(out, static_cast<uint16_t>(entry.extra.size()));
  out->append(10, '\0');  // comment, disk, attributes
  PutLittleEndian<uint32_t>(out, static_cast<uint32_t>(header_at));
  out->append(entry.name).append(entry.extra);
}

}  // namespace zip_internal

inline ZipFile MakeZip(const std::vector<ZipEntryToWrite>& entries, bool zip64 = true) {
  ZipFile file;
  std::string& out = file.bytes;
  for (const ZipEntryToWrite& entry : entries) {
    file.headers.push_back(out.size());
    zip_internal::PutHeader(entry, &out);
    out.append(entry.bytes).append("PK\7\x8").append(12, '\0');
  }
  const size_t directory = out.size();
  for (size_t i = 0; i < entries.size(); ++i) {
    file.entries.push_back(out.size());
    zip_internal::PutDirectoryEntry(entries[i], file.headers[i], &out);
  }
  const size_t directory_bytes = out.size() - directory;
  file.zip64_end = out.size();
  if (zip64) {
    out.append("PK\6\6");
    PutLittleEndian<uint64_t>(&out, 44);
    out.append(12, '\0');  // versions, disks
    for (const uint64_t value : {entries.size(), entries.size(), directory_bytes, directory}) {
      PutLittleEndian<uint64_t>(&out, value);
    }
    out.append("PK\6\7").append(4, '\0');
    PutLittleEndian<uint64_t>(&out, file.zip64_end);
    PutLittleEndian<uint32_t>(&out, 1);
  }
  file.end = out.size();
  out.append("PK\5\6").append(4, '\0');
  PutLittleEndian<uint16_t>(&out, static_cast<uint16_t>(entries.size()));
  PutLittleEndian<uint16_t>(&out, static_cast<uint16_t>(entries.size()));
  PutLittleEndian<uint32_t>(&out, static_cast<uint32_t>(directory_bytes));
  PutLittleEndian<uint32_t>(&out, static_cast<uint32_t>(directory));
  out.append(2, '\0');  // comment
  return file;
}

// Pieces of a pickle.
inline std::string PickledString(std::string_view text) {
  std::string out = "X";
  PutLittleEndian<uint32_t>(&out, static_cast<uint32_t>(text.size()));
  return out.append(text);
}
inline std::string PickledInt(int64_t number) {
  std::string out = "\x8a\x8";
  PutLittleEndian<uint64_t>(&out, static_cast<uint64_t>(number));
  return out;
}
inline std::string PickledGlobal(std::string_view module, std::string_view name) {
  return std::string("c").append(module).append("\n").append(name).append("\n");
}
inline std::string PickledTuple(const std::vector<int64_t>& numbers) {
  std::string out = "(";
  for (const int64_t number : numbers) out += PickledInt(number);
  return out + "t";
}

// A tensor in a pickle: by default, the whole of its storage.
struct TorchTensor {
  std::string storage = "0";
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  int64_t offset = 0;
  int64_t storage_elements = 0;
  std::string type = "FloatStorage";
};

inline TorchTensor WholeStorage(std::string storage, std::vector<int64_t> shape) {
  TorchTensor tensor;
  tensor.storage = std::move(storage);
  tensor.shape = std::move(shape);
  tensor.strides.resize(tensor.shape.size());
  int64_t elements = 1;
  for (size_t i = tensor.shape.size(); i-- > 0; elements *= tensor.shape[i]) {
    tensor.strides[i] = elements;
  }
  tensor.storage_elements = elements;
  return tensor;
}

inline std::string PickledStorage(const TorchTensor& tensor) {
  return absl::StrCat("(", PickledString("storage"), PickledGlobal("torch", tensor.type),
                      PickledString(tensor.storage), PickledString("cpu"),
                      PickledInt(tensor.storage_elements), "tQ");
}

inline std::string PickledTensorCall(const TorchTensor& tensor) {
  return absl::StrCat(PickledGlobal("torch._utils", "_rebuild_tensor_v2"), "(",
                      PickledStorage(tensor), PickledInt(tensor.offset), PickledTuple(tensor.shape),
                      PickledTuple(tensor.strides), "\x89",
                      PickledGlobal("collections", "OrderedDict"), ")RtR");
}

// The whole pickle of a state dict, whose values are pieces of one.
inline std::string PickledStateDict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "\x80\x2" + PickledGlobal("collections", "OrderedDict") + ")R(";
  for (const auto& [name, value] : items) absl::StrAppend(&out, PickledString(name), value);
  return absl::StrCat(out, "u}", PickledString("_metadata"), "}sb.");
}

inline std::string FloatBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// A checkpoint of f32 tensors, each with a storage of its own.
inline std::string TorchFile(
    const std::vector<std::pair<std::string, std::vector<float>>>& tensors) {
  std::vector<std::pair<std::string, std::string>> items;
  std::vector<ZipEntryToWrite> storages;
  for (const auto& [name, values] : tensors) {
    const std::string key = absl::StrCat(items.size());
    items.emplace_back(name,
                       PickledTensorCall(WholeStorage(key, {static_cast<int64_t>(values.size())})));
    storages.push_back({"m/data/" + key, FloatBytes(values), {}, {}});
  }
  std::vector<ZipEntryToWrite> entries = {{"m/data.pkl", PickledStateDict(items), {}, {}}};
  entries.insert(entries.end(), storages.begin(), storages.end());
  entries.push_back({"m/version", "3\n", {}, {}});
  return MakeZip(entries).bytes;
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TORCH_ZIP_WRITER_H_
