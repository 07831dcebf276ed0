#!/usr/bin/env bash
# The archive of deploy/bundle.sh in an empty folder, without this machine's libraries where that can be had
# (a root of its own with nothing but glibc), else without its environment: it starts, a story is streamed,
# and it ends. The archive for one kind of GPU is small.
#
# usage: bundle_test.sh REPOSITORY BUILD
set -euo pipefail
repository=$1
build=$2
most_bytes=30000000
start_timeout_s=60

work=$(mktemp -d)
daemon=
end() {
  [[ -z $daemon ]] || kill -KILL "$daemon" 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
fail() {
  echo "$*"
  [[ ! -f $work/log ]] || cat "$work/log"
  exit 1
}

archive=$("$repository/deploy/bundle.sh" --no-build --build "$build" --out "$work")
bytes=$(stat -c %s "$archive")
echo "$(basename "$archive"): $bytes bytes"
((bytes <= most_bytes)) || fail "more than $most_bytes bytes"

root=$work/root
mkdir -p "$root/tmp"
tar -xJf "$archive" -C "$root"
folder=/$(basename "$root"/ssmd-*)

# Copies what the dynamic loader and glibc are, each to its own path.
copy_glibc() {
  local library
  ldd "$root$folder/bin/ssmd" | grep -oE '/[^ ]*/(ld-linux[^ ]*|lib(c|m|dl|rt|pthread|resolv)\.so\.[0-9]+)' |
    while read -r library; do
      mkdir -p "$root$(dirname "$library")"
      cp -L "$library" "$root$library"
    done
}

# The loader finds out by /proc where a program lies.
copy_glibc
mkdir "$root/proc"
as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(--map-root-user)
in_root=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare "${as_root[@]}" --mount
  sh -c 'mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"' "$root")
if why=$("${in_root[@]}" "$folder/bin/ssmctl" --help 2>&1 >/dev/null); then
  run=("${in_root[@]}")
  prefix=
  echo "in a root of its own, with glibc alone"
else
  run=(env -i)
  prefix=$root
  echo "in this machine's root: $why"
fi
folder=$prefix$folder

"${run[@]}" "$folder/bin/ssmd" --model "tales=$folder/models/tales-2m" --grpc-listen 127.0.0.1:0 \
  --http-listen 127.0.0.1:0 --ready-file "$prefix/tmp/ready.json" >"$work/log" 2>&1 &
daemon=$!
ready=$root/tmp/ready.json
for ((i = 0; i < start_timeout_s * 10; ++i)); do
  [[ -s $ready ]] && break
  kill -0 "$daemon" 2>/dev/null || fail "ssmd ended"
  sleep 0.1
done
[[ -s $ready ]] || fail "ssmd is not ready after $start_timeout_s s"

# Every library that is mapped comes from the archive, but for glibc's.
foreign=$(awk '$6 ~ /\.so/ { print $6 }' "/proc/$daemon/maps" | sort -u | grep -v "$folder/lib/" |
  grep -vE '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv)\.so\.[0-9]+)$' || true)
[[ -z $foreign ]] || fail "libraries that are not of the archive: $foreign"

grpc=$(sed -nE 's/.*"grpc": *"([^"]*)".*/\1/p' "$ready")
"${run[@]}" "$folder/bin/ssmd-bench" --help >/dev/null || fail "ssmd-bench does not start"
story=$("${run[@]}" "$folder/bin/ssmctl" --server "$grpc" generate --model=tales --prompt="Once upon a time" \
  --max-tokens=40 --temperature=0) || fail "generating failed: $story"
echo "Once upon a time$story"
((${#story} > 40)) || fail "that is no story"

kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
((status == 0)) || fail "ssmd ended with status $status"
