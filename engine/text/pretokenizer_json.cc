#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/text/tokenizer_json.h"

namespace ssmd {
namespace {

absl::StatusOr<SplitBehavior> ReadBehavior(const JsonField& field) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view name, field.String());
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return field.Unsupported();
}

absl::StatusOr<std::unique_ptr<SplitPattern>> ReadPattern(const JsonField& field) {
  const auto literal = field.Find("String");
  const auto regex = field.Find("Regex");
  if (literal.has_value() == regex.has_value()) {
    return field.Error("must be an object with either \"String\" or \"Regex\"");
  }
  const JsonField& given = literal.has_value() ? *literal : *regex;
  SSMD_ASSIGN_OR_RETURN(const std::string_view text, given.String());
  auto pattern = literal.has_value() ? MakeLiteralPattern(text) : MakeRegexPattern(text);
  if (!pattern.ok()) {
    const absl::string_view problem = pattern.status().message();
    return given.Error({problem.data(), problem.size()});
  }
  return pattern;
}

class StageReader {
 public:
  absl::Status Read(const JsonField& field) {
    SSMD_ASSIGN_OR_RETURN(const JsonField type, field.Require("type"));
    SSMD_ASSIGN_OR_RETURN(const std::string_view name, type.String());
    if (name == "Sequence") return ReadSequence(field);
    if (name == "ByteLevel") return ReadByteLevel(field);
    if (name == "Split") return ReadSplit(field);
    if (name == "Digits") return ReadDigits(field);
    if (name == "Punctuation") return ReadPunctuation(field);
    return type.Unsupported();
  }

  // Empty where there was no ByteLevel.
  std::vector<std::unique_ptr<PreTokenizerStage>> Finish() {
    if (!has_byte_level_) return {};
    if (in_alphabet_) stages_.push_back(MakeByteAlphabetInverseStage());
    return std::move(stages_);
  }

 private:
  absl::Status ReadSequence(const JsonField& field) {
    SSMD_ASSIGN_OR_RETURN(const JsonField list, field.Require("pretokenizers"));
    SSMD_ASSIGN_OR_RETURN(const JsonArray elements, list.Array());
    for (size_t i = 0; i < elements.size(); ++i) SSMD_RETURN_IF_ERROR(Read(list.Element(i)));
    return absl::OkStatus();
  }

  absl::Status ReadByteLevel(const JsonField& field) {
    if (has_byte_level_) return field.Error("a second ByteLevel is not supported");
    SSMD_ASSIGN_OR_RETURN(const JsonField prefix, field.Require("add_prefix_space"));
    SSMD_ASSIGN_OR_RETURN(const bool add_prefix_space, prefix.Bool());
    bool use_regex = true;
    if (const auto flag = field.Find("use_regex")) {
      SSMD_ASSIGN_OR_RETURN(use_regex, flag->Bool());
    }
    has_byte_level_ = true;
    stages_.push_back(MakeByteLevelStage(add_prefix_space, use_regex));
    return absl::OkStatus();
  }

  absl::Status ReadSplit(const JsonField& field) {
    SSMD_ASSIGN_OR_RETURN(const JsonField pattern_field, field.Require("pattern"));
    SSMD_ASSIGN_OR_RETURN(auto pattern, ReadPattern(pattern_field));
    SSMD_ASSIGN_OR_RETURN(const JsonField behavior_field, field.Require("behavior"));
    SSMD_ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(behavior_field));
    SSMD_ASSIGN_OR_RETURN(const JsonField invert_field, field.Require("invert"));
    SSMD_ASSIGN_OR_RETURN(const bool invert, invert_field.Bool());
    Push(MakeSplitStage(std::move(pattern), behavior, invert));
    return absl::OkStatus();
  }

  absl::Status ReadDigits(const JsonField& field) {
    SSMD_ASSIGN_OR_RETURN(const JsonField flag, field.Require("individual_digits"));
    SSMD_ASSIGN_OR_RETURN(const bool individual_digits, flag.Bool());
    Push(MakeDigitsStage(individual_digits));
    return absl::OkStatus();
  }

  absl::Status ReadPunctuation(const JsonField& field) {
    SplitBehavior behavior = SplitBehavior::kIsolated;
    if (const auto given = field.Find("behavior")) {
      SSMD_ASSIGN_OR_RETURN(behavior, ReadBehavior(*given));
    }
    Push(MakePunctuationStage(behavior));
    return absl::OkStatus();
  }

  // What follows ByteLevel sees bytes as characters of the byte alphabet.
  void Push(std::unique_ptr<PreTokenizerStage> stage) {
    if (has_byte_level_ && !in_alphabet_) {
      stages_.push_back(MakeByteAlphabetStage());
      in_alphabet_ = true;
    }
    stages_.push_back(std::move(stage));
  }

  std::vector<std::unique_ptr<PreTokenizerStage>> stages_;
  bool has_byte_level_ = false;
  bool in_alphabet_ = false;
};

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<PreTokenizerStage>>> ReadPreTokenizer(
    const JsonField& field) {
  StageReader reader;
  SSMD_RETURN_IF_ERROR(reader.Read(field));
  auto stages = reader.Finish();
  if (stages.empty()) return field.Error("has no ByteLevel, which byte-level BPE needs");
  return stages;
}

}  // namespace ssmd
