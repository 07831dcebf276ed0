#!/usr/bin/env bash
# Runs a compilation by nvcc, whose command line is the arguments, and keeps what ptxas says of each
# kernel's registers and memory in a file beside the object: OBJECT.ptxas (tests/gpu/kernel_resources.sh
# reads it). Everything else that the compiler says is passed on.
set -euo pipefail

object=
for ((i = 1; i < $#; ++i)); do
  [[ ${!i} == -o ]] && next=$((i + 1)) && object=${!next}
done
[[ -n $object ]] || exec "$@"

log=$object.ptxas
status=0
"$@" 2>"$log.partial" || status=$?
# The lines of ptxas, and what it indents below them.
grep -vE '^ptxas info|^ {4}[0-9]+ bytes (stack frame|cumulative)' "$log.partial" >&2 || true
mv "$log.partial" "$log"
exit "$status"
