// What the checks of request fields have in common: the words of their errors, and prompts, which
// several requests bring. For convert_*.cc alone; pure functions.
#ifndef SSMD_SERVER_CONVERT_CHECKS_H_
#define SSMD_SERVER_CONVERT_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/session/turn_result.h"
#include "engine/text/chat_message.h"
#include "server/limits.h"
#include "ssmd/v1/common.pb.h"

namespace ssmd::server {

absl::Status CheckFloat(const char* field, float value, float low, float high);  // [low, high]
absl::Status CheckFloatAboveZero(const char* field, float value, float high);    // (0, high]
absl::Status CheckInt(const char* field, int64_t value, int64_t low, int64_t high);
// `flag` is the one that sets `most`.
absl::Status CheckCount(const char* field, int64_t count, int64_t most, const char* flag);
absl::Status CheckBytes(const char* field, int64_t bytes, int64_t most, const char* flag);
absl::Status CheckName(const char* field, const std::string& value, const RequestLimits& limits);
absl::Status CheckSessionId(const std::string& value, const RequestLimits& limits);
absl::Status CheckTokenIds(const char* field,
                           const google::protobuf::RepeatedField<int32_t>& token_ids);

// The key of a turn that has a name: `body` is its message without that.
absl::StatusOr<RequestKey> ConvertRequestKey(const std::string& request_id,
                                             const google::protobuf::Message& body);

absl::StatusOr<std::string> ConvertText(const std::string& text, const RequestLimits& limits);
absl::StatusOr<std::vector<int32_t>> ConvertTokenIds(const v1::TokenIds& ids, int64_t most,
                                                     const char* flag);
absl::StatusOr<ChatPrompt> ConvertMessages(const v1::ChatMessages& in, const RequestLimits& limits);

// An enum of the wire by a table of pairs; `words` names what is allowed.
template <typename Wire, typename Ours, size_t kCount>
absl::StatusOr<Ours> ConvertEnum(const std::pair<Wire, Ours> (&table)[kCount], Wire value,
                                 const char* words) {
  for (const auto& [wire, ours] : table) {
    if (wire == value) return ours;
  }
  return InvalidField(absl::StrCat(words, ", got ", static_cast<int>(value)));
}

}  // namespace ssmd::server

#endif  // SSMD_SERVER_CONVERT_CHECKS_H_
