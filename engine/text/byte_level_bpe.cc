#include "engine/text/byte_level_bpe.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/nfc.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

// The parts of `spans` in [begin, end), counted from begin.
std::vector<ByteSpan> SpansWithin(absl::Span<const ByteSpan> spans, size_t begin, size_t end) {
  std::vector<ByteSpan> within;
  auto span = std::upper_bound(spans.begin(), spans.end(), begin,
                               [](size_t at, const ByteSpan& other) { return at < other.end; });
  for (; span != spans.end() && span->begin < end; ++span) {
    within.push_back({std::max(span->begin, begin) - begin, std::min(span->end, end) - begin});
  }
  return within;
}

class ByteLevelBpe final : public Tokenizer {
 public:
  explicit ByteLevelBpe(ByteLevelBpeParts parts)
      : bpe_(MakeBpe(parts)),
        nfc_(parts.nfc),
        pre_tokenizer_(std::move(parts.pre_tokenizer)),
        bos_to_add_(parts.bos_to_add) {
    int32_t size = 0;
    for (const auto& token : parts.vocabulary) size = std::max(size, token.id + 1);
    for (const auto& token : parts.added) size = std::max(size, token.id + 1);
    bytes_.resize(static_cast<size_t>(size));
    special_.resize(static_cast<size_t>(size));
    for (auto& token : parts.vocabulary) {
      bytes_[static_cast<size_t>(token.id)] = BytesWrittenBy(token.text).value_or(token.text);
      ids_.emplace(std::move(token.text), token.id);
    }
  }

  absl::Status Add(const std::vector<AddedToken>& tokens) {
    for (const AddedToken& token : tokens) {
      const std::string pattern =
          token.normalized && nfc_ ? NormalizeNfc(token.content) : token.content;
      if (!(token.normalized ? normalized_matcher_ : raw_matcher_).Add(pattern, token)) {
        return absl::InvalidArgumentError(absl::StrCat("two added tokens match the text \"",
                                                       absl::CHexEscape(token.content), "\""));
      }
      special_[static_cast<size_t>(token.id)] = token.special;
      bytes_[static_cast<size_t>(token.id)] = token.content;
      ids_[token.content] = token.id;
      added_.push_back({token.id, token.content});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options) const override {
    if (text.size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the text has ", text.size(), " bytes; the limit is ", kMaxTextBytes));
    }
    if (const auto invalid = FindInvalidUtf8(text)) {
      return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", *invalid));
    }
    MatchBudget budget(text.size());
    std::vector<int32_t> ids;
    std::vector<AddedTokenMatcher::Segment> segments;
    raw_matcher_.Split(text, options, &segments);
    for (const auto& segment : segments) {
      if (segment.token_id.has_value()) {
        ids.push_back(*segment.token_id);
        continue;
      }
      const auto begin = static_cast<size_t>(segment.text.data() - text.data());
      const std::vector<ByteSpan> unparsed =
          SpansWithin(options.unparsed, begin, begin + segment.text.size());
      EncodeOptions inside = options;
      inside.unparsed = unparsed;
      SSMD_RETURN_IF_ERROR(EncodeSegment(segment.text, inside, &budget, &ids));
    }
    return ids;
  }

  std::string_view TokenBytes(int32_t token_id) const override {
    if (token_id < 0 || token_id >= size()) return {};
    return bytes_[static_cast<size_t>(token_id)];
  }
  bool IsSpecial(int32_t token_id) const override {
    return token_id >= 0 && token_id < size() && special_[static_cast<size_t>(token_id)];
  }
  std::optional<int32_t> TokenId(std::string_view token) const override {
    const auto found = ids_.find(View(token));
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }
  std::vector<AddedTokenText> added_tokens() const override { return added_; }
  int32_t size() const override { return static_cast<int32_t>(bytes_.size()); }
  std::optional<int32_t> bos_to_add() const override { return bos_to_add_; }

 private:
  static Bpe MakeBpe(const ByteLevelBpeParts& parts) {
    std::array<int32_t, 256> byte_ids;
    byte_ids.fill(-1);
    for (const auto& token : parts.vocabulary) {
      const auto bytes = BytesWrittenBy(token.text);
      if (!bytes.has_value() || bytes->size() != 1) continue;
      byte_ids[static_cast<unsigned char>((*bytes)[0])] = token.id;
    }
    Bpe bpe(byte_ids, parts.merges);
    for (const auto& token : parts.vocabulary) {
      const auto bytes = BytesWrittenBy(token.text);
      if (!bytes.has_value() || bytes->empty()) continue;
      if (parts.ignore_merges) {
        bpe.AddWholePiece(*bytes, token.id);
      } else {
        bpe.AddWholePieceIfEquivalent(*bytes, token.id);
      }
    }
    return bpe;
  }

  // Normalises, and moves `spans` along. Where there are spans and tokens to find, their text is
  // normalised apart, so that their ends stay known: a combining mark that begins one is then not
  // composed with what is before it.
  std::string Normalize(std::string_view text, std::vector<ByteSpan>* spans) const {
    if (normalized_matcher_.empty()) spans->clear();
    if (spans->empty()) return NormalizeNfc(text);
    std::string normalized;
    size_t done = 0;
    for (ByteSpan& span : *spans) {
      normalized += NormalizeNfc(text.substr(done, span.begin - done));
      const size_t begin = normalized.size();
      normalized += NormalizeNfc(text.substr(span.begin, span.end - span.begin));
      done = span.end;
      span = {begin, normalized.size()};
    }
    return normalized + NormalizeNfc(text.substr(done));
  }

  // Text between added tokens that are matched before normalisation.
  absl::Status EncodeSegment(std::string_view text, const EncodeOptions& options,
                             MatchBudget* budget, std::vector<int32_t>* ids) const {
    std::vector<ByteSpan> unparsed(options.unparsed.begin(), options.unparsed.end());
    const std::string normalized = nfc_ ? Normalize(text, &unparsed) : std::string();
    EncodeOptions inside = options;
    inside.unparsed = unparsed;
    std::vector<AddedTokenMatcher::Segment> segments;
    normalized_matcher_.Split(nfc_ ? normalized : text, inside, &segments);
    Pieces pieces;
    for (const auto& segment : segments) {
      if (segment.token_id.has_value()) {
        ids->push_back(*segment.token_id);
        continue;
      }
      SSMD_RETURN_IF_ERROR(pre_tokenizer_.Split(segment.text, budget, &pieces));
      size_t begin = 0;
      for (const size_t end : pieces.ends) {
        bpe_.Encode(std::string_view(pieces.bytes).substr(begin, end - begin), ids);
        begin = end;
      }
    }
    return absl::OkStatus();
  }

  Bpe bpe_;
  bool nfc_;
  PreTokenizer pre_tokenizer_;
  AddedTokenMatcher raw_matcher_;
  AddedTokenMatcher normalized_matcher_;
  std::vector<std::string> bytes_;  // by token id
  std::vector<bool> special_;       // by token id
  absl::flat_hash_map<std::string, int32_t> ids_;
  std::vector<AddedTokenText> added_;
  std::optional<int32_t> bos_to_add_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeByteLevelBpe(ByteLevelBpeParts parts) {
  const std::vector<AddedToken> added = parts.added;
  auto tokenizer = std::make_unique<ByteLevelBpe>(std::move(parts));
  SSMD_RETURN_IF_ERROR(tokenizer->Add(added));
  return tokenizer;
}

}  // namespace ssmd
