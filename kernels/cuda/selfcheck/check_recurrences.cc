// Conv, scan and ssd: rows of several sessions, with states.
#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/cuda/selfcheck/kernel_checks.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int kSegmentSlots = 11;
constexpr int64_t kSegmentRows = 76;
// Kernels are within 2e-6 of the largest, chunks within 2e-5. A narrow state takes such a
// difference for another draw now and then, and is a unit of its last place off from there on.
Bounds BoundsOf(const StateField& state) {
  if (state.format == StateFormat::kF32) return {1e-3, 1e-4};
  return {0.25, 5e-3};
}

// As many as kernels take some at a time of; some to other slots, some padding, rows in disorder.
const std::vector<Segment> kTokens = {{8, 1, 0, 0, 0}, {0, 1, 1, 2, 9},    {1, 1, -1, -1, 0},
                                      {2, 1, 3, 3, 5}, {3, 1, 4, 5, 1},    {5, 1, 6, 6, 2},
                                      {4, 1, 7, 7, 0}, {7, 1, 8, 9, 1000}, {6, 1, 10, 10, 3}};
constexpr size_t kAlone = 1;  // of kTokens, run without the others
// Longer than two of the tiles that kernels take prompts in, and shorter than one.
const std::vector<Segment> kPrompts = {
    {0, 67, 0, 0, 0}, {67, 1, 1, 2, 9}, {68, 2, -1, -1, 0}, {70, 6, 3, 4, 5}};

bool IsPadded(const Segment& segment) { return segment.dst_slot < 0; }

std::vector<bool> RowsWritten(const std::vector<Segment>& segments) {
  std::vector<bool> rows(kSegmentRows);
  for (const Segment& s : segments) {
    if (!IsPadded(s)) std::fill_n(rows.begin() + s.first_row, s.length, true);
  }
  return rows;
}

std::vector<bool> SlotsWritten(const std::vector<Segment>& segments) {
  std::vector<bool> slots(kSegmentSlots);
  for (const Segment& s : segments) {
    if (!IsPadded(s)) slots[static_cast<size_t>(s.dst_slot)] = true;
  }
  return slots;
}

// The t-th token of each segment that has one, as a step.
std::vector<Segment> TokensAt(const std::vector<Segment>& segments, int32_t t) {
  std::vector<Segment> step;
  for (const Segment& s : segments) {
    if (IsPadded(s) || t >= s.length) continue;
    step.push_back(
        {s.first_row + t, 1, t == 0 ? s.src_slot : s.dst_slot, s.dst_slot, s.position + t});
  }
  return step;
}

// What an op made of rows and states.
struct Outcome {
  std::vector<float> rows, states;
};

template <typename Params>
class RecurrenceCheck {
 public:
  struct Launchers {
    Launcher<Params> step, prompt;
  };

  // `params` are made up, but for segments; `out` and `states` are what they write.
  RecurrenceCheck(CheckSpace& space, const Params& params, CheckRows& out, CheckStates& states)
      : space_(space),
        params_(params),
        out_(out),
        states_(states),
        segments_(space.Allocate(kTokens.size() * sizeof(Segment))) {}

  // Whether prompts have the bits of their tokens is looked at where `exact`.
  std::string Run(const Launchers& fast, const Launchers& plain, bool exact) {
    if (space_.out_of_memory()) return "";
    Comparison comparison(BoundsOf(states_.field()));
    const Outcome step = Compare(fast.step, plain.step, kTokens, &comparison);
    const std::vector<Segment> alone = {kTokens[kAlone]};
    CompareBits(RunAll(fast.step, {alone}), step, alone, "bits of a row depend on the other rows",
                &comparison);
    const Outcome prompt = Compare(fast.prompt, plain.prompt, kPrompts, &comparison);
    if (exact) {
      std::vector<std::vector<Segment>> tokens;
      for (int32_t t = 0; t < kPrompts[0].length; ++t) tokens.push_back(TokensAt(kPrompts, t));
      CompareBits(RunAll(fast.step, tokens), prompt, kPrompts,
                  "a prompt has other bits than its tokens one by one", &comparison);
    }
    return comparison.Problem();
  }

 private:
  // One call after the other, from the first states on.
  Outcome RunAll(Launcher<Params> launch, const std::vector<std::vector<Segment>>& calls) {
    out_.Reset();
    states_.Reset();
    for (const std::vector<Segment>& segments : calls) {
      space_.stream().CopyIn(segments_.data(), segments.data(), segments.size() * sizeof(Segment));
      params_.segments = segments_.as<Segment>();
      params_.segment_count = static_cast<int64_t>(segments.size());
      params_.rows = 0;
      for (const Segment& s : segments) params_.rows += s.length;
      launch(space_.stream(), params_);
    }
    return {out_.Read(), states_.Read()};
  }

  // Returns what `fast` gave.
  Outcome Compare(Launcher<Params> fast, Launcher<Params> plain,
                  const std::vector<Segment>& segments, Comparison* comparison) {
    const Outcome expected = RunAll(plain, {segments});
    Outcome given = RunAll(fast, {segments});
    out_.Compare(given.rows, expected.rows, RowsWritten(segments), comparison);
    states_.Compare(given.states, expected.states, SlotsWritten(segments), comparison);
    return given;
  }

  void CompareBits(const Outcome& a, const Outcome& b, const std::vector<Segment>& segments,
                   const char* otherwise, Comparison* comparison) {
    out_.CompareBits(a.rows, b.rows, RowsWritten(segments), otherwise, comparison);
    for (const Segment& s : segments) {
      if (!IsPadded(s)) states_.CompareBits(a.states, b.states, s.dst_slot, otherwise, comparison);
    }
  }

  CheckSpace& space_;
  Params params_;
  CheckRows& out_;
  CheckStates& states_;
  const Buffer segments_;
};

}  // namespace

std::string CheckConv(CheckSpace& space, const Twins& twins, const ConvSiluParams& like) {
  ConvSiluParams params = like;
  CheckRows x(space, {kSegmentRows, like.channels, like.x_stride, like.x}, -2, 2);
  CheckRows out(space, {kSegmentRows, like.channels, like.out_stride, like.out}, -1, 1);
  CheckRows weight(space, {like.width, like.channels, like.channels, like.weight}, -1, 1);
  CheckRows bias(space, {1, like.channels, like.channels, like.bias}, -1, 1);
  CheckStates ring(space, like.ring, kSegmentSlots, (like.width - 1) * like.channels, nullptr);
  params.x = x.data();
  params.out = out.data();
  params.weight = weight.data();
  params.bias = bias.data();
  params.ring = ring.field();
  return RecurrenceCheck(space, params, out, ring)
      .Run({twins.fast.conv_step, twins.fast.conv_prompt},
           {twins.plain.conv_step, twins.plain.conv_prompt}, /*exact=*/true);
}

std::string CheckScan(CheckSpace& space, const Twins& twins, const SelectiveScanParams& like) {
  SelectiveScanParams params = like;
  const int64_t channels = like.channels, n = like.state_size;
  const int64_t padded = PaddedChannels(channels);
  CheckRows x(space, {kSegmentRows, channels, like.x_stride, like.x}, -2, 2);
  CheckRows own_y(space, {kSegmentRows, channels, like.y_stride, like.y}, -1, 1);
  CheckRows dt(space, {kSegmentRows, channels, like.dt_stride, like.dt}, -7, 1);
  CheckRows b(space, {kSegmentRows, n, like.b_stride, like.b}, -1, 1);
  CheckRows c(space, {kSegmentRows, n, like.c_stride, like.c}, -1, 1);
  CheckRows z(space, {kSegmentRows, channels, like.z_stride, like.z}, -4, 4);
  CheckRows a(space, {1, padded * n, padded * n, like.a}, -16, -0.5);
  CheckRows d(space, {1, channels, channels, like.d}, -1, 1);
  CheckStates state(space, like.state, kSegmentSlots, padded * n, [&](int64_t i) {
    return i / (n * kChannelBlock) * kChannelBlock + i % kChannelBlock >= channels;
  });
  CheckRows& y = like.y == like.x ? x : own_y;
  params.x = x.data();
  params.y = y.data();
  params.dt = dt.data();
  params.b = b.data();
  params.c = c.data();
  params.z = z.data();
  params.a = a.data();
  params.d = d.data();
  params.state = state.field();
  return RecurrenceCheck(space, params, y, state)
      .Run({twins.fast.scan_step, twins.fast.scan_prompt},
           {twins.plain.scan_step, twins.plain.scan_prompt}, /*exact=*/true);
}

std::string CheckSsd(CheckSpace& space, const Twins& twins, const SsdScanParams& like) {
  SsdScanParams params = like;
  const int64_t channels = like.heads * like.head_dim, bc = like.groups * like.state_size;
  const int64_t lanes = PaddedLanes(like.head_dim);
  CheckRows x(space, {kSegmentRows, channels, like.x_stride, like.x}, -2, 2);
  CheckRows own_y(space, {kSegmentRows, channels, like.y_stride, like.y}, -1, 1);
  CheckRows dt(space, {kSegmentRows, like.heads, like.dt_stride, like.dt}, -6, 1);
  CheckRows b(space, {kSegmentRows, bc, like.b_stride, like.b}, -1, 1);
  CheckRows c(space, {kSegmentRows, bc, like.c_stride, like.c}, -1, 1);
  CheckRows dt_bias(space, {1, like.heads, like.heads, like.dt_bias}, -1, 0);
  CheckRows a(space, {1, like.heads, like.heads, like.a}, -16, -0.5);
  CheckRows d(space, {1, channels, channels, like.d}, -1, 1);
  CheckStates state(space, like.state, kSegmentSlots, like.heads * like.state_size * lanes,
                    [&](int64_t i) { return i % lanes >= like.head_dim; });
  const int64_t chunk_floats = SsdChunkScratch(like.groups, like.state_size);
  CheckRows scratch(space, {kSegmentRows, chunk_floats, chunk_floats, like.chunk_scratch}, 0, 1);
  CheckRows& y = like.y == like.x ? x : own_y;
  params.x = x.data();
  params.y = y.data();
  params.dt = dt.data();
  params.b = b.data();
  params.c = c.data();
  params.dt_bias = dt_bias.data();
  params.a = a.data();
  params.d = d.data();
  params.state = state.field();
  params.chunk_scratch = nullptr;
  const KernelTable &fast = twins.fast, &plain = twins.plain;
  const std::string problem = RecurrenceCheck(space, params, y, state)
                                  .Run({fast.ssd_step, fast.ssd_prompt},
                                       {plain.ssd_step, plain.ssd_prompt}, /*exact=*/true);
  if (!problem.empty() || like.chunk_scratch == nullptr) return problem;
  params.chunk_scratch = scratch.data();
  return RecurrenceCheck(space, params, y, state)
      .Run({fast.ssd_step, fast.ssd_chunks}, {plain.ssd_step, plain.ssd_chunks}, /*exact=*/false);
}

}  // namespace ssmd::kernels::cuda
