#!/usr/bin/env bash
# The man pages of a build have every flag of their programs' --help, of every command, and no other; and
# mandoc reads them without complaint, where it is installed.
#
# usage: man_test.sh BUILD
set -euo pipefail
build=$1

failed=0
complain() {
  echo "$*"
  failed=1
}

# The flags that are described in help: where an option begins.
flags_of_help() { sed -nE 's/^  ((-[a-zA-Z0-9],)*--[a-z0-9-]+).*/\1/p' | tr ',' '\n'; }
commands_of_help() { sed -n '/^Subcommands:/,/^ *$/s/^  \([a-z][a-z-]*\).*/\1/p'; }
flags_of_page() {
  sed -n '/^\.TP/ { n; s/\\-/-/gp }' "$1" | sed -nE 's/^\.B ((-[a-zA-Z0-9],)*--[a-z0-9-]+).*/\1/p' | tr ',' '\n'
}

# Those of a program and of all its commands, as often as they occur.
all_flags() {
  local help command
  help=$("$@" --help)
  flags_of_help <<<"$help"
  for command in $(commands_of_help <<<"$help"); do all_flags "$@" "$command"; done
}

compare() {
  { diff <(all_flags "$1" | sort) <(flags_of_page "$2" | sort) || true; } | sed -n 's/^</not in the page:/p; s/^>/not in --help:/p'
}

for page in ssmd.8 ssmctl.1 ssmd-bench.1; do
  file=$build/deploy/man/$page
  program=$build/bin/${page%.*}
  [[ -s $file ]] || { complain "$page is not there" && continue; }
  count=$(all_flags "$program" | wc -l)
  ((count > 20)) || complain "$page: only $count flags in --help"
  difference=$(compare "$program" "$file")
  [[ -z $difference ]] || complain "$page: $difference"
  for section in NAME SYNOPSIS DESCRIPTION "\"SEE ALSO\""; do
    grep -q "^\.SH $section" "$file" || complain "$page has no section $section"
  done
  # A flag that is lost is noticed.
  lost=$(mktemp)
  sed '0,/^\.B .*\\-\\-json/{/^\.B .*\\-\\-json/d}; 0,/^\.B .*\\-\\-help/{/^\.B .*\\-\\-help/d}' "$file" >"$lost"
  [[ -n $(compare "$program" "$lost") ]] || complain "$page: the comparison notices nothing"
  rm "$lost"
  if command -v mandoc >/dev/null; then
    said=$(mandoc -T lint -W warning "$file") || complain "$page: $said"
  fi
  echo "$page: $count flags"
done
((failed == 0))
