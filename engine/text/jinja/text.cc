#include "engine/text/jinja/text.h"

#include <algorithm>
#include <utility>

namespace ssmd::jinja {
namespace {

// The first run that ends behind `byte`.
std::vector<Text::Run>::const_iterator FirstBehind(const std::vector<Text::Run>& runs,
                                                   size_t byte) {
  return std::upper_bound(runs.begin(), runs.end(), byte,
                          [](size_t at, const Text::Run& run) { return at < run.end; });
}

}  // namespace

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  Mark(0, bytes_.size(), origin);
}

void Text::Mark(size_t begin, size_t end, Origin origin) {
  if (origin == kOfTemplate || begin == end) return;
  if (!runs_.empty() && runs_.back().end == begin && runs_.back().origin == origin) {
    runs_.back().end = end;
  } else {
    runs_.push_back({begin, end, origin});
  }
}

Origin Text::OriginAt(size_t byte) const {
  const auto run = FirstBehind(runs_, byte);
  return run != runs_.end() && run->begin <= byte ? run->origin : kOfTemplate;
}

void Text::Append(std::string_view bytes, Origin origin) {
  const size_t begin = bytes_.size();
  bytes_.append(bytes);
  Mark(begin, bytes_.size(), origin);
}

void Text::Append(const Text& other, size_t begin, size_t end) {
  const size_t base = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  for (auto run = FirstBehind(other.runs_, begin); run != other.runs_.end() && run->begin < end;
       ++run) {
    Mark(base + std::max(run->begin, begin) - begin, base + std::min(run->end, end) - begin,
         run->origin);
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text part;
  part.Append(*this, begin, end);
  return part;
}

}  // namespace ssmd::jinja
