#!/usr/bin/env bash
# Installs what the tests need, builds the release preset, runs every test, and says at the end how many
# ran, what was skipped and why. Fails if anything failed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

usage() {
  cat <<'USAGE'
usage: tests/run.sh [--all] [ctest arguments…]

  (nothing)   every test, in the release build
  --all       then also: format and lint; a clang build with thread-safety analysis; the tests under
              AddressSanitizer with UBSan and under ThreadSanitizer; every fuzzer for
              SSMD_FUZZ_SECONDS (60) seconds; the playground against its mock server; the trainer, where
              SSMD_TORCH_PYTHON names a Python with torch; the Debian package in a bare system; kernels/ on an
              emulated Arm; the container image, built and run; chaos (tests/chaos); attacks on the daemon, bare
              and behind Envoy; a thousand streams; the benchmarks
  others      go to ctest, for example: tests/run.sh -R Tokenizer, tests/run.sh -L unit

The release build has the CUDA device where there is an nvcc, for one kind of GPU (90a). Where there
is no GPU, the tests of a real one are skipped and counted.

SSMD_TEST_DATA names a folder of larger test data (tokenizers, texts, weights); the default is
../shared/data beside the clone. Tests that want it are skipped by name where it is absent.
USAGE
}

all=false
ctest_arguments=()
for argument in "$@"; do
  case $argument in
    --all) all=true ;;
    --help | -h) usage && exit 0 ;;
    *) ctest_arguments+=("$argument") ;;
  esac
done

jobs=$(nproc)
fuzz_seconds=${SSMD_FUZZ_SECONDS:-60}
if [[ -z ${SSMD_TEST_DATA:-} && -d $root/../shared/data ]]; then
  SSMD_TEST_DATA=$(cd "$root/../shared/data" && pwd)
  export SSMD_TEST_DATA
fi
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export PATH=$PATH:$root/build/tools/prometheus/usr/bin:$root/build/tools/redis

passed=0 failed=0 skipped=0
failures=()

# How the release preset is configured, and what is said of it at the end.
cuda_options=(-DSSMD_CUDA=OFF)
cuda_arch=90a
cuda_said="CUDA: not compiled, there is no nvcc"
without_gpu=0

say() { printf '\n== %s (%d min %02d s)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

# Counts a check that is one command, and goes on if it fails. 77 says that it was skipped.
check() {
  local name=$1 status=0
  shift
  say "$name"
  "$@" || status=$?
  case $status in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *)
      failed=$((failed + 1))
      failures+=("$name")
      ;;
  esac
}

configure_and_build() {
  local preset=$1
  shift
  local options=()
  [[ $preset == release ]] && options=("${cuda_options[@]}")
  mkdir -p "build/$preset"
  cmake --preset "$preset" "${options[@]}" >"build/$preset/configure.log" 2>&1 || {
    cat "build/$preset/configure.log"
    return 1
  }
  cmake --build --preset "$preset" --parallel "$jobs" "$@"
}

# Adds up what ctest wrote and prints which tests were skipped and why. Fails if a test failed.
read_results() {
  local preset=$1 summary ran bad skips
  summary=$(awk -f tests/junit_summary.awk "build/$preset/tests.xml")
  read -r ran bad skips <<<"$summary"
  passed=$((passed + ran - bad)) failed=$((failed + bad)) skipped=$((skipped + skips))
  without_gpu=$((without_gpu + $(awk -F '[()]' '/^ +skipped .*: no GPU can be used here/ { n += $2 }
    END { print n + 0 }' <<<"$summary")))
  printf '\n%s: %d tests ran, %d failed, %d were skipped\n' "$preset" "$ran" "$bad" "$skips"
  tail -n +2 <<<"$summary"
  ((bad == 0))
}

# Runs ctest on a preset's build.
run_tests() {
  local preset=$1 runner=() status=0
  shift
  # ThreadSanitizer of GCC 12 cannot place its shadow where addresses are randomised widely.
  if [[ $preset == tsan ]] && setarch --addr-no-randomize true 2>/dev/null; then
    runner=(setarch --addr-no-randomize)
  fi
  rm -f "build/$preset/tests.xml"
  "${runner[@]}" ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure \
    --no-tests=error --output-junit tests.xml "$@" || status=$?
  read_results "$preset" || status=1
  ((status == 0)) || failures+=("tests of the $preset preset")
}

build_and_test() {
  local preset=$1
  shift
  say "building the $preset preset"
  if configure_and_build "$preset"; then
    say "testing the $preset preset"
    run_tests "$preset" "$@"
  else
    failed=$((failed + 1))
    failures+=("build of the $preset preset")
  fi
}

# Labels of tests whose subject is not the code's memory and threads, or is changed by a sanitizer.
readonly unsanitized='^(lint|bench|e2e-slow)$'

run_thread_sanitizer() {
  say "building the tsan preset"
  if ! configure_and_build tsan; then
    failed=$((failed + 1))
    failures+=("build of the tsan preset")
    return
  fi
  local ours='^(golden|unit|sim)$'  # what has a socket is unit-network or e2e
  say "ThreadSanitizer: kernels and engine, nothing suppressed"
  TSAN_OPTIONS="halt_on_error=1 log_path=$root/build/tsan/report" run_tests tsan --label-regex "$ours"
  say "ThreadSanitizer: the rest, system libraries suppressed by name (tests/tsan.supp)"
  TSAN_OPTIONS="halt_on_error=1 log_path=$root/build/tsan/report suppressions=$root/tests/tsan.supp" \
    run_tests tsan --label-exclude "$ours|$unsanitized"
}

# Starts from the committed corpus; what it finds, crashes too, goes to build/fuzz/found.
fuzz() {
  local name=$1 found=build/fuzz/found/$1
  mkdir -p "$found"
  "build/fuzz/bin/$name" -max_total_time="$fuzz_seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$found/" "$found" "tests/fuzz/corpus/$name"
}

run_everything_else() {
  check "thread-safety analysis: the dev preset, by clang" configure_and_build dev
  check "clang-tidy" tests/lint/clang_tidy.sh build/dev
  build_and_test asan --label-exclude "$unsanitized"
  run_thread_sanitizer
  local fuzzers fuzzer
  mapfile -t fuzzers < <(basename --suffix=.cc tests/fuzz/*_fuzzer.cc)
  check "building the fuzzers" configure_and_build fuzz --target "${fuzzers[@]}"
  for fuzzer in "${fuzzers[@]}"; do
    check "fuzzing for $fuzz_seconds s: $fuzzer" fuzz "$fuzzer"
  done
  check "the playground against its mock server" tests/playground/run.sh mock
  check "the trainer: format and mistakes" tests/reference/train/run.sh lint
  check "the trainer: every mixer in float64" tests/reference/train/run.sh mixers
  check "the trainer: two mixers learn" tests/reference/train/run.sh train
  check "the Debian package in a bare Debian" tests/deploy/deb_test.sh build/release
  check "kernels on 64-bit Arm, by qemu" tests/arm.sh
  check "the container image" tests/deploy/image.py
  check "chaos: replicas, Redis, Envoy, their disks, clocks and network, broken" \
    timeout 900 tests/chaos/run.sh build/release all --seconds 60 --restarts 20 --conversations 200
  check "attacks on the daemon" tests/deploy/run.sh build/release attacks --check
  check "a thousand streams for a minute" \
    tests/deploy/run.sh build/release soak --seconds 60 --warm-up 120
  check "benchmarks" build/release/bin/ssmd-bench engine --random=mamba-130m --batch=1,16
}

find_cuda() {
  local nvcc version
  nvcc=$(deploy/find_nvcc.sh) || return 0
  version=$("$nvcc" --version | sed -nE 's/.*release ([0-9.]+),.*/\1/p')
  cuda_options=(-DSSMD_CUDA=ON "-DSSMD_CUDA_ARCHITECTURES=$cuda_arch-real" "-DCMAKE_CUDA_COMPILER=$nvcc")
  cuda_said="CUDA: compiled for $cuda_arch by nvcc $version"
}

say "packages"
if $all; then deploy/install-deps.sh --all; else deploy/install-deps.sh --test; fi
find_cuda

build_and_test release "${ctest_arguments[@]}"
if $all; then run_everything_else; fi

say "done"
((without_gpu == 0)) || cuda_said+="; no GPU here: $without_gpu tests skipped"
printf '%s\n' "$cuda_said"
for failure in "${failures[@]}"; do printf 'FAILED: %s\n' "$failure"; done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0 && ${#failures[@]} == 0))
