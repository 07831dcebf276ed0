#include "engine/text/added_tokens.h"

#include <algorithm>

#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

bool EndsWithWord(std::string_view text) {
  return !text.empty() && (ClassesOf(DecodeUtf8Before(text, text.size()).value) & kWord) != 0;
}

bool BeginsWithWord(std::string_view text) {
  return !text.empty() && (ClassesOf(DecodeUtf8(text, 0).value) & kWord) != 0;
}

// Where the white space that ends at `end` begins; not before `limit`.
size_t SpaceBegin(std::string_view text, size_t limit, size_t end) {
  while (end > limit) {
    const CodePoint last = DecodeUtf8Before(text, end);
    if ((ClassesOf(last.value) & kSpace) == 0) break;
    end -= last.bytes;
  }
  return end;
}

// Whether [begin, end) has a byte in one of `spans`.
bool Touches(absl::Span<const ByteSpan> spans, size_t begin, size_t end) {
  const auto behind =
      std::upper_bound(spans.begin(), spans.end(), begin,
                       [](size_t at, const ByteSpan& span) { return at < span.end; });
  return behind != spans.end() && behind->begin < end;
}

// White space behind tokens. Remembers the last stretch, so that tokens made of white space
// themselves do not have it searched again and again.
class SpaceEnds {
 public:
  explicit SpaceEnds(std::string_view text) : text_(text) {}

  size_t From(size_t at) {
    if (at >= begin_ && at <= end_) return end_;
    begin_ = end_ = at;
    while (end_ < text_.size()) {
      const CodePoint next = DecodeUtf8(text_, end_);
      if ((ClassesOf(next.value) & kSpace) == 0) break;
      end_ += next.bytes;
    }
    return end_;
  }

 private:
  std::string_view text_;
  size_t begin_ = 1;  // begin > end: nothing searched yet
  size_t end_ = 0;
};

}  // namespace

bool AddedTokenMatcher::Add(std::string_view pattern, const AddedToken& token) {
  uint32_t node = 0;
  for (const char c : pattern) {
    const auto byte = static_cast<unsigned char>(c);
    uint32_t& child = node == 0 ? root_[byte] : children_[uint64_t{node} << 8 | byte];
    if (child == 0) {
      child = static_cast<uint32_t>(entry_at_.size());
      entry_at_.push_back(-1);
    }
    node = child;
  }
  if (entry_at_[node] >= 0) return false;
  entry_at_[node] = static_cast<int32_t>(entries_.size());
  entries_.push_back({token.id, token.special, token.single_word, token.lstrip, token.rstrip});
  return true;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::FindFrom(
    std::string_view text, size_t from, const EncodeOptions& options) const {
  // What users wrote out is as if it were no token.
  const auto is_text = [&](const Entry& entry, size_t begin, size_t end) {
    const bool guarded = entry.special || (options.also_special != nullptr &&
                                           options.also_special->contains(entry.id));
    return guarded && Touches(options.unparsed, begin, end);
  };
  for (; from < text.size(); ++from) {
    Match longest;
    uint32_t node = root_[static_cast<unsigned char>(text[from])];
    for (size_t at = from + 1; node != 0; ++at) {
      if (const int32_t entry = entry_at_[node]; entry >= 0) {
        const Entry& found = entries_[static_cast<size_t>(entry)];
        if (options.unparsed.empty() || !is_text(found, from, at)) longest = {from, at, &found};
      }
      if (at == text.size()) break;
      const auto child = children_.find(uint64_t{node} << 8 | static_cast<unsigned char>(text[at]));
      node = child == children_.end() ? 0 : child->second;
    }
    if (longest.entry != nullptr) return longest;
  }
  return std::nullopt;
}

// Follows Hugging Face's loop step by step, its corners included: what a stripping token took can
// still be matched by the next one.
void AddedTokenMatcher::Split(std::string_view text, const EncodeOptions& options,
                              std::vector<Segment>* segments) const {
  SpaceEnds spaces(text);
  size_t done = 0;
  for (auto match = FindFrom(text, 0, options); match.has_value();
       match = FindFrom(text, match->end, options)) {
    const Entry& entry = *match->entry;
    if (entry.special && !options.parse_special) continue;
    if (entry.single_word &&
        (EndsWithWord(text.substr(0, match->begin)) || BeginsWithWord(text.substr(match->end)))) {
      continue;
    }
    size_t begin = match->begin;
    if (entry.lstrip) begin = std::max(done, SpaceBegin(text, std::min(done, begin), begin));
    const size_t end = entry.rstrip ? spaces.From(match->end) : match->end;
    if (done < begin) segments->push_back({text.substr(done, begin - done), std::nullopt});
    segments->push_back({text.substr(match->begin, match->end - match->begin), entry.id});
    done = end;
  }
  if (done < text.size()) segments->push_back({text.substr(done), std::nullopt});
}

}  // namespace ssmd
