#include "engine/formats/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/file_system.h"
#include "engine/base/status_macros.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_names.h"
#include "engine/formats/json.h"
#include "engine/formats/quoted.h"
#include "engine/formats/rwkv_cpp.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/torch_zip.h"

namespace ssmd {
namespace {

// How the tensors may be kept, in the order of preference.
struct Format {
  const char* file;
  const char* index;      // where there are several files, or null
  const char* extension;  // of those
  absl::StatusOr<std::vector<TensorInfo>> (*parse)(const std::byte* data, size_t size,
                                                   std::string_view source);
};
constexpr Format kFormats[] = {
    {"model.safetensors", "model.safetensors.index.json", ".safetensors", ParseSafetensors},
    {"consolidated.safetensors", nullptr, ".safetensors", ParseSafetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin", ParseTorchZip},
};
constexpr size_t kMaxFileNameBytes = 255;
constexpr char kPthExtension[] = ".pth";
constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kOldTorchMagic = "\x80\x02";  // a pickle: before torch 1.6

struct Tensors {
  std::vector<MappedFile> files;
  std::vector<TensorInfo> tensors;
};

absl::Status IndexError(const Format& format, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(format.index, ": ", reason));
}

// Maps one file and appends its tensors.
absl::Status AddFile(const Format& format, const std::string& directory, const std::string& name,
                     Tensors* all) {
  SSMD_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(absl::StrCat(directory, "/", name)));
  SSMD_ASSIGN_OR_RETURN(std::vector<TensorInfo> tensors,
                        format.parse(file.data(), file.size(), name));
  all->files.push_back(std::move(file));
  all->tensors.insert(all->tensors.end(), std::make_move_iterator(tensors.begin()),
                      std::make_move_iterator(tensors.end()));
  return absl::OkStatus();
}

bool IsPlainFileName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFileNameBytes && name.front() != '.' &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

// Tensor name → shard, as the index has it. The views point into the document.
using WeightMap = std::map<std::string_view, std::string_view>;

absl::StatusOr<WeightMap> ReadWeightMap(const Format& format, JsonValue root) {
  const auto entries = root.Find("weight_map");
  if (!entries || !entries->is_object()) return IndexError(format, "has no weight_map object");
  WeightMap map;
  for (const auto& [tensor, value] : entries->members()) {
    const auto shard = value.AsString();
    if (!shard || !IsPlainFileName(*shard) ||
        !absl::EndsWith(std::string(*shard), format.extension)) {
      return IndexError(
          format, absl::StrCat("tensor ", Quoted(tensor), " is mapped to ", value.Describe(),
                               ", which is not the plain name of a ", format.extension, " file"));
    }
    map.emplace(tensor, *shard);
  }
  return map;
}

// Every tensor of one shard must be mapped to it. Counting then shows whether one is missing.
absl::Status CheckShard(const Format& format, const WeightMap& map, const TensorInfo* first,
                        const TensorInfo* last, std::string_view shard) {
  for (const TensorInfo* tensor = first; tensor != last; ++tensor) {
    const auto entry = map.find(tensor->name);
    if (entry == map.end()) {
      return IndexError(format, absl::StrCat("does not list tensor ", Quoted(tensor->name), " of ",
                                             Quoted(shard)));
    }
    if (entry->second != shard) {
      return IndexError(
          format, absl::StrCat("maps tensor ", Quoted(tensor->name), " to ", Quoted(entry->second),
                               ", but ", Quoted(shard), " holds it"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNoneMissing(const Format& format, const WeightMap& map,
                              const std::vector<TensorInfo>& tensors) {
  if (map.size() == tensors.size()) return absl::OkStatus();
  std::set<std::string_view> found;
  for (const TensorInfo& tensor : tensors) found.insert(tensor.name);
  for (const auto& [name, shard] : map) {
    if (found.count(name) == 0) {
      return IndexError(format, absl::StrCat("maps tensor ", Quoted(name), " to ", Quoted(shard),
                                             ", which lacks it"));
    }
  }
  return absl::OkStatus();
}

absl::Status AddShards(const Format& format, const std::string& directory, Tensors* all) {
  JsonLimits limits;
  limits.bytes = size_t{32} << 20;
  limits.depth = 8;
  SSMD_ASSIGN_OR_RETURN(
      const JsonDocument index,
      JsonDocument::ParseFile(absl::StrCat(directory, "/", format.index), limits));
  SSMD_ASSIGN_OR_RETURN(const WeightMap map, ReadWeightMap(format, index.root()));
  std::set<std::string_view> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  if (shards.size() > kMaxShards) {
    return IndexError(format, absl::StrCat("names more than ", kMaxShards, " files"));
  }
  for (const std::string_view shard : shards) {
    const size_t before = all->tensors.size();
    SSMD_RETURN_IF_ERROR(AddFile(format, directory, std::string(shard), all));
    const TensorInfo* first = all->tensors.data();
    SSMD_RETURN_IF_ERROR(
        CheckShard(format, map, first + before, first + all->tensors.size(), shard));
  }
  return CheckNoneMissing(format, map, all->tensors);
}

// Absent where the folder has neither the format's file nor its index.
absl::StatusOr<std::optional<Tensors>> ReadFormat(const Format& format,
                                                  const std::string& directory) {
  Tensors all;
  absl::Status status = AddFile(format, directory, format.file, &all);
  if (absl::IsNotFound(status)) {
    if (format.index == nullptr) return std::nullopt;
    status = AddShards(format, directory, &all);
    if (absl::IsNotFound(status) && all.files.empty() &&
        absl::StartsWith(status.message(), format.index)) {
      return std::nullopt;
    }
  }
  SSMD_RETURN_IF_ERROR(status);
  return all;
}

// The name of the only torch file of a folder whose names are not Hugging Face's; absent where
// there is none.
absl::StatusOr<std::optional<std::string>> OnlyPth(const std::string& directory) {
  const auto entries = PosixFileSystem().List(directory);
  std::optional<std::string> only;
  if (!entries.ok()) return only;
  for (const FolderEntry& entry : *entries) {
    if (!absl::EndsWith(entry.name, kPthExtension)) continue;
    if (only) {
      return absl::InvalidArgumentError(absl::StrCat("the folder has both ", Quoted(*only), " and ",
                                                     Quoted(entry.name),
                                                     ": give the path of one of them"));
    }
    only = entry.name;
  }
  return only;
}

absl::StatusOr<ModelFileKind> KindOf(const MappedFile& file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": is empty: was it copied or downloaded to its end?"));
  }
  if (IsRwkvCpp(bytes)) return ModelFileKind::kRwkvCpp;
  const bool torch = bytes.starts_with(kZipMagic) || bytes.starts_with(kOldTorchMagic);
  return torch ? ModelFileKind::kTorch : ModelFileKind::kGguf;
}

std::vector<MappedFile> OneFile(MappedFile file) {
  std::vector<MappedFile> files;
  files.push_back(std::move(file));
  return files;
}

}  // namespace

absl::StatusOr<ModelFileKind> KindOfModelFile(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return KindOf(file);
}

Checkpoint::Checkpoint(std::vector<MappedFile> files, std::vector<TensorInfo> tensors)
    : files_(std::move(files)), tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.key() < b.key(); });
}

absl::StatusOr<Checkpoint> Checkpoint::OpenGguf(MappedFile file) {
  SSMD_ASSIGN_OR_RETURN(const Gguf gguf, Gguf::Parse(file.data(), file.size(), file.name()));
  SSMD_ASSIGN_OR_RETURN(const std::string_view architecture, gguf.Architecture());
  std::vector<TensorInfo> tensors = gguf.tensors();
  for (TensorInfo& tensor : tensors) TakeModelName(architecture, &tensor);
  const std::string name(architecture);
  Checkpoint checkpoint(OneFile(std::move(file)), std::move(tensors));
  checkpoint.gguf_architecture_ = name;
  return checkpoint;
}

Checkpoint Checkpoint::WithModelNames(ModelNaming naming, std::vector<MappedFile> files,
                                      std::vector<TensorInfo> tensors) {
  TakeModelNames(naming, &tensors);
  Checkpoint checkpoint(std::move(files), std::move(tensors));
  checkpoint.naming_ = naming;
  return checkpoint;
}

absl::StatusOr<Checkpoint> Checkpoint::OpenFile(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  SSMD_ASSIGN_OR_RETURN(const ModelFileKind kind, KindOf(file));
  if (kind == ModelFileKind::kGguf) return OpenGguf(std::move(file));
  const bool rwkv_cpp = kind == ModelFileKind::kRwkvCpp;
  SSMD_ASSIGN_OR_RETURN(std::vector<TensorInfo> tensors,
                        rwkv_cpp ? ParseRwkvCpp(file.data(), file.size(), file.name())
                                 : ParseTorchZip(file.data(), file.size(), file.name()));
  const ModelNaming naming = rwkv_cpp ? ModelNaming::kRwkvCpp : FolderNaming(tensors);
  return WithModelNames(naming, OneFile(std::move(file)), std::move(tensors));
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& path) {
  if (IsRegularFile(path)) return OpenFile(path);
  for (const Format& format : kFormats) {
    SSMD_ASSIGN_OR_RETURN(std::optional<Tensors> all, ReadFormat(format, path));
    if (!all) continue;
    const ModelNaming naming = FolderNaming(all->tensors);
    return WithModelNames(naming, std::move(all->files), std::move(all->tensors));
  }
  SSMD_ASSIGN_OR_RETURN(const std::optional<std::string> only, OnlyPth(path));
  if (only) return OpenFile(absl::StrCat(path, "/", *only));
  std::vector<const char*> wanted;
  for (const Format& format : kFormats) {
    wanted.push_back(format.file);
    if (format.index != nullptr) wanted.push_back(format.index);
  }
  return absl::NotFoundError(
      absl::StrCat("the folder holds none of these: ", absl::StrJoin(wanted, ", "), ", *.pth"));
}

std::string Checkpoint::identity() const {
  std::string lines;
  for (const MappedFile& file : files_) absl::StrAppend(&lines, file.identity(), "\n");
  return lines;
}

const TensorInfo* Checkpoint::Find(std::string_view key) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), key,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.key() < wanted; });
  return at != tensors_.end() && at->key() == key ? &*at : nullptr;
}

std::string Checkpoint::NameInFile(std::string_view key) const {
  if (!gguf_architecture_.empty()) return GgufNameOf(gguf_architecture_, key);
  const TensorInfo* tensor = Find(key);
  return tensor != nullptr ? tensor->name : FileNameOf(naming_, key);
}

}  // namespace ssmd
