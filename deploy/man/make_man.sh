#!/usr/bin/env bash
# Prints the man page of a program: what its --help says, and that of its commands, between the parts of NAME.SECTION.
# A page cannot lack a flag that way, nor describe one that is gone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
usage: deploy/man/make_man.sh PROGRAM SECTION VERSION

  PROGRAM  its path; deploy/man/NAME.SECTION has what --help does not say
  SECTION  1 or 8
USAGE
}
if (($# != 3)); then
  usage >&2
  exit 2
fi
program=$1 section=$2 version=$3
name=$(basename "$program")
parts=$here/$name.$section

# Help as troff: text up to "Usage:", headings, a paragraph an option, examples as they are. An option begins
# two columns in, and its text after two blanks or in the next line, further in.
as_troff() {
  awk '
    function escaped(text) {
      gsub(/\\/, "\\e", text)
      gsub(/-/, "\\-", text)
      if (text ~ /^[.\x27]/) text = "\\&" text
      return text
    }
    function finish() { if (open_example) { print ".fi\n.RE"; open_example = 0; blank = 1 } }
    function paragraph() { if (blank && said) print ".PP"; blank = 0; said = 1 }
    /^Usage:/ { usage = $0; next }
    /^[^ ].*:$/ {
      finish()
      heading = substr($0, 1, length($0) - 1)
      example = heading == "Examples"
      if (example) { print ".SS Examples\n.RS 4\n.nf"; open_example = 1 } else print ".SS " escaped(heading)
      in_options = 1
      said = 0
      next
    }
    /^ *$/ { blank = 1; next }
    example && /^  / { print escaped(substr($0, 3)); next }
    in_options && /^  [^ ]/ {
      line = substr($0, 3)
      at = match(line, /  +/)
      label = escaped(at ? substr(line, 1, at - 1) : line)
      # A list of choices may be longer than a line.
      if (label ~ /{/) gsub(/,/, ",\\:", label)
      print ".TP\n.B " label
      if (at) print escaped(substr(line, at + RLENGTH))
      next
    }
    in_options && /^    / { sub(/^ +/, ""); print escaped($0); next }
    { finish(); example = 0; paragraph(); print escaped($0) }
    END { finish() }
  '
}

# The names below "Subcommands:".
commands_of() {
  awk '/^Subcommands:$/ { on = 1; next } /^ *$/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

# The commands of a command, each a section, and theirs.
describe_commands() {
  local command
  while read -r command; do
    printf '.SH "%s"\n' "${*:2} $command" | tr '[:lower:]' '[:upper:]'
    "$program" "${@:3}" "$command" --help | as_troff
    describe_commands "$("$program" "${@:3}" "$command" --help | commands_of)" "${@:2}" "$command"
  done < <(printf '%s' "${1:+$1$'\n'}")
}

# A part of the file that is the program's own: the lines between two of its headings.
part() { awk -v wanted="$1" '/^\.SH / { on = index(wanted, $2) > 0 } on' "$parts"; }

help=$("$program" --help)
date=$(date -u +%F -d "$(sed -n 's/^ -- .*>  //p' "$here/../debian/changelog" | head -n 1)")
printf '.TH %s %s "%s" "ssmd %s" "ssmd"\n.ad l\n' "${name^^}" "$section" "$date" "$version"
part "NAME SYNOPSIS"
printf '.SH DESCRIPTION\n'
as_troff <<<"$help"
describe_commands "$(commands_of <<<"$help")" "$name"
awk '/^\.SH / { on = $2 != "NAME" && $2 != "SYNOPSIS" } on' "$parts"
