#include "engine/shared/redis_session.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/little_endian.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

// In the place of a state's position: the state lies apart.
constexpr std::string_view kApart = "\xff\xff\xff\xff\xff\xff\xff\xff";

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the session in the shared store is damaged: ", what, "; delete it"));
}

// A whole number as it is written there: digits alone, and no zero in front.
std::optional<uint64_t> ReadNumber(std::string_view text) {
  uint64_t value = 0;
  if (text.empty() || text.size() > 16 ||
      text.find_first_not_of("0123456789") != std::string_view::npos ||
      (text.size() > 1 && text.front() == '0') || !absl::SimpleAtoi(View(text), &value) ||
      value > kSharedNumberMax) {
    return std::nullopt;
  }
  return value;
}

// The fields of one hash, as they are found.
struct Fields {
  std::map<std::string, std::string> plain;
  std::map<uint64_t, std::string> changes;
  std::vector<SharedState> states;  // in the order of their names
  std::vector<RedisStateApart> apart;

  std::optional<std::string> Take(const std::string& name) {
    const auto found = plain.find(name);
    if (found == plain.end()) return std::nullopt;
    std::string value = std::move(found->second);
    plain.erase(found);
    return value;
  }
  std::optional<uint64_t> TakeNumber(const std::string& name) {
    const auto text = Take(name);
    return text.has_value() ? ReadNumber(*text) : std::nullopt;
  }
};

// Of a field that says where a state is.
absl::StatusOr<RedisStateApart> ReadApart(std::string_view name, std::string_view value) {
  constexpr size_t kTokenBytes = 32;
  const std::string_view token = value.substr(0, kTokenBytes);
  const auto length = ReadNumber(value.substr(token.size()));
  if (!IsRandomId(token) || !length.has_value()) return Damaged("where a state is");
  return RedisStateApart{std::string(name), std::string(token), static_cast<int64_t>(*length)};
}

absl::StatusOr<Fields> Sort(std::vector<RedisReply> elements) {
  constexpr std::string_view kPlain[] = {"owner",        "fence", "writer", "image",
                                         "image_number", "last",  "bytes",  "info",
                                         "deleted",      "apart", "process"};
  Fields fields;
  std::map<std::string, SharedState> states;
  for (size_t i = 0; i + 1 < elements.size(); i += 2) {
    const std::string& name = elements[i].text;
    std::string& value = elements[i + 1].text;
    const auto number = name.starts_with('r') ? ReadNumber(std::string_view(name).substr(1))
                                              : std::optional<uint64_t>();
    if (number.has_value()) {
      fields.changes[*number] = std::move(value);
    } else if (name.starts_with('s') && value.starts_with(kApart)) {
      SSMD_ASSIGN_OR_RETURN(fields.apart.emplace_back(),
                            ReadApart(std::string_view(name).substr(1),
                                      std::string_view(value).substr(kApart.size())));
    } else if (name.starts_with('s')) {
      SSMD_ASSIGN_OR_RETURN(states[name],
                            DecodeRedisState(std::string_view(name).substr(1), value));
    } else if (std::find(std::begin(kPlain), std::end(kPlain), name) != std::end(kPlain)) {
      fields.plain[name] = std::move(value);
    } else {
      return Damaged("it has a field that none should have");
    }
  }
  for (auto& [name, state] : states) fields.states.push_back(std::move(state));
  return fields;
}

}  // namespace

absl::StatusOr<SharedState> DecodeRedisState(std::string_view name, std::string_view value) {
  if (value.size() < sizeof(uint64_t)) return Damaged("a state is cut off");
  const auto position = GetLittleEndian<uint64_t>(value.data());
  if (position > kSharedNumberMax) return Damaged("a state's position");
  return SharedState{std::string(name), static_cast<int64_t>(position),
                     std::string(value.substr(sizeof(uint64_t)))};
}

absl::StatusOr<RedisSession> DecodeRedisSession(RedisReply reply) {
  SSMD_ASSIGN_OR_RETURN(Fields fields, Sort(std::move(reply.elements)));
  RedisSession decoded;
  if (fields.Take("deleted").has_value()) {
    decoded.deleted = true;
    return decoded;
  }
  const auto owner = fields.Take("owner"), writer = fields.Take("writer");
  auto image = fields.Take("image");
  const auto fence = fields.TakeNumber("fence"), first = fields.TakeNumber("image_number"),
             last = fields.TakeNumber("last"), bytes = fields.TakeNumber("bytes");
  if (!owner.has_value() || (!owner->empty() && !IsReplicaId(*owner)) || !writer.has_value() ||
      !IsReplicaId(*writer) || fence.value_or(0) == 0) {
    return Damaged("who owns it");
  }
  if (!image.has_value()) return Damaged("it has no image");
  if (!first.has_value() || !last.has_value() || !bytes.has_value() || *first > *last ||
      *last - *first != fields.changes.size()) {
    return Damaged("the numbers of its changes");
  }
  SharedSession& session = decoded.session;
  for (auto& [number, change] : fields.changes) {
    if (number != *first + session.changes.size() + 1) return Damaged("a change is missing");
    session.changes.push_back(std::move(change));
  }
  decoded.owner = *owner;
  session.fence = *fence;
  session.writer = *writer;
  session.image_number = *first;
  session.image = *std::move(image);
  session.states = std::move(fields.states);
  decoded.apart = std::move(fields.apart);
  return decoded;
}

std::string EncodeRedisState(int64_t position, std::string_view snapshot) {
  std::string value;
  value.reserve(sizeof(uint64_t) + snapshot.size());
  PutLittleEndian<uint64_t>(&value, static_cast<uint64_t>(position));
  value.append(snapshot);
  return value;
}

}  // namespace ssmd
