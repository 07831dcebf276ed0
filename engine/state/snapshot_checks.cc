// Whether a snapshot's state may be gone on from here.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
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

// The first number whose exponent is all ones.
template <typename Bits>
std::optional<size_t> FirstNotFinite(absl::Span<const std::byte> numbers, Bits exponent) {
  for (size_t i = 0; i < numbers.size() / sizeof(Bits); ++i) {
    Bits bits = 0;
    std::memcpy(&bits, numbers.data() + i * sizeof(bits), sizeof(bits));
    if ((bits & exponent) == exponent) return i;
  }
  return std::nullopt;
}

std::optional<size_t> FirstNotFinite(absl::Span<const std::byte> numbers,
                                     kernels::StateFormat format) {
  switch (format) {
    case kernels::StateFormat::kF32:
      return FirstNotFinite<uint32_t>(numbers, 0x7f800000);
    case kernels::StateFormat::kBf16:
      return FirstNotFinite<uint16_t>(numbers, 0x7f80);
    case kernels::StateFormat::kF16:
      return FirstNotFinite<uint16_t>(numbers, 0x7c00);
    case kernels::StateFormat::kF64:
      return FirstNotFinite<uint64_t>(numbers, 0x7ff0000000000000);
  }
  return std::nullopt;
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
                 : " (rebuild reads its history again)"));
}

absl::Status CheckFinite(absl::Span<const std::byte> state, const StateLayout& layout) {
  if (state.size() != layout.bytes_per_slot()) {
    return absl::InvalidArgumentError(absl::StrFormat("the state has %d bytes, its layout %d",
                                                      state.size(), layout.bytes_per_slot()));
  }
  for (const StateFieldSpec& field : layout.fields()) {
    const absl::Span<const std::byte> bytes = state.subspan(field.offset, field.bytes);
    const std::optional<size_t> wrong = FirstNotFinite(bytes, field.format);
    if (!wrong.has_value()) continue;
    return absl::InvalidArgumentError(absl::StrFormat("number %d of layer %d's %s is not finite",
                                                      *wrong, field.layer, field.name));
  }
  return absl::OkStatus();
}

}  // namespace ssmd
