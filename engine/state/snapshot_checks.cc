// Whether a snapshot's state may be gone on from here.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/state/snapshot.h"

namespace ssmd {
namespace {

constexpr size_t kShownBytesMax = 128;

// What others wrote, fit for a message.
std::string Shown(std::string_view text) {
  const absl::string_view shown(text.data(), std::min(text.size(), kShownBytesMax));
  return absl::StrCat("\"", absl::CHexEscape(shown), text.size() > shown.size() ? "…\"" : "\"");
}

std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find('\n')); }

// Layouts have a line a field: the first in which they differ says enough.
void SkipEqualLines(std::string_view* a, std::string_view* b) {
  while (!a->empty() && !b->empty() && FirstLine(*a) == FirstLine(*b)) {
    const size_t line = std::min({FirstLine(*a).size() + 1, a->size(), b->size()});
    a->remove_prefix(line);
    b->remove_prefix(line);
  }
}

std::string Difference(absl::string_view what, std::string_view theirs, std::string_view ours) {
  return absl::StrCat("its ", what, " is ", Shown(theirs), " and the model's is ", Shown(ours));
}

std::string LayoutDifference(std::string_view theirs, std::string_view ours) {
  SkipEqualLines(&theirs, &ours);
  return Difference("layout", FirstLine(theirs), FirstLine(ours));
}

}  // namespace

absl::Status CheckIdentity(const ModelIdentity& theirs, const ModelIdentity& ours,
                           bool allow_profile) {
  std::vector<std::string> differences;
  if (theirs.fingerprint != ours.fingerprint) {
    differences.push_back(Difference("fingerprint", theirs.fingerprint, ours.fingerprint));
  }
  if (theirs.layout != ours.layout) {
    differences.push_back(LayoutDifference(theirs.layout, ours.layout));
  }
  const bool same_model = differences.empty();
  if (theirs.numerics_profile != ours.numerics_profile && !allow_profile) {
    differences.push_back(
        Difference("numerics profile", theirs.numerics_profile, ours.numerics_profile));
  }
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the snapshot is of another ", same_model ? "numerics profile" : "model", ": ",
      absl::StrJoin(differences, "; "),
      same_model ? " (what follows would differ in its last bits: allow_inexact accepts that)"
                 : ""));
}

absl::Status CheckFinite(absl::Span<const std::byte> state) {
  if (state.size() % sizeof(uint32_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a state of %d bytes is no whole number of f32", state.size()));
  }
  constexpr uint32_t kExponent = 0x7f800000;
  for (size_t at = 0; at < state.size(); at += sizeof(uint32_t)) {
    uint32_t bits = 0;
    std::memcpy(&bits, state.data() + at, sizeof(bits));
    if ((bits & kExponent) == kExponent) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the state's number %d is not finite", at / sizeof(uint32_t)));
    }
  }
  return absl::OkStatus();
}

}  // namespace ssmd
