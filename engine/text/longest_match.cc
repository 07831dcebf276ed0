#include "engine/text/longest_match.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"
#include "engine/text/added_tokens.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

class LongestMatch final : public Tokenizer {
 public:
  absl::Status Add(const LongestMatchParts::Token& token);
  absl::Status AddSpecial(const LongestMatchParts::Token& token);
  absl::Status CheckBytes() const;

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options) const override;
  std::string_view TokenBytes(int32_t token_id) const override {
    return InRange(token_id) ? std::string_view(bytes_[static_cast<size_t>(token_id)])
                             : std::string_view();
  }
  bool IsSpecial(int32_t token_id) const override { return token_id == special_id_; }
  std::optional<int32_t> TokenId(std::string_view token) const override {
    for (const AddedTokenText& added : added_) {
      if (added.text == token) return added.id;
    }
    const Match match = LongestAt(token);
    if (match.id < 0 || match.bytes != token.size()) return std::nullopt;
    return match.id;
  }
  std::vector<AddedTokenText> added_tokens() const override { return added_; }
  int32_t size() const override { return static_cast<int32_t>(bytes_.size()); }
  std::optional<int32_t> bos_to_add() const override { return std::nullopt; }

 private:
  struct Match {
    int32_t id = -1;  // -1: no token
    size_t bytes = 0;
  };
  bool InRange(int32_t id) const { return id >= 0 && id < size(); }
  // Keeps the bytes of a token with a new id.
  absl::Status Keep(const LongestMatchParts::Token& token);
  uint32_t ChildOf(uint32_t node, char byte) const;
  Match LongestAt(std::string_view text) const;

  std::vector<std::string> bytes_;  // by token id
  // A trie over bytes, from node 0: children by node << 8 | byte.
  absl::flat_hash_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> id_at_ = {-1};  // by node; -1: no token ends there
  AddedTokenMatcher matcher_;
  std::vector<AddedTokenText> added_;
  int32_t special_id_ = -1;
};

uint64_t EdgeOf(uint32_t node, char byte) {
  return uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

absl::Status LongestMatch::Keep(const LongestMatchParts::Token& token) {
  if (token.id < 0 || token.id >= kMaxTokenIds) {
    return absl::InvalidArgumentError(
        absl::StrCat("token id ", token.id, " is not in [0, ", kMaxTokenIds, ")"));
  }
  if (token.bytes.empty() || token.bytes.size() > kMaxAddedTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat("token ", token.id, " has ", token.bytes.size(),
                                                   " bytes: not in [1, ", kMaxAddedTokenBytes,
                                                   "]"));
  }
  const auto index = static_cast<size_t>(token.id);
  if (index >= bytes_.size()) bytes_.resize(index + 1);
  if (!bytes_[index].empty()) {
    return absl::InvalidArgumentError(absl::StrCat("token id ", token.id, " is there twice"));
  }
  bytes_[index] = token.bytes;
  return absl::OkStatus();
}

absl::Status LongestMatch::Add(const LongestMatchParts::Token& token) {
  SSMD_RETURN_IF_ERROR(Keep(token));
  uint32_t node = 0;
  for (const char byte : token.bytes) {
    const auto [child, made] =
        children_.try_emplace(EdgeOf(node, byte), static_cast<uint32_t>(id_at_.size()));
    if (made) id_at_.push_back(-1);
    node = child->second;
  }
  if (id_at_[node] >= 0) {
    return absl::InvalidArgumentError(absl::StrCat("tokens ", id_at_[node], " and ", token.id,
                                                   " are both ", Quoted(token.bytes)));
  }
  id_at_[node] = token.id;
  return absl::OkStatus();
}

absl::Status LongestMatch::AddSpecial(const LongestMatchParts::Token& token) {
  SSMD_RETURN_IF_ERROR(Keep(token));
  AddedToken added;
  added.id = token.id;
  added.content = token.bytes;
  added.special = true;
  matcher_.Add(token.bytes, added);
  added_.push_back({token.id, token.bytes});
  special_id_ = token.id;
  return absl::OkStatus();
}

absl::Status LongestMatch::CheckBytes() const {
  for (int byte = 0; byte < 256; ++byte) {
    const uint32_t node = ChildOf(0, static_cast<char>(byte));
    if (node != 0 && id_at_[node] >= 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("there is no token for the byte ", byte, " alone"));
  }
  return absl::OkStatus();
}

// 0, which is nobody's child, where there is none.
uint32_t LongestMatch::ChildOf(uint32_t node, char byte) const {
  const auto child = children_.find(EdgeOf(node, byte));
  return child == children_.end() ? 0 : child->second;
}

LongestMatch::Match LongestMatch::LongestAt(std::string_view text) const {
  Match longest;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = ChildOf(node, text[i]);
    if (node == 0) break;
    if (id_at_[node] >= 0) longest = {id_at_[node], i + 1};
  }
  return longest;
}

absl::StatusOr<std::vector<int32_t>> LongestMatch::Encode(std::string_view text,
                                                          const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has ", text.size(), " bytes; the limit is ", kMaxTextBytes));
  }
  if (const auto offset = FindInvalidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", *offset));
  }
  std::vector<AddedTokenMatcher::Segment> segments;
  matcher_.Split(text, options, &segments);
  std::vector<int32_t> ids;
  for (const AddedTokenMatcher::Segment& segment : segments) {
    if (segment.token_id) {
      ids.push_back(*segment.token_id);
      continue;
    }
    for (std::string_view rest = segment.text; !rest.empty();) {
      const Match match = LongestAt(rest);
      ids.push_back(match.id);
      rest.remove_prefix(match.bytes);
    }
  }
  return ids;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeLongestMatch(LongestMatchParts parts) {
  auto tokenizer = std::make_unique<LongestMatch>();
  for (const LongestMatchParts::Token& token : parts.vocabulary) {
    SSMD_RETURN_IF_ERROR(tokenizer->Add(token));
  }
  if (parts.special) SSMD_RETURN_IF_ERROR(tokenizer->AddSpecial(*parts.special));
  SSMD_RETURN_IF_ERROR(tokenizer->CheckBytes());
  return tokenizer;
}

std::unique_ptr<Tokenizer> MakeByteTokenizer() {
  LongestMatchParts parts;
  for (int byte = 0; byte < 256; ++byte) {
    parts.vocabulary.push_back({byte, std::string(1, static_cast<char>(byte))});
  }
  auto tokenizer = MakeLongestMatch(std::move(parts));
  Check(tokenizer.ok(), "MakeByteTokenizer: a byte is no token");
  return *std::move(tokenizer);
}

}  // namespace ssmd
