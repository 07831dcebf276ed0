#!/usr/bin/env bash
# Checks what the compiler cannot: who includes whom, what the top level holds, how long files are.
# Prints a line per violation, with file and line, and fails if there was one.
#
# usage: layers.sh ROOT
set -euo pipefail
cd "$1"

violations=0
report() {
  printf '%s\n' "$*"
  violations=$((violations + 1))
}

# Libraries by the way they are included, for the rules below.
readonly abseil='absl/'
readonly protobuf='google/protobuf/|ssmd/v1/'
readonly network='grpc|boost/asio|boost/beast|openssl/ssl'
readonly telemetry='prometheus/|spdlog/|fmt/'
readonly programs='CLI/'
readonly others='rapidjson/|pcre2|utf8proc|openssl/|boost/|Eigen/'
# Everything that is ours.
readonly ours='kernels/|engine/|server/|clients/|tests/'

# Every #include line of a folder, as FILE:LINE:PATH.
includes_of() {
  find "$@" -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 -r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' |
    sed -E 's/^([^:]*:[0-9]+):[^<"]*[<"]([^>"]*)[>"].*/\1:\2/'
}

# rule NAME FOLDER FORBIDDEN [EXCEPT]: no file of FOLDER includes a path that starts with FORBIDDEN (an
# extended regular expression), unless it also starts with EXCEPT.
rule() {
  local name=$1 folder=$2 forbidden=$3 except=${4:-} line
  [[ -d $folder ]] || return 0
  while IFS= read -r line; do
    [[ -n $except && ${line#*:*:} =~ ^($except) ]] && continue
    [[ ${line#*:*:} =~ ^($forbidden) ]] && report "$line: $name"
  done < <(includes_of "$folder")
  return 0
}

# A path relative to the including file's folder would pass every rule unseen.
check_relative_includes() {
  local line path
  while IFS= read -r line; do
    path=${line#*:*:}
    [[ $path == ./* || $path == *../* ]] && report "$line: include by the path from the top of the tree"
  done < <(includes_of kernels engine server clients tests)
  return 0
}

check_layers() {
  rule "kernels depend on nothing but the standard library" kernels \
    "$ours|$abseil|$protobuf|$network|$telemetry|$programs|$others" 'kernels/'
  rule "the engine knows no server, client, protobuf, network or metrics" engine \
    "$ours|$protobuf|$network|prometheus/|$programs" 'kernels/|engine/'
  # The device that the engine is made with is named by the flags.
  rule "the server reaches kernels through the engine, and knows no client" server \
    "$ours" 'server/|engine/|kernels/device\.h$'
  rule "clients know only proto/" clients "$ours" 'clients/'

  # Folders of the engine, lowest first: each may include itself and the ones named.
  local engine_folders=(
    "base:fault_point"
    "formats:base"
    "text:base|formats"
    "log:base"
    "state:base|kernels"
    "session:base|log|state"
    "shared:base|log|state|session"
    "models:base|formats|state|kernels"
    "sample:base|state|kernels"
    "schedule:base|formats|text|log|state|session|models|sample|kernels|observer"
  )
  local entry folder allowed
  for entry in "${engine_folders[@]}"; do
    folder=${entry%%:*} allowed=${entry#*:}
    rule "engine/$folder is below what it includes" "engine/$folder" "$ours" \
      "$(allowed_engine_paths "$folder" "$allowed")"
  done
}

# The include paths open to a folder of the engine, as a regular expression.
allowed_engine_paths() {
  local folder=$1 lower=$2 paths="engine/$1/" name
  for name in ${lower//|/ }; do
    case $name in
      kernels) paths+='|kernels/' ;;
      fault_point) paths+='|kernels/fault_point\.h$' ;;
      observer) paths+='|engine/observer\.h$' ;;
      *) paths+="|engine/$name/" ;;
    esac
  done
  printf '%s' "$paths"
}

# protobuf meets engine types in server/convert.* only; the gRPC services carry messages to and fro.
check_protobuf_in_server() {
  local line
  [[ -d server ]] || return 0
  while IFS= read -r line; do
    [[ ${line#*:*:} =~ ^($protobuf) ]] || continue
    [[ $line =~ ^server/(convert[^/]*|grpc/[^/]*|http/api/[^/]*): ]] ||
      report "$line: protobuf belongs in server/convert.*, server/grpc/ and server/http/api/"
  done < <(includes_of server)
}

# The tree as git knows it, or as it lies there where this is no clone.
list_files() {
  git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './build/*' | sed 's|^\./||'
}

check_top_level() {
  local name
  while IFS= read -r name; do
    case $name in
      CMakeLists.txt | CMakePresets.json | LICENSE | README.md | .*) ;;
      proto | server | engine | kernels | clients | deploy | tests) ;;
      *) report "$name: the top level has no place for it" ;;
    esac
  done < <(list_files | cut -d/ -f1 | sort -u)
}

readonly lines_max=600
check_files() {
  local file count
  while IFS= read -r file; do
    [[ -f $file ]] || continue
    case $file in
      *_table.* | *_tables.* | *.json) ;;  # generated
      *.cc | *.h | *.cu | *.cuh | *.py | *.sh | *.proto)
        count=$(wc -l <"$file")
        ((count <= lines_max)) || report "$file: $count lines are more than one idea (at most $lines_max)"
        ;;
    esac
    case $file in
      *.sh | .ci/run) bash -n "$file" 2>/dev/null || report "$file: not valid bash" ;;
    esac
  done < <(list_files)
}

# Work left for later belongs to the tracker.
check_leftovers() {
  local line words='TO''DO|FIX''ME|XX''X|HA''CK'
  while IFS= read -r line; do
    report "$line: finish it, or say it where work is tracked"
  done < <(list_files | grep -E '\.(cc|h|cu|cuh|proto|py|sh|txt|cmake)$' |
    xargs -r -d '\n' grep -HnwE "$words" 2>/dev/null | cut -c1-120)
}

check_layers
check_relative_includes
check_protobuf_in_server
check_top_level
check_files
check_leftovers
if ((violations > 0)); then
  echo "$violations violations"
  exit 1
fi
