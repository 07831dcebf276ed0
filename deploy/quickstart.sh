#!/usr/bin/env bash
# From a fresh clone to a story on the terminal: installs what is missing, builds, starts ssmd with the
# bundled model in the background, and streams from it. Running it again uses the daemon that runs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bin=$root/build/release/bin
# What the running daemon left: its addresses and pid (written by ssmd itself), and its log.
run_dir=$root/build/run
ready_file=$run_dir/ready.json
log_file=$run_dir/ssmd.log

model_name=tales-2m
prompt="Once upon a time there was a little fox who"
start_timeout_s=60

usage() {
  cat <<USAGE
usage: deploy/quickstart.sh [start | stop | status]

  start   (the default) install, build, start ssmd with deploy/models/$model_name, stream a story
  stop    stop that ssmd: it finishes its streams first
  status  say whether it runs, and where

The daemon listens on 127.0.0.1:50051 (gRPC) and 127.0.0.1:8080 (HTTP), or on free ports where those
are taken. Its log and its addresses are kept under build/run.
USAGE
}

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'quickstart: %s\n' "$*" >&2
  exit 1
}

# A field of the ready file, which is one flat JSON object.
ready_field() {
  sed -nE "s/.*\"$1\": *\"?([^\",}]*)\"?.*/\1/p" "$ready_file" 2>/dev/null
}

# True while the process of the ready file is an ssmd of this clone: a pid alone may have been reused.
is_running() {
  local pid
  pid=$(ready_field pid)
  [[ -n $pid && $(readlink "/proc/$pid/exe" 2>/dev/null) == "$bin/ssmd"* ]]
}

stop_daemon() {
  is_running || { echo "ssmd is not running."; return; }
  local pid
  pid=$(ready_field pid)
  kill -TERM "$pid"
  echo "Asked ssmd (pid $pid) to stop; it finishes its streams first."
  while is_running; do sleep 0.1; done
  rm -f "$ready_file"
  echo "Stopped."
}

print_status() {
  if is_running; then
    echo "ssmd runs: gRPC $(ready_field grpc), HTTP http://$(ready_field http), pid $(ready_field pid)"
  else
    echo "ssmd is not running."
    return 1
  fi
}

build() {
  say "Configuring and building ssmd and ssmctl (some 4 minutes on 2 cores, the first time)"
  cmake -S "$root" --preset release >"$run_dir/configure.log" 2>&1 ||
    { tail -n 30 "$run_dir/configure.log" >&2; fail "configuring failed; all of it: $run_dir/configure.log"; }
  cmake --build "$root/build/release" --target ssmd ssmctl || fail "the build failed: see above."
}

# HOST:PORT with the given port, or with port 0 (any free one) where something answers there already.
listen_address() {
  if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
    echo "Port $1 is taken; taking a free one." >&2
    echo "127.0.0.1:0"
  else
    echo "127.0.0.1:$1"
  fi
}

start_daemon() {
  rm -f "$ready_file"
  local grpc_listen http_listen
  grpc_listen=$(listen_address 50051)
  http_listen=$(listen_address 8080)
  # A session of its own, so that it outlives this shell and does not see its Ctrl-C.
  setsid "$bin/ssmd" --model "$model_name=$root/deploy/models/$model_name" \
    --grpc-listen "$grpc_listen" --http-listen "$http_listen" --ready-file "$ready_file" \
    </dev/null >"$log_file" 2>&1 &
  local pid=$! deadline=$((SECONDS + start_timeout_s))
  until is_running; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$log_file" >&2
      fail "ssmd ended before it was ready: see above."
    fi
    if ((SECONDS >= deadline)); then
      kill -TERM "$pid"
      tail -n 20 "$log_file" >&2
      fail "ssmd was not ready after $start_timeout_s s: see above."
    fi
    sleep 0.05
  done
}

tell_a_story() {
  say "A story, streamed over gRPC by the model in deploy/models/$model_name"
  printf '%s' "$prompt"
  "$bin/ssmctl" --server "$(ready_field grpc)" generate --model="$model_name" --prompt="$prompt" \
    --max-tokens=220 --temperature=0.7 --top-p=0.92 ||
    { tail -n 20 "$log_file" >&2; fail "generating failed: see above."; }
}

print_addresses() {
  local grpc ssmctl
  grpc=$(ready_field grpc)
  ssmctl="${bin#"$PWD/"}/ssmctl --server $grpc"
  cat <<ADDRESSES

== ssmd keeps running in the background (pid $(ready_field pid))

  gRPC      $grpc
  HTTP      http://$(ready_field http)/          the playground; OpenAI's API under /v1; /metrics
  log       $log_file

  Generate  $ssmctl generate --model=$model_name --prompt="One day, a girl named"
  Chat      $ssmctl chat --model=$model_name
  Models    $ssmctl models
  Stop it   kill $(ready_field pid)    # or: $0 stop
ADDRESSES
}

case ${1:-start} in
  start) ;;
  stop) stop_daemon && exit 0 ;;
  status) print_status && exit 0 || exit 1 ;;
  --help | -h) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

say "Checking for the packages that ssmd needs"
"$root/deploy/install-deps.sh"
[[ ! -e $root/build || -w $root/build ]] ||
  fail "$root/build belongs to another user; remove it, or run as $(stat -c %U "$root/build")."
mkdir -p "$run_dir"
build
if is_running; then
  [[ $(readlink "/proc/$(ready_field pid)/exe") == "$bin/ssmd" ]] ||
    say "The ssmd that runs is older than this build; deploy/quickstart.sh stop, then start, renews it"
else
  say "Starting ssmd"
  start_daemon
fi
tell_a_story
print_addresses
