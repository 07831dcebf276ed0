// What a load of a quantised model has to do with its PackedCache: take it where there is one, make
// it where there is none. Nothing that goes wrong with a cache fails a load: it is a warning.
//
// One thread, at load time; outlives the WeightLoader that it is given to.
#ifndef SSMD_ENGINE_MODELS_WEIGHT_CACHE_H_
#define SSMD_ENGINE_MODELS_WEIGHT_CACHE_H_

#include <memory>
#include <optional>
#include <string>

#include "engine/base/file_system.h"
#include "engine/models/packed_cache.h"
#include "engine/models/weight_loader.h"
#include "kernels/device.h"

namespace ssmd {

// What the packed bytes of a model depend on.
struct WeightCacheKey {
  std::string model;       // configuration and mixer: Describe of both
  std::string checkpoint;  // Checkpoint::identity
  kernels::WeightFormat format = kernels::WeightFormat::kF32;
};

class WeightCache {
 public:
  // In `folder`, made through `files` where absent; the file is called after `model_path`'s last
  // component and the key. A folder that is empty text keeps nothing.
  WeightCache(FileSystem* files, const std::string& folder, const std::string& model_path,
              const WeightCacheKey& key, const kernels::Device& device, WeightLoader* loader);

  // After the load: puts the file in its place. What went wrong, in one line, or nothing.
  std::optional<std::string> Finish();
  // After that: the file that keeps the weights, or nothing; and whether they were read from it.
  std::string file() const { return problem_.ok() ? path_ : ""; }
  bool was_read() const { return cache_.has_value(); }

 private:
  void Start(const std::string& folder, const std::string& key, const kernels::Device& device);

  FileSystem* files_;
  std::string path_;
  std::optional<PackedCache> cache_;
  std::unique_ptr<PackedCacheWriter> writer_;
  absl::Status problem_;
  std::string damage_;  // of the file that was there
  WeightLoader* loader_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_WEIGHT_CACHE_H_
