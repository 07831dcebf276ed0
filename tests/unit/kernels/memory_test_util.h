// Memories of random states, with tables of their own, for tests of MemoryScan.
#ifndef SSMD_TESTS_UNIT_KERNELS_MEMORY_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_MEMORY_TEST_UTIL_H_

#include <cmath>
#include <vector>

#include "kernels/memory_ops.h"
#include "kernels/reference/ops.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

inline constexpr int kMemorySlots = 4;

struct MemoryShape {
  MemoryStep step;
  int64_t state_size;
  int64_t channels = 1;
};

inline DoubleTensor RandomDoubles(int64_t count, uint32_t seed, double scale = 1) {
  const Tensor random = RandomTensor(count, seed);
  DoubleTensor doubles(random.begin(), random.end());
  for (double& value : doubles) value *= scale;
  return doubles;
}

// What an update reads beside the state, as MemoryScanParams says.
struct MemoryTable {
  explicit MemoryTable(int64_t n)
      : size(n),
        padded(PaddedMemoryState(n)),
        nodes(padded),
        weights(padded),
        values(n * padded),
        shifts(n * padded),
        up(padded),
        down(padded),
        roots(padded),
        a(n * padded),
        b(padded) {
    MakeLegs();
    const DoubleTensor random = RandomDoubles(n * n + n, 5, 1 / static_cast<double>(n));
    for (int64_t i = 0; i < n * n; ++i) a[i / n * padded + i % n] = random[i];
    for (int64_t i = 0; i < n; ++i) b[i] = random[n * n + i];
  }

  void MakeLegs() {
    const reference::LegsRule rule(size);
    for (int64_t n = 0; n < size; ++n) {
      const auto degree = static_cast<double>(n);
      up[n] = (2 * degree + 1) / (degree + 1);
      down[n] = degree / (degree + 1);
      roots[n] = std::sqrt(2 * degree + 1);
    }
    for (int64_t j = 0; j < size; ++j) {
      nodes[j] = rule.nodes[j];
      weights[j] = rule.weights[j];
      double before = 0;
      double p = 1;
      for (int64_t n = 0; n < size; ++n) {
        values[n * padded + j] = roots[n] * p;
        shifts[n * padded + j] = up[n] * p * (-2 * nodes[j]);
        const double next = up[n] * (2 * nodes[j] - 1) * p - down[n] * before;
        before = p;
        p = next;
      }
    }
  }

  MemoryScanParams Params(MemoryStep step) const {
    MemoryScanParams params;
    params.step = step;
    params.state_size = size;
    params.nodes = nodes.data();
    params.weights = weights.data();
    params.values = values.data();
    params.shifts = shifts.data();
    params.up = up.data();
    params.down = down.data();
    params.roots = roots.data();
    params.a = a.data();
    params.b = b.data();
    return params;
  }

  int64_t size, padded;
  DoubleTensor nodes, weights, values, shifts, up, down, roots, a, b;
};

// Slots of random states, with something between them.
struct Memory {
  explicit Memory(const MemoryShape& s)
      : shape(s), table(s.state_size), slab(RandomDoubles(kMemorySlots * slot_doubles(), 7)) {
    for (int slot = 0; slot < kMemorySlots; ++slot) {
      for (int64_t i = 0; i < 2 * s.channels; ++i) {
        double& energy = slab[slot * slot_doubles() + s.channels * s.state_size + i];
        energy = i % 2 == 0 ? std::abs(energy) : energy * 0x1p-60;
      }
    }
  }

  int64_t slot_doubles() const { return shape.channels * (shape.state_size + 2) + kGuard; }

  StateField Field(int64_t first_double) {
    return {reinterpret_cast<std::byte*>(slab.data()),
            static_cast<size_t>(slot_doubles()) * sizeof(double),
            static_cast<size_t>(first_double) * sizeof(double), StateFormat::kF64, 0};
  }

  MemoryScanParams Params(const std::vector<Segment>& segments,
                          const std::vector<int32_t>& tokens) {
    MemoryScanParams params = table.Params(shape.step);
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.token_ids = tokens.data();
    params.channels = shape.channels;
    params.coefficients = Field(0);
    params.energy = Field(shape.channels * shape.state_size);
    return params;
  }
  void Feed(Device& device, const std::vector<Segment>& segments,
            const std::vector<int32_t>& tokens) {
    device.MemoryScan(Params(segments, tokens));
  }

  // Coefficients, then energies.
  DoubleTensor State(int slot) const {
    const auto begin = slab.begin() + slot * slot_doubles();
    return {begin, begin + shape.channels * (shape.state_size + 2)};
  }

  static constexpr int64_t kGuard = 3;
  MemoryShape shape;
  MemoryTable table;
  DoubleTensor slab;
};

inline std::vector<int32_t> SampleTokens(int64_t count, uint32_t seed) {
  std::vector<int32_t> tokens;
  for (const float sample : RandomTensor(count, seed)) tokens.push_back(*TokenOfSample(sample));
  return tokens;
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_MEMORY_TEST_UTIL_H_
