// Draws of tokens (SampleParams in ops.h defines them): the tokens that cpu/ draws, for any row.
//
// Five launches, none of which waits for the host. Vocabularies are cut into parts, so that a
// single row has many multiprocessors:
//   sample_largest  (rows, parts)  adjusts logits, looks whether all are finite, finds the largest
//   sample_scores   (rows, parts)  scores; greedy rows are done
//   sample_cut      (rows)         what top_k and top_p keep, for the rows that ask
//   sample_race     (rows, parts)  the best of score + Gumbel number, and min_p
//   sample_winner   (rows)         the best of all parts
// A row's tokens depend on that row alone: parts are the vocabulary's, and all reductions take a
// largest place or add whole numbers.
#include <cstdint>
#include <limits>

#include "kernels/cuda/draw_math.h"
#include "kernels/cuda/draw_select.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/random.h"
#include "kernels/cuda/sample_scratch.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr float kLargestFloat = std::numeric_limits<float>::max();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

struct SampleArgs {
  int64_t vocabulary;
  SampleRow* rows;
  std::byte* scratch;
};

SIMT_DEVICE float Adjusted(const LogitAdjustment& adjustment, float penalty, float logit) {
  if (adjustment.repeated) logit = logit > 0 ? Divide(logit, penalty) : logit * penalty;
  logit += adjustment.add;
  if (logit < -kLargestFloat) return -kLargestFloat;
  return logit > kLargestFloat ? kLargestFloat : logit;
}

// Makes a part's adjusted logits. False if one of the thread's was not finite before.
SIMT_DEVICE bool AdjustPart(const Block& block, const SampleRow& row, TokenRange part,
                            float* adjusted) {
  bool finite = true;
  ForTokens(block, part, row.logits, [&](int32_t id, float logit) {
    finite = finite && IsFinite(logit);
    adjusted[id] = logit;
  });
  block.Sync();
  for (int64_t i = block.thread(); i < row.adjustment_count; i += block.threads()) {
    const LogitAdjustment adjustment = row.adjustments[i];
    const int32_t id = adjustment.token_id;
    if (id < part.begin || id >= part.end) continue;
    adjusted[id] = Adjusted(adjustment, row.repetition_penalty, adjusted[id]);
  }
  block.Sync();
  return finite;
}

struct SampleLargest {
  static constexpr char kName[] = "sample_largest";
  static constexpr int kThreads = kPartThreads;
  using Args = SampleArgs;
  using Shared = BlockMaxShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const SampleScratch scratch(args.scratch, args.vocabulary);
    const SampleRow& row = args.rows[block.x()];
    const TokenRange part = scratch.part(block.y());
    uint64_t largest = 0;
    if (row.adjustment_count == 0) {
      largest = LargestPlace(block, part, row.logits);
    } else {
      float* adjusted = scratch.scores(block.x());
      const bool finite = AdjustPart(block, row, part, adjusted);
      largest = finite ? LargestPlace(block, part, adjusted) : kDefectPlace;
    }
    largest = BlockMax(block, block.shared<Shared>(), largest);
    if (block.thread() == 0) scratch.places(block.x())[block.y()] = largest;
  }
};

SIMT_DEVICE bool Races(const SampleRow& row, uint64_t largest) {
  return largest != kDefectPlace && !(row.temperature < kSmallestNormal);
}

struct SampleScores {
  static constexpr char kName[] = "sample_scores";
  static constexpr int kThreads = kPartThreads;
  using Args = SampleArgs;
  using Shared = BlockMaxShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const SampleScratch scratch(args.scratch, args.vocabulary);
    SampleRow& row = args.rows[block.x()];
    uint64_t place = 0;
    for (int64_t i = block.thread(); i < scratch.parts(); i += block.threads()) {
      place = LargerOf(place, scratch.places(block.x())[i]);
    }
    place = BlockMax(block, block.shared<Shared>(), place);
    if (block.y() == 0 && block.thread() == 0) {
      *scratch.plan(block.x()) = {Races(row, place), Cut()};
      row.token_id = place == kDefectPlace ? kNotFinite : TokenOf(place);
    }
    if (!Races(row, place)) return;

    float* scores = scratch.scores(block.x());
    const float* logits = row.adjustment_count == 0 ? row.logits : scores;
    const float largest = LogitOf(place);
    const float temperature = row.temperature;
    ForTokens(block, scratch.part(block.y()), logits,
              [&](int32_t id, float logit) { scores[id] = Divide(logit - largest, temperature); });
  }
};

struct SampleCut {
  static constexpr char kName[] = "sample_cut";
  static constexpr int kThreads = 1024;
  using Args = SampleArgs;
  using Shared = SelectShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const SampleScratch scratch(args.scratch, args.vocabulary);
    const SampleRow& row = args.rows[block.x()];
    DrawPlan* plan = scratch.plan(block.x());
    const int32_t top_k = row.top_k;
    const float top_p = row.top_p;
    const bool all_k = top_k <= 0 || top_k >= args.vocabulary;
    if (!plan->races || (all_k && !(top_p < 1))) return;

    auto& shared = block.shared<Shared>();
    const float* scores = scratch.scores(block.x());
    const TokenRange tokens = scratch.all();
    Cut cut;
    if (!all_k) {
      cut = SelectFirst(
          block, shared, tokens, scores, cut, ScoreKey, [](uint32_t) { return uint64_t{1}; },
          [&](uint64_t) { return static_cast<uint64_t>(top_k); });
    }
    if (top_p < 1) {
      cut = SelectFirst(block, shared, tokens, scores, cut, ScoreKey, MassOfKey,
                        [&](uint64_t total) { return WantedMass(top_p, total); });
    }
    if (block.thread() == 0) plan->cut = cut;
  }
};

// Some token in the draw has a score of 0, and no −log u is outside of [2^−53, 53 ln 2]. So no
// token with a score below −(53 ln 2 + log(53 ln 2)) = −40.4 wins.
constexpr float kLeastScore = -41.0f;

// The largest score − log(−log u) has the smallest −log u · e^−score, here a token's wait. Bounds
// of it in f32 rule out nearly all tokens: −log u lies between 1 − u and (1 − u) / u, and the first
// 24 bits of the random words say where u is.
struct Wait {
  float least, most;
};
constexpr Wait kNotInDraw = {std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::infinity()};
constexpr float kNoScore = -std::numeric_limits<float>::infinity();
constexpr float kLongestWait = 37.0f;  // of a winner
constexpr float kSlack = 1.01f;        // covers all rounding

// A row's race, as a thread sees it.
struct Race {
  Cut cut;
  DrawKey key;
  float min_p;
};

SIMT_DEVICE Wait WaitOf(const Race& race, int32_t token_id, float score) {
  if (score < kLeastScore || !Keeps(race.cut, ScoreKey(score), token_id)) return kNotInDraw;
  const float exponential = Exp(score);
  if (race.min_p > 0) {
    const auto mass = static_cast<double>(MassOf(exponential));
    if (mass < static_cast<double>(race.min_p) * kMassOne) return kNotInDraw;
  }
  const auto u = static_cast<float>(WordsOf(race.key, token_id).word[0] >> 8);  // · 2^24
  return {Divide(0x1p24f - 1 - u, 0x1p24f * exponential), Divide(0x1p24f - u, u * exponential)};
}

struct SampleRace {
  static constexpr char kName[] = "sample_race";
  static constexpr int kThreads = kPartThreads;
  static constexpr int kShare = kPartTokens / kPartThreads;  // tokens of a thread
  using Args = SampleArgs;
  using Shared = BlockMaxShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const SampleScratch scratch(args.scratch, args.vocabulary);
    const SampleRow& row = args.rows[block.x()];
    const DrawPlan& plan = *scratch.plan(block.x());
    if (!plan.races) return;
    const Race race = {plan.cut, {row.seed, row.choice, row.position}, row.min_p};
    const float* scores = scratch.scores(block.x());
    const TokenRange part = scratch.part(block.y());
    auto& shared = block.shared<Shared>();
    const uint32_t runners = MayWin(block, shared, race, part, scores);
    Runner best = BestOf(block, runners, race, part, scores);

    const uint64_t score = BlockMax(block, shared, best.score);
    if (best.score < score) best.token = 0;
    const uint64_t token = BlockMax(block, shared, best.token);
    if (block.thread() == 0) scratch.runners(block.x())[block.y()] = {score, token};
  }

 private:
  // The i-th token of a thread.
  SIMT_DEVICE static int32_t TokenAt(const Block& block, TokenRange part, int i) {
    return part.begin + block.thread() + i * block.threads();
  }

  // Bit i: the thread's i-th token may have the shortest wait of the part's.
  SIMT_DEVICE static uint32_t MayWin(const Block& block, Shared& shared, const Race& race,
                                     TokenRange part, const float* scores) {
    float score[kShare];
    SIMT_UNROLL
    for (int i = 0; i < kShare; ++i) {
      const int32_t id = TokenAt(block, part, i);
      score[i] = id < part.end ? scores[id] : kNoScore;
    }
    float least[kShare];
    float bound = kLongestWait;
    SIMT_UNROLL
    for (int i = 0; i < kShare; ++i) {
      const Wait wait = WaitOf(race, TokenAt(block, part, i), score[i]);
      least[i] = wait.least;
      bound = wait.most < bound ? wait.most : bound;
    }
    // Positive numbers are ordered by their bits.
    bound = FloatOf(~static_cast<uint32_t>(BlockMax(block, shared, ~BitsOf(bound)))) * kSlack;
    uint32_t may = 0;
    SIMT_UNROLL
    for (int i = 0; i < kShare; ++i) may |= least[i] <= bound ? 1u << i : 0;
    return may;
  }

  // The thread's best, among those tokens.
  SIMT_DEVICE static Runner BestOf(const Block& block, uint32_t tokens, const Race& race,
                                   TokenRange part, const float* scores) {
    Runner best;
    for (; tokens != 0; tokens &= tokens - 1) {
      const int32_t id = TokenAt(block, part, TrailingZeros(tokens));
      const double gumbel = GumbelOf(WordsOf(race.key, id));
      const uint64_t score = OrderedKey(static_cast<double>(scores[id]) + gumbel);
      if (score > best.score) best = {score, ~static_cast<uint32_t>(id)};
    }
    return best;
  }
};

struct SampleWinner {
  static constexpr char kName[] = "sample_winner";
  static constexpr int kThreads = kPartThreads;
  using Args = SampleArgs;
  using Shared = BlockMaxShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const SampleScratch scratch(args.scratch, args.vocabulary);
    if (!scratch.plan(block.x())->races) return;
    auto& shared = block.shared<Shared>();
    Runner best;
    for (int64_t i = block.thread(); i < scratch.parts(); i += block.threads()) {
      const Runner runner = scratch.runners(block.x())[i];
      if (runner.score < best.score) continue;
      if (runner.score > best.score || runner.token > best.token) best = runner;
    }
    const uint64_t score = BlockMax(block, shared, best.score);
    if (best.score < score) best.token = 0;
    const uint64_t token = BlockMax(block, shared, best.token);
    if (block.thread() == 0) args.rows[block.x()].token_id = TokenOf(token);
  }
};

}  // namespace

namespace plain {

size_t SampleScratchBytes(int64_t rows, int64_t vocabulary) {
  return static_cast<size_t>(rows * SampleScratch(nullptr, vocabulary).row_bytes());
}

void Sample(Stream& stream, int64_t vocabulary, SampleRow* rows, int64_t row_count,
            std::byte* scratch) {
  if (row_count == 0) return;
  const SampleArgs args = {vocabulary, rows, scratch};
  const Grid by_part = {row_count, SampleScratch(scratch, vocabulary).parts()};
  const Grid by_row = {row_count};
  Launch<SampleLargest>(stream, by_part, SampleLargest::kThreads, args);
  Launch<SampleScores>(stream, by_part, SampleScores::kThreads, args);
  Launch<SampleCut>(stream, by_row, SampleCut::kThreads, args);
  Launch<SampleRace>(stream, by_part, SampleRace::kThreads, args);
  Launch<SampleWinner>(stream, by_row, SampleWinner::kThreads, args);
}

}  // namespace plain
}  // namespace ssmd::kernels::cuda
