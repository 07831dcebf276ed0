#!/usr/bin/env bash
# The CUDA device on a machine with a GPU that has nvcc, CMake and a C++ compiler, and perhaps nothing else:
# builds kernels/ for that GPU, runs the tests of the kernels on it, some of them under compute-sanitizer,
# and the benchmark of the kernels. Logs and results go to one folder.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

out=$root/build/gpu-results
build=$root/build/gpu
arch=
googletest=
bench_arguments=()
quick=false

usage() {
  cat <<'USAGE'
usage: tests/gpu/run.sh [options] [-- arguments of the benchmark]

  --out DIR         where logs and results go (build/gpu-results): summary.json, and of each step a log
  --build DIR       where it is built (build/gpu)
  --arch ARCH       80, 86, 89, 90a, 100, 120: by what nvidia-smi says of the first GPU unless told
  --googletest DIR  GoogleTest's source, which the tests of kernels take: /usr/src/googletest where that
                    exists (Debian's package googletest; the folder can be carried along). Without it
                    those tests and compute-sanitizer's are skipped
  --quick           no compute-sanitizer, and the benchmark's short form
  --help

Each step has a time limit; one that fails does not keep the next from running. The status is 0 if no
step failed, 1 if one did, and 2 if there is nothing to run on. What is skipped is named, and why.
USAGE
}

while (($# > 0)); do
  case $1 in
    --out) out=${2:?--out takes a folder} && shift ;;
    --build) build=${2:?--build takes a folder} && shift ;;
    --arch) arch=${2:?--arch takes an architecture} && shift ;;
    --googletest) googletest=${2:?--googletest takes a folder} && shift ;;
    --quick) quick=true ;;
    --help | -h) usage && exit 0 ;;
    --) shift && bench_arguments=("$@") && break ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

# Seconds.
readonly configure_limit=120 build_limit=1500 test_limit=600 sanitizer_limit=420 bench_limit=900
# Few and small, for tools that slow kernels down a hundredfold: every kernel, padded segments, cut panels.
readonly sanitizer_filter='*ANan*gpu*:*APadded*gpu*:*WorksInPlace*gpu*:*AddsIntoItsOwn*gpu*:*TiesAreInTheOrder*gpu*:*GreedyTakes*gpu*:*BytesAreThose*gpu*'

say() { printf '[%3d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
stop() {
  say "$*"
  exit 2
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
steps=()
failed=0

json_text() { printf '"%s"' "$(printf '%s' "$1" | tr '\n' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g; s/[[:cntrl:]]//g')"; }

# Adds a step to the summary: NAME RESULT SECONDS NOTE.
note() {
  steps+=("$(printf '{"step": %s, "result": %s, "seconds": %d, "note": %s}' \
    "$(json_text "$1")" "$(json_text "$2")" "$3" "$(json_text "$4")")")
  say "$1: $2${4:+ ($4)}"
  write_summary
}
skip() { note "$1" skipped 0 "$2"; }

write_summary() {
  local step separator=
  {
    printf '{\n  "gpu": %s,\n  "driver": %s,\n  "nvcc": %s,\n  "arch": %s,\n  "failed": %d,\n  "steps": [' \
      "$(json_text "$gpu")" "$(json_text "$driver")" "$(json_text "$nvcc_version")" "$(json_text "$arch")" "$failed"
    for step in "${steps[@]}"; do
      printf '%s\n    %s' "$separator" "$step"
      separator=,
    done
    printf '\n  ]\n}\n'
  } >"$out/summary.json"
}

# Runs a command with a time limit, into a log; its result is known by its status.
step() {
  local name=$1 limit=$2 begin=$SECONDS status=0
  shift 2
  say "$name …"
  timeout --kill-after=15 "$limit" "$@" >"$out/$name.log" 2>&1 || status=$?
  local seconds=$((SECONDS - begin))
  case $status in
    0) note "$name" passed "$seconds" "" ;;
    124 | 137) failed=$((failed + 1)) && note "$name" failed "$seconds" "stopped after $limit s" ;;
    *)
      failed=$((failed + 1))
      note "$name" failed "$seconds" "status $status"
      tail -n 15 "$out/$name.log" | sed 's/^/    /'
      ;;
  esac
  return "$status"
}

gpu='' driver='' nvcc_version=''
nvcc=$("$root/deploy/find_nvcc.sh") || stop "there is no nvcc on the path or in /usr/local/cuda"
nvcc_version=$("$nvcc" --version | sed -nE 's/.*release ([0-9.]+),.*/\1/p')
command -v cmake >/dev/null || stop "there is no cmake"
if command -v nvidia-smi >/dev/null; then
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1) || gpu=
  driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1) || driver=
fi
if [[ -z $arch && -n $gpu ]]; then
  arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '.')
  [[ $arch != 90 ]] || arch=90a  # with wgmma
fi
[[ -n $arch ]] || stop "nvidia-smi tells of no GPU here, and no --arch was given"
if [[ -z $googletest && -d /usr/src/googletest ]]; then googletest=/usr/src/googletest; fi
if [[ -n $googletest && ! -f $googletest/CMakeLists.txt ]]; then stop "$googletest is not GoogleTest's source"; fi
say "${gpu:-no GPU}, driver ${driver:-none}, nvcc $nvcc_version, for $arch; results in $out"

options=(-DCMAKE_BUILD_TYPE=Release -DSSMD_KERNELS_ONLY=ON -DSSMD_CUDA=ON "-DCMAKE_CUDA_COMPILER=$nvcc"
  "-DSSMD_CUDA_ARCHITECTURES=$arch-real" "-DSSMD_GTEST_SOURCE=$googletest")
command -v ninja >/dev/null && options+=(-G Ninja)
step configure "$configure_limit" cmake -S "$root" -B "$build" "${options[@]}" || exit 1
known_targets=$(cmake --build "$build" --target help)
targets=(ssmd_cuda)
for target in cuda_kernels_test kernels_bench; do
  if grep -q "\b$target\b" <<<"$known_targets"; then targets+=("$target"); fi
done
step build "$build_limit" cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}" || exit 1

tests=$build/bin/cuda_kernels_test
if [[ ! -x $tests ]]; then
  skip tests "no GoogleTest: --googletest"
else
  step tests "$test_limit" "$tests" --gtest_output=json:"$out/tests.json" || true
  # Where the device cannot be opened its tests are skipped, and nothing was tested.
  if ! grep -q '\[       OK \].*/gpu' "$out/tests.log"; then
    failed=$((failed + 1))
    note tests-ran failed 0 "$(grep -m 1 -A 1 ': Skipped' "$out/tests.log" | tail -n 1)"
  fi
fi

sanitizer=$(command -v compute-sanitizer || echo "$(dirname "$nvcc")/compute-sanitizer")
for tool in memcheck racecheck initcheck; do
  if $quick; then
    skip "$tool" "--quick"
  elif [[ ! -x $tests ]]; then
    skip "$tool" "no GoogleTest: --googletest"
  elif [[ ! -x $sanitizer ]]; then
    skip "$tool" "no compute-sanitizer"
  else
    step "$tool" "$sanitizer_limit" "$sanitizer" --tool "$tool" --error-exitcode 9 "$tests" \
      --gtest_filter="$sanitizer_filter" || true
  fi
done

bench=$build/bin/kernels_bench
if [[ ! -x $bench ]]; then
  skip bench "kernels_bench is not built"
else
  if $quick; then bench_arguments+=(--quick); fi
  step bench "$bench_limit" "$bench" "--json=$out/bench.json" "${bench_arguments[@]}" || true
  # What is chosen, or could be: the older instruction, the library, states in 16 bits.
  whole_steps=(--only=step/ --weights=bf16)
  step bench_without_wgmma "$bench_limit" "$bench" "--json=$out/bench_without_wgmma.json" \
    "${whole_steps[@]}" --without-wgmma "${bench_arguments[@]}" || true
  step bench_gemm "$bench_limit" "$bench" "--json=$out/bench_gemm.json" \
    "${whole_steps[@]}" --gemm --loads=4x2048 "${bench_arguments[@]}" || true
  step bench_narrow_states "$bench_limit" "$bench" "--json=$out/bench_narrow_states.json" \
    "${whole_steps[@]}" --models=mamba-2.8b+bf16,mamba2-2.7b+bf16 "${bench_arguments[@]}" || true
fi

if ((failed > 0)); then
  say "$failed failed: $out/summary.json"
  exit 1
fi
say "done: $out/summary.json"
