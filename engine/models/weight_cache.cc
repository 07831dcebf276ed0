#include "engine/models/weight_cache.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"
#include "kernels/quantise.h"

namespace ssmd {
namespace {

// Digits of the key in a file's name: no two keys will meet in them by chance.
constexpr size_t kKeyDigits = 16;

std::string LastComponent(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.find_last_of('/') + 1));
}

std::string HexKey(const WeightCacheKey& key, const kernels::Device& device) {
  Sha256Hasher hasher;
  hasher.AddField("ssmd packed weights");
  hasher.AddField(device.layout());
  hasher.AddField(kernels::WeightFormatName(key.format));
  hasher.AddField(key.model);
  hasher.AddField(key.checkpoint);
  return HexOf(hasher.Finish());
}

}  // namespace

WeightCache::WeightCache(FileSystem* files, const std::string& folder,
                         const std::string& model_path, const WeightCacheKey& key,
                         const kernels::Device& device, WeightLoader* loader)
    : files_(files), loader_(loader) {
  if (folder.empty() || !kernels::IsQuantised(key.format)) return;
  const std::string hex = HexKey(key, device);
  path_ = absl::StrCat(folder, "/", LastComponent(model_path), ".",
                       View(kernels::WeightFormatName(key.format)), ".", hex.substr(0, kKeyDigits),
                       kPackedCacheSuffix);
  Start(folder, hex, device);
  loader->UseCache(cache_ ? &*cache_ : nullptr, writer_.get());
}

// A file that is damaged is made again, and replaced.
void WeightCache::Start(const std::string& folder, const std::string& key,
                        const kernels::Device& device) {
  auto cache = PackedCache::Open(path_, key, device);
  if (cache.ok()) {
    cache_ = *std::move(cache);
    return;
  }
  if (!absl::IsNotFound(cache.status()) && !absl::IsFailedPrecondition(cache.status())) {
    damage_ = std::string(cache.status().message());
  }
  problem_ = files_->MakeDirectory(folder);
  if (!problem_.ok()) return;
  auto writer = PackedCacheWriter::Create(files_, path_, key);
  if (writer.ok()) {
    writer_ = *std::move(writer);
  } else {
    problem_ = writer.status();
  }
}

std::optional<std::string> WeightCache::Finish() {
  if (problem_.ok() && writer_ != nullptr) {
    problem_ = loader_->writing();
    if (problem_.ok()) problem_ = writer_->Finish();
  }
  if (problem_.ok() && damage_.empty()) return std::nullopt;
  if (problem_.ok()) return absl::StrCat("kept weights were made again: ", damage_);
  return absl::StrCat("quantised weights cannot be kept as ", path_, ": ",
                      std::string(problem_.message()));
}

}  // namespace ssmd
