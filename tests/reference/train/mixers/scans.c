// The scans of scans.py with their gradients, for one type (REAL, float unless said). Compiled at
// first use by compiled.py. Every array is contiguous and has the batch first; threads share out
// the batch, so that results do not depend on their number. A gradient's array comes zeroed.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
#define EXP(x) (sizeof(REAL) == 4 ? (REAL)expf((float)(x)) : (REAL)exp((double)(x)))

// Of the loop that follows: what it writes overlaps nothing else it touches.
#define INDEPENDENT _Pragma("GCC ivdep")

enum { kBlock = 16, kRun = 16 };  // channels at a time; tokens between states that are kept

typedef struct {
  int64_t batch, tokens, width, size;  // width: channels or heads; size: of the state or of a head
} Sizes;

static REAL* Scratch(int64_t count) {
  REAL* memory = malloc((size_t)count * sizeof(REAL));
  if (memory == NULL) abort();
  return memory;
}

// --- selective_scan(x, delta, a, b, c) --------------------------------------------------------

void selective_scan_forward(const Sizes* s, const REAL* const* in, REAL* y) {
  const int64_t tokens = s->tokens, width = s->width, size = s->size;
#pragma omp parallel for schedule(static)
  for (int64_t item = 0; item < s->batch; ++item) {
    const REAL* a = in[2] + item * width * size;
    REAL* h = Scratch(width * size);
    memset(h, 0, (size_t)(width * size) * sizeof(REAL));
    for (int64_t row = item * tokens; row < (item + 1) * tokens; ++row) {
      const REAL *b = in[3] + row * size, *c = in[4] + row * size;
      for (int64_t e = 0; e < width; ++e) {
        const REAL delta = in[1][row * width + e], dx = delta * in[0][row * width + e];
        const REAL* a_row = a + e * size;
        REAL *h_row = h + e * size, sum = 0;
        INDEPENDENT
        for (int64_t n = 0; n < size; ++n) {
          h_row[n] = EXP(delta * a_row[n]) * h_row[n] + dx * b[n];
          sum += h_row[n] * c[n];
        }
        y[row * width + e] = sum;
      }
    }
    free(h);
  }
}

// One channel's states and decays of all tokens, then its gradients from the last to the first.
static void SelectiveChannel(const Sizes* s, const REAL* const* in, const REAL* gy,
                             REAL* const* grad, int64_t item, int64_t e, REAL* h, REAL* decay,
                             REAL* gh) {
  const int64_t tokens = s->tokens, width = s->width, size = s->size;
  const REAL* a = in[2] + (item * width + e) * size;
  memset(h, 0, (size_t)size * sizeof(REAL));  // h[t + 1] is the state after token t
  memset(gh, 0, (size_t)size * sizeof(REAL));
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t row = item * tokens + t;
    const REAL delta = in[1][row * width + e], dx = delta * in[0][row * width + e];
    const REAL *b = in[3] + row * size, *old = h + t * size;
    INDEPENDENT
    for (int64_t n = 0; n < size; ++n) {
      decay[t * size + n] = EXP(delta * a[n]);
      h[(t + 1) * size + n] = decay[t * size + n] * old[n] + dx * b[n];
    }
  }
  REAL* ga = grad[2] + (item * width + e) * size;
  for (int64_t t = tokens - 1; t >= 0; --t) {
    const int64_t row = item * tokens + t, at = row * width + e;
    const REAL x = in[0][at], delta = in[1][at], gyt = gy[at];
    const REAL *b = in[3] + row * size, *c = in[4] + row * size;
    const REAL *old = h + t * size, *now = old + size, *w = decay + t * size;
    REAL *gb = grad[3] + row * size, *gc = grad[4] + row * size, by_b = 0, by_decay = 0;
    INDEPENDENT
    for (int64_t n = 0; n < size; ++n) {
      const REAL g = gh[n] + gyt * c[n], through = g * old[n] * w[n];
      gc[n] += gyt * now[n];
      gb[n] += g * delta * x;
      ga[n] += through * delta;
      by_decay += through * a[n];
      by_b += g * b[n];
      gh[n] = g * w[n];
    }
    grad[0][at] = by_b * delta;
    grad[1][at] = by_b * x + by_decay;
  }
}

void selective_scan_backward(const Sizes* s, const REAL* const* in, const REAL* gy,
                             REAL* const* grad) {
#pragma omp parallel for schedule(static)
  for (int64_t item = 0; item < s->batch; ++item) {
    REAL* h = Scratch((2 * s->tokens + 2) * s->size);
    REAL *decay = h + (s->tokens + 1) * s->size, *gh = decay + s->tokens * s->size;
    for (int64_t e = 0; e < s->width; ++e) {
      SelectiveChannel(s, in, gy, grad, item, e, h, decay, gh);
    }
    free(h);
  }
}

// --- wkv4(k, v, w, u) -------------------------------------------------------------------------

// The factors of the old sums and of the token, in the output (e) and in the state after it (f).
typedef struct {
  REAL e_old, e_new, f_old, f_new, p;
} Wkv4Factors;

static inline Wkv4Factors FactorsOf(REAL p, REAL k, REAL w, REAL u) {
  const REAL q = p > u + k ? p : u + k, next = p + w > k ? p + w : k;
  const Wkv4Factors f = {EXP(p - q), EXP(u + k - q), EXP(p + w - next), EXP(k - next), next};
  return f;
}

void wkv4_forward(const Sizes* s, const REAL* const* in, REAL* y) {
  const int64_t tokens = s->tokens, width = s->width;
#pragma omp parallel for schedule(static)
  for (int64_t item = 0; item < s->batch; ++item) {
    REAL *a = Scratch(3 * width), *b = a + width, *p = b + width;
    for (int64_t c = 0; c < width; ++c) a[c] = b[c] = 0, p[c] = -1e30f;
    const REAL *w = in[2] + item * width, *u = in[3] + item * width;
    for (int64_t row = item * tokens; row < (item + 1) * tokens; ++row) {
      const REAL *k = in[0] + row * width, *v = in[1] + row * width;
      INDEPENDENT
      for (int64_t c = 0; c < width; ++c) {
        const Wkv4Factors f = FactorsOf(p[c], k[c], w[c], u[c]);
        y[row * width + c] = (f.e_old * a[c] + f.e_new * v[c]) / (f.e_old * b[c] + f.e_new);
        a[c] = f.f_old * a[c] + f.f_new * v[c];
        b[c] = f.f_old * b[c] + f.f_new;
        p[c] = f.p;
      }
    }
    free(a);
  }
}

// p is any scale of the sums: the result does not depend on it, and it has no gradient.
static void Wkv4Channels(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad,
                         int64_t item, int64_t first, int64_t count, REAL (*kept)[3][kBlock]) {
  const int64_t tokens = s->tokens, width = s->width, at = item * width + first;
  REAL state[3][kBlock] = {{0}}, ga[kBlock] = {0}, gb[kBlock] = {0};
  for (int64_t c = 0; c < count; ++c) state[2][c] = -1e30f;
  for (int64_t t = 0; t < tokens; ++t) {
    memcpy(kept[t], state, sizeof(state));
    const int64_t row = (item * tokens + t) * width + first;
    INDEPENDENT
    for (int64_t c = 0; c < count; ++c) {
      const Wkv4Factors f = FactorsOf(state[2][c], in[0][row + c], in[2][at + c], in[3][at + c]);
      state[0][c] = f.f_old * state[0][c] + f.f_new * in[1][row + c];
      state[1][c] = f.f_old * state[1][c] + f.f_new;
      state[2][c] = f.p;
    }
  }
  for (int64_t t = tokens - 1; t >= 0; --t) {
    const int64_t row = (item * tokens + t) * width + first;
    INDEPENDENT
    for (int64_t c = 0; c < count; ++c) {
      const REAL a = kept[t][0][c], b = kept[t][1][c], v = in[1][row + c];
      const Wkv4Factors f = FactorsOf(kept[t][2][c], in[0][row + c], in[2][at + c], in[3][at + c]);
      const REAL below = f.e_old * b + f.e_new, y = (f.e_old * a + f.e_new * v) / below;
      const REAL g_above = gy[row + c] / below, g_below = -g_above * y;
      const REAL by_bonus = f.e_new * (g_above * v + g_below);
      grad[0][row + c] = by_bonus + f.f_new * (ga[c] * v + gb[c]);
      grad[1][row + c] = f.e_new * g_above + f.f_new * ga[c];
      grad[2][at + c] += f.f_old * (ga[c] * a + gb[c] * b);
      grad[3][at + c] += by_bonus;
      ga[c] = f.e_old * g_above + f.f_old * ga[c];
      gb[c] = f.e_old * g_below + f.f_old * gb[c];
    }
  }
}

void wkv4_backward(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad) {
#pragma omp parallel for schedule(static)
  for (int64_t item = 0; item < s->batch; ++item) {
    REAL* kept = Scratch(s->tokens * 3 * kBlock);
    for (int64_t first = 0; first < s->width; first += kBlock) {
      const int64_t rest = s->width - first;
      Wkv4Channels(s, in, gy, grad, item, first, rest < kBlock ? rest : kBlock,
                   (REAL(*)[3][kBlock])kept);
    }
    free(kept);
  }
}

// --- matrix states: a head's S (size, size) ------------------------------------------------------

// The arrays of a head at a token, from arrays (batch, tokens, heads, size).
static inline int64_t HeadRow(const Sizes* s, int64_t item, int64_t t, int64_t head) {
  return ((item * s->tokens + t) * s->width + head) * s->size;
}

typedef void Advance(const Sizes* s, const REAL* const* in, int64_t item, int64_t head, int64_t t,
                     const REAL* before, REAL* after);
typedef void Reverse(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad,
                     int64_t item, int64_t head, int64_t t, const REAL* before, const REAL* after,
                     REAL* g);

// States of every kRun-th token are kept, those between made again: kRun at a time.
static void ReverseHead(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad,
                        int64_t item, int64_t head, Advance* advance, Reverse* reverse) {
  const int64_t square = s->size * s->size, runs = (s->tokens + kRun - 1) / kRun;
  REAL* kept = Scratch((runs + kRun + 2) * square);
  REAL *states = kept + runs * square, *g = states + (kRun + 1) * square;
  memset(states, 0, (size_t)square * sizeof(REAL));
  memset(g, 0, (size_t)square * sizeof(REAL));
  for (int64_t run = 0; run < runs; ++run) {
    memcpy(kept + run * square, states, (size_t)square * sizeof(REAL));
    for (int64_t t = run * kRun; run + 1 < runs && t < (run + 1) * kRun; ++t) {
      advance(s, in, item, head, t, states, states);
    }
  }
  for (int64_t run = runs - 1; run >= 0; --run) {
    const int64_t first = run * kRun, end = first + kRun < s->tokens ? first + kRun : s->tokens;
    memcpy(states, kept + run * square, (size_t)square * sizeof(REAL));
    for (int64_t t = first; t < end; ++t) {
      advance(s, in, item, head, t, states + (t - first) * square,
              states + (t - first + 1) * square);
    }
    for (int64_t t = end - 1; t >= first; --t) {
      const REAL* before = states + (t - first) * square;
      reverse(s, in, gy, grad, item, head, t, before, before + square, g);
    }
  }
  free(kept);
}

// --- wkv6(r, k, v, w, u) ----------------------------------------------------------------------

static void Wkv6Advance(const Sizes* s, const REAL* const* in, int64_t item, int64_t head,
                        int64_t t, const REAL* before, REAL* after) {
  const int64_t size = s->size, row = HeadRow(s, item, t, head);
  const REAL *k = in[1] + row, *v = in[2] + row, *w = in[3] + row;
  for (int64_t i = 0; i < size; ++i) {
    INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      after[i * size + j] = w[i] * before[i * size + j] + k[i] * v[j];
    }
  }
}

void wkv6_forward(const Sizes* s, const REAL* const* in, REAL* y) {
  const int64_t size = s->size;
#pragma omp parallel for schedule(static)
  for (int64_t part = 0; part < s->batch * s->width; ++part) {
    const int64_t item = part / s->width, head = part % s->width;
    const REAL* u = in[4] + part * size;
    REAL* state = calloc((size_t)(size * size), sizeof(REAL));
    for (int64_t t = 0; t < s->tokens; ++t) {
      const int64_t row = HeadRow(s, item, t, head);
      const REAL *r = in[0] + row, *k = in[1] + row, *v = in[2] + row;
      REAL bonus = 0;
      for (int64_t i = 0; i < size; ++i) bonus += r[i] * u[i] * k[i];
      for (int64_t j = 0; j < size; ++j) y[row + j] = bonus * v[j];
      for (int64_t i = 0; i < size; ++i) {
        for (int64_t j = 0; j < size; ++j) y[row + j] += r[i] * state[i * size + j];
      }
      Wkv6Advance(s, in, item, head, t, state, state);
    }
    free(state);
  }
}

static void Wkv6Reverse(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad,
                        int64_t item, int64_t head, int64_t t, const REAL* before,
                        const REAL* after, REAL* g) {
  (void)after;
  const int64_t size = s->size, row = HeadRow(s, item, t, head),
                fixed = (item * s->width + head) * size;
  const REAL *r = in[0] + row, *k = in[1] + row, *v = in[2] + row, *w = in[3] + row;
  const REAL *u = in[4] + fixed, *gy_row = gy + row;
  REAL* gv = grad[2] + row;
  REAL seen = 0, bonus = 0;
  for (int64_t i = 0; i < size; ++i) seen += gy_row[i] * v[i], bonus += r[i] * u[i] * k[i];
  for (int64_t j = 0; j < size; ++j) gv[j] += bonus * gy_row[j];
  for (int64_t i = 0; i < size; ++i) {
    REAL read = 0, by_v = 0, by_old = 0;
    INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      const REAL gij = g[i * size + j], old = before[i * size + j];
      read += gy_row[j] * old;
      by_v += gij * v[j];
      by_old += gij * old;
      gv[j] += gij * k[i];
      g[i * size + j] = w[i] * gij + r[i] * gy_row[j];
    }
    grad[0][row + i] = read + u[i] * k[i] * seen;
    grad[1][row + i] = by_v + u[i] * r[i] * seen;
    grad[3][row + i] = by_old;
    grad[4][fixed + i] += r[i] * k[i] * seen;
  }
}

void wkv6_backward(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad) {
#pragma omp parallel for schedule(static)
  for (int64_t part = 0; part < s->batch * s->width; ++part) {
    ReverseHead(s, in, gy, grad, part / s->width, part % s->width, Wkv6Advance, Wkv6Reverse);
  }
}

// --- wkv7(r, w, k, v, kappa, a) -----------------------------------------------------------------

static inline REAL Dot(const REAL* x, const REAL* y, int64_t size) {
  REAL sum = 0;
  for (int64_t j = 0; j < size; ++j) sum += x[j] * y[j];
  return sum;
}

static void Wkv7Advance(const Sizes* s, const REAL* const* in, int64_t item, int64_t head,
                        int64_t t, const REAL* before, REAL* after) {
  const int64_t size = s->size, row = HeadRow(s, item, t, head);
  const REAL *w = in[1] + row, *k = in[2] + row, *v = in[3] + row, *kappa = in[4] + row,
             *a = in[5] + row;
  for (int64_t i = 0; i < size; ++i) {
    const REAL removed = Dot(before + i * size, kappa, size);
    INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      after[i * size + j] = before[i * size + j] * w[j] - removed * kappa[j] * a[j] + v[i] * k[j];
    }
  }
}

void wkv7_forward(const Sizes* s, const REAL* const* in, REAL* y) {
  const int64_t size = s->size;
#pragma omp parallel for schedule(static)
  for (int64_t part = 0; part < s->batch * s->width; ++part) {
    const int64_t item = part / s->width, head = part % s->width;
    REAL* state = calloc((size_t)(size * size), sizeof(REAL));
    for (int64_t t = 0; t < s->tokens; ++t) {
      const int64_t row = HeadRow(s, item, t, head);
      Wkv7Advance(s, in, item, head, t, state, state);
      for (int64_t i = 0; i < size; ++i) y[row + i] = Dot(state + i * size, in[0] + row, size);
    }
    free(state);
  }
}

static void Wkv7Reverse(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad,
                        int64_t item, int64_t head, int64_t t, const REAL* before,
                        const REAL* after, REAL* g) {
  const int64_t size = s->size, row = HeadRow(s, item, t, head);
  const REAL *r = in[0] + row, *w = in[1] + row, *k = in[2] + row, *v = in[3] + row;
  const REAL *kappa = in[4] + row, *a = in[5] + row;
  REAL *gr = grad[0] + row, *gw = grad[1] + row, *gk = grad[2] + row, *gkappa = grad[4] + row;
  REAL* ga = grad[5] + row;  // until the end: of κ ∘ a
  for (int64_t i = 0; i < size; ++i) {
    const REAL *old = before + i * size, *now = after + i * size, gyi = gy[row + i];
    REAL *gi = g + i * size, by_k = 0, g_removed = 0;
    const REAL removed = Dot(old, kappa, size);
    INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      gi[j] += gyi * r[j];
      gr[j] += gyi * now[j];
      by_k += gi[j] * k[j];
      g_removed -= gi[j] * kappa[j] * a[j];
      gw[j] += gi[j] * old[j];
      gk[j] += gi[j] * v[i];
      ga[j] -= gi[j] * removed;
    }
    grad[3][row + i] = by_k;
    INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      gkappa[j] += g_removed * old[j];
      gi[j] = gi[j] * w[j] + g_removed * kappa[j];
    }
  }
  INDEPENDENT
  for (int64_t j = 0; j < size; ++j) {
    gkappa[j] += ga[j] * a[j];
    ga[j] *= kappa[j];
  }
}

void wkv7_backward(const Sizes* s, const REAL* const* in, const REAL* gy, REAL* const* grad) {
#pragma omp parallel for schedule(static)
  for (int64_t part = 0; part < s->batch * s->width; ++part) {
    ReverseHead(s, in, gy, grad, part / s->width, part % s->width, Wkv7Advance, Wkv7Reverse);
  }
}
