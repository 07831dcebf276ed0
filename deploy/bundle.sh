#!/usr/bin/env bash
# Packs ssmd, ssmctl, ssmd-bench, the shared libraries that they need and the bundled model into one
# archive, which runs from any folder of a machine whose glibc is not older than this one's. The C library
# and NVIDIA's driver are that machine's own.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

programs=(ssmd ssmctl ssmd-bench)
model=tales-2m
# What belongs to glibc, and to NVIDIA's driver.
readonly not_ours='^(ld-linux.*|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv|anl|mvec|BrokenLocale|nsl|nss_[a-z]+|thread_db|cuda|nvidia-.*))\.so'

usage() {
  cat <<'USAGE'
usage: deploy/bundle.sh [--cuda ARCHITECTURE] [--build FOLDER] [--no-build] [--out FOLDER]

  --cuda ARCH  build with the CUDA device for one kind of GPU: 80, 86, 89, 90a (H100), 100, 120. The
               archive is then for that kind; without it, the build is taken as it is configured
  --build DIR  the build folder: build/release unless told otherwise; --cuda has one of its own
  --no-build   pack what was built there before
  --out DIR    where the archive goes: build unless told otherwise

Prints the path of the archive: ssmd-VERSION-linux-MACHINE[-cuda-ARCH].tar.xz
USAGE
}

say() { printf 'bundle: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

build_dir=
out_dir=$root/build
arch=
with_build=true
while (($# > 0)); do
  case $1 in
    --cuda) arch=${2:?--cuda takes an architecture} && shift ;;
    --build) build_dir=${2:?--build takes a folder} && shift ;;
    --out) out_dir=${2:?--out takes a folder} && shift ;;
    --no-build) with_build=false ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done
build_dir=${build_dir:-$root/build/release${arch:+-cuda-$arch}}

build() {
  local options=()
  if [[ -n $arch ]]; then
    local nvcc
    nvcc=$("$root/deploy/find_nvcc.sh") || fail "there is no nvcc; deploy/install-deps.sh --cuda brings one"
    options=(-DSSMD_CUDA=ON "-DSSMD_CUDA_ARCHITECTURES=$arch-real" "-DCMAKE_CUDA_COMPILER=$nvcc")
  fi
  say "building in $build_dir"
  cmake -S "$root" --preset release -B "$build_dir" "${options[@]}" >&2
  cmake --build "$build_dir" --parallel "$(nproc)" --target "${programs[@]}" >&2
}

# A value of the build's cache.
cached() { sed -nE "s/^$1:[A-Z]+=(.*)/\1/p" "$build_dir/CMakeCache.txt"; }

# The libraries that a program loads, and those that they load, but for what is not ours.
libraries_of() {
  ldd "$1" | awk '/not found/ { print $1 " is not found" > "/dev/stderr"; exit 1 } $2 == "=>" { print $3 }' |
    while read -r library; do
      [[ $(basename "$library") =~ $not_ours ]] || printf '%s\n' "$library"
    done
}

# The terms of those libraries in a list that Debian packages brought. A package may name a file by its path
# from before /lib was /usr/lib.
copy_terms() {
  local list=$1 terms=$2 package
  xargs realpath <"$list" | sed -E 'p; s|^/usr||' | { xargs dpkg-query -S 2>/dev/null || true; } | cut -d: -f1 | sort -u |
    while read -r package; do
      cp -L "/usr/share/doc/$package/copyright" "$terms/$package" || say "no terms of $package here"
    done
}

stage() {
  local to=$1 program
  cmake --install "$build_dir" --component programs --prefix "$to" --strip >/dev/null
  mkdir -p "$to/lib" "$to/models" "$to/licences"
  for program in "${programs[@]}"; do libraries_of "$to/bin/$program"; done | sort -u >"$to/needed"
  xargs cp -Lt "$to/lib" <"$to/needed"
  copy_terms "$to/needed" "$to/licences"
  rm "$to/needed"
  strip --strip-unneeded "$to"/lib/*
  cp -r "$root/deploy/models/$model" "$to/models/"
  cp "$root/LICENSE" "$to/"
  printf '%s\n' "bin/ssmd --model $model=models/$model serves the bundled model; bin/ssmd --help says what else." \
    "The libraries in lib/ are Debian's, under the terms in licences/." >"$to/README"
}

if $with_build; then build; fi
[[ -f $build_dir/CMakeCache.txt ]] || fail "$build_dir is no build folder"
for program in "${programs[@]}"; do
  [[ -x $build_dir/bin/$program ]] || fail "$program is not built in $build_dir"
done

if [[ -z $arch && $(cached SSMD_CUDA) == ON ]]; then arch=$(cached SSMD_CUDA_ARCHITECTURES | sed 's/-real//g; s/;/-/g'); fi
name=ssmd-$(cached CMAKE_PROJECT_VERSION)-linux-$(uname -m)${arch:+-cuda-$arch}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage "$work/$name"

mkdir -p "$out_dir"
archive=$(cd "$out_dir" && pwd)/$name.tar.xz
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -cf - "$name" | xz -T0 -6 >"$archive.partial"
mv "$archive.partial" "$archive"
say "$(stat -c %s "$archive" | awk '{ printf "%.1f MB", $1 / 1e6 }')"
printf '%s\n' "$archive"
