// Any bytes: DecodeChanges either refuses them or yields changes whose encoding they are, and which
// a table takes or refuses; what it takes, it can describe and write as an image again.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/session/session_change.h"
#include "engine/session/session_table.h"
#include "tests/support/fake_state.h"

namespace {

ssmd::StateRef Resolve(const std::string& id, int64_t position, size_t bytes) {
  return std::make_shared<ssmd::test::FakeState>(position, bytes, id);
}

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  auto changes = ssmd::DecodeChanges(record, Resolve);
  if (!changes.ok()) return 0;
  Check(ssmd::EncodeChanges(*changes) == record);

  ssmd::SessionTable table(ssmd::SessionLimits(), {});
  for (ssmd::SessionChange& change : *changes) {
    std::vector<ssmd::SessionChange> one;
    one.push_back(std::move(change));
    table.Replay(std::move(one)).IgnoreError();
  }
  ssmd::SessionTable copy(ssmd::SessionLimits(), {});
  for (const ssmd::FrozenSession& session : table.Freeze()) {
    ssmd::SessionImage image = session.Image();
    const ssmd::SessionKey key = image.key;
    std::vector<ssmd::SessionChange> whole;
    whole.emplace_back(std::move(image));
    Check(copy.Replay(std::move(whole)).ok());
    const auto info = table.Get(key.tenant, key.id);
    const auto copied = copy.Get(key.tenant, key.id);
    Check(info.ok() && copied.ok());
    Check(info->history_hash == copied->history_hash && info->revision == copied->revision);
    Check(info->state_position <= info->position);
  }
  return 0;
}
