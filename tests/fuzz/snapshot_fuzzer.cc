// Any bytes as a snapshot: refused, or exactly what encoding it again gives. Where the first byte
// is odd, the checksums are made right first, so that mutations get past them.
#include <xxhash.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/state/snapshot.h"

namespace {

constexpr size_t kSectionsAt = 12;
constexpr size_t kTableAt = 16;
constexpr size_t kEntryBytes = 24;

// The i-th section's digest, and where the next section begins.
void RepairSection(std::string* bytes, size_t entry, size_t* content) {
  uint64_t length = 0;
  std::memcpy(&length, bytes->data() + entry + 8, sizeof(length));
  if (*content > bytes->size() || length > bytes->size() - *content) return;
  const uint64_t digest = XXH3_64bits(bytes->data() + *content, length);
  std::memcpy(bytes->data() + entry + 16, &digest, sizeof(digest));
  *content += length;
}

void Repair(std::string* bytes) {
  if (bytes->size() < kTableAt) return;
  uint32_t sections = 0;
  std::memcpy(&sections, bytes->data() + kSectionsAt, sizeof(sections));
  const size_t table = kTableAt + sections * kEntryBytes;
  if (bytes->size() < table + sizeof(uint64_t)) return;
  size_t content = table + sizeof(uint64_t);
  for (size_t i = 0; i < sections; ++i) {
    RepairSection(bytes, kTableAt + i * kEntryBytes, &content);
  }
  const uint64_t digest = XXH3_64bits(bytes->data(), table);
  std::memcpy(bytes->data() + table, &digest, sizeof(digest));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 2 == 1) Repair(&bytes);
  ssmd::SnapshotLimits limits;
  limits.state_bytes = 64;
  limits.history_tokens = 64;
  limits.vocabulary = 300;
  const auto snapshot = ssmd::DecodeSnapshot(bytes, limits);
  if (!snapshot.ok()) return 0;

  const ssmd::EncodedSnapshot encoded = ssmd::EncodeSnapshot(*snapshot);
  std::string again = encoded.front;
  if (encoded.state != nullptr) {
    again.append(encoded.state->as<const char>(), encoded.state->bytes());
    ssmd::StateLayout layout(ssmd::kernels::StateFormat::kF16);
    layout.Add(0, "ssm", ssmd::StateKind::kSsm, {32});
    ssmd::CheckFinite({encoded.state->data(), encoded.state->bytes()}, layout).IgnoreError();
  }
  if (again != bytes) std::abort();
  const ssmd::ModelIdentity ours = {"0123456789abcdef", "cpu/avx2", "layer 0 ssm\n"};
  ssmd::CheckIdentity(snapshot->identity, ours, false).IgnoreError();
  return 0;
}
