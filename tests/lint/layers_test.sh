#!/usr/bin/env bash
# Tests layers.sh: it passes a clean tree, and each violation put into that tree is named with its file.
set -euo pipefail
layers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/layers.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

write() { mkdir -p "$(dirname "$tree/$1")" && printf '%b\n' "$2" >"$tree/$1"; }

write CMakeLists.txt 'project(x)'
write kernels/cpu/matmul.cc '#include "kernels/ops.h"\n#include <immintrin.h>'
write engine/base/clock.h '#include <chrono>'
write engine/text/bpe.cc '#include "engine/formats/json.h"\n#include "absl/status/status.h"'
write engine/schedule/step_loop.cc '#include "engine/observer.h"\n#include "engine/models/batch.h"\n#include "kernels/ops.h"'
write server/options.h '#include "kernels/device.h"\n#include "engine/engine.h"'
write server/convert.cc '#include "ssmd/v1/common.pb.h"'
write server/grpc/service.cc '#include "ssmd/v1/common.grpc.pb.h"\n#include <grpcpp/grpcpp.h>'
write clients/ssmctl/main.cc '#include "clients/cpp/client.h"\n#include "ssmd/v1/common.pb.h"'
write tests/bench/engine_bench.cc '#include "engine/engine.h"'

if ! output=$("$layers" "$tree"); then
  printf 'a clean tree fails:\n%s\n' "$output"
  failures=1
fi

# expect_violation FILE CONTENT: with this file the tree fails, and the message names the file (or its
# top folder, where that is what is wrong).
expect_violation() {
  local file=$1 content=$2 output
  write "$file" "$content"
  if output=$("$layers" "$tree" 2>&1); then
    printf 'not noticed: %s with %s\n' "$file" "$content"
    failures=$((failures + 1))
  elif ! grep -qE "^(${file%%/*}: the top level|$file)" <<<"$output"; then
    printf 'noticed, but without the file name: %s\n%s\n' "$file" "$output"
    failures=$((failures + 1))
  fi
  rm -f "$tree/$file"
}

expect_violation kernels/cpu/a.cc '#include "engine/base/clock.h"'
expect_violation kernels/a.h '#include "absl/status/status.h"'
expect_violation kernels/reference/a.cc '#  include <google/protobuf/message.h>'
expect_violation kernels/a.cc '#include "../engine/base/clock.h"'
expect_violation engine/base/a.cc '#include "engine/formats/json.h"'
expect_violation engine/formats/a.cc '#include "engine/text/tokenizer.h"'
expect_violation engine/text/a.cc '#include "kernels/ops.h"'
expect_violation engine/state/a.cc '#include "engine/models/batch.h"'
expect_violation engine/models/mixers/a.cc '#include "engine/schedule/request.h"'
expect_violation engine/models/a.cc '#include "engine/observer.h"'
expect_violation engine/sample/a.cc '#include "engine/models/batch.h"'
expect_violation engine/schedule/a.cc '#include "engine/engine.h"'
expect_violation engine/a.cc '#include "server/options.h"'
expect_violation engine/b.cc '#include <grpcpp/grpcpp.h>'
expect_violation engine/c.cc '#include "ssmd/v1/common.pb.h"'
expect_violation engine/d.cc '#include <boost/asio.hpp>'
expect_violation engine/e.cc '#include <prometheus/registry.h>'
expect_violation server/a.cc '#include "clients/cpp/client.h"'
expect_violation server/b.cc '#include "kernels/ops.h"'
expect_violation server/http/c.cc '#include "ssmd/v1/common.pb.h"'
expect_violation clients/cpp/a.cc '#include "engine/base/clock.h"'
expect_violation clients/bench/a.cc '#include "server/options.h"'
expect_violation notes.txt 'hello'
expect_violation docs/guide.md 'hello'
expect_violation engine/base/long.cc "$(printf '//\\n%.0s' {1..601})"
expect_violation deploy/broken.sh 'if true; then'
expect_violation engine/base/later.cc "// TO""DO: later"

if ((failures > 0)); then exit 1; fi
echo "every violation is noticed"
