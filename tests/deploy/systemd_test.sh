#!/usr/bin/env bash
# The unit as it is installed: systemd reads it without complaint, with each drop-in as well, its sandbox scores
# less than 3, and its options are those of ssmd. Skips (77) where there is no systemd-analyze.
#
# usage: systemd_test.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
most_exposure=29 # of 100

if ! command -v systemd-analyze >/dev/null; then
  echo "Skipped: there is no systemd-analyze"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "$*"
  exit 1
}

DESTDIR=$work cmake --install "$build" --component system --prefix /usr >/dev/null
installed=$work/lib/systemd/system/ssmd.service
toml=$work/etc/ssmd/ssmd.toml

# For verify everything has to be where the unit says: here that is the build.
units=$work/units
mkdir "$units"
sed "s|^ExecStart=/usr/bin/ssmd|ExecStart=$build/bin/ssmd|" "$installed" >"$units/ssmd.service"
grep -q "^ExecStart=$build" "$units/ssmd.service" || fail "ExecStart is not as it was: $(grep ExecStart "$installed")"

check() {
  local said
  said=$(systemd-analyze verify --man=no "$units/ssmd.service" 2>&1) || fail "$1: verify: $said"
  [[ -z $said ]] || fail "$1: verify: $said"
  said=$(systemd-analyze security --no-pager --offline=yes --threshold="$most_exposure" --root="$work" ssmd.service) ||
    fail "$1: $(tail -n 1 <<<"$said"), and at most $most_exposure tenths are allowed"
  echo "$1: $(tail -n 1 <<<"$said" | grep -oE '[0-9.]+ [A-Z]+')"
}

check "the unit"
mkdir "$installed.d" "$units/ssmd.service.d"
for drop_in in gpu credentials; do
  cp "$work/usr/share/doc/ssmd/systemd/$drop_in.conf" "$installed.d/"
  cp "$work/usr/share/doc/ssmd/systemd/$drop_in.conf" "$units/ssmd.service.d/"
  check "with $drop_in.conf"
  rm "$installed.d/$drop_in.conf" "$units/ssmd.service.d/$drop_in.conf"
done

# These would pass a check that looks at nothing.
echo "NoSuchSetting=yes" >"$units/ssmd.service.d/wrong.conf"
sed -i '1i [Service]' "$units/ssmd.service.d/wrong.conf"
! (check "wrong" >/dev/null) || fail "a setting that there is not is not noticed"
printf '[Service]\nCapabilityBoundingSet=~\nProtectSystem=no\nPrivateUsers=no\nSystemCallFilter=\nNoNewPrivileges=no\n' >"$installed.d/open.conf"
rm "$units/ssmd.service.d/wrong.conf"
! (check "open" >/dev/null) || fail "a sandbox that is open is not noticed"
rm "$installed.d/open.conf"

# The options, those that are commented out as well.
help=$("$build/bin/ssmd" --help)
options=$(sed -nE 's/^#?([a-z][a-z-]+) = .*/\1/p' "$toml" | sort -u)
[[ $(wc -l <<<"$options") -ge 8 ]] || fail "there are hardly any options in ssmd.toml: $options"
for option in $options; do
  grep -qE "^  --$option " <<<"$help" || fail "ssmd.toml has $option, which is no flag"
done
status=0
said=$("$build/bin/ssmd" --config "$toml" --model /there/is/no/such/model --state-dir "$work/state" --cache-dir "$work/cache" 2>&1) || status=$?
((status == 1)) && [[ $said == */there/is/no/such/model* ]] || fail "ssmd does not take ssmd.toml: $said"

# What ends has the time for it.
value() { sed -nE "s/^$1 ?= ?\"?([0-9]+).*/\1/p" "$2"; }
drain=$(value drain-timeout "$toml")
stop=$(value TimeoutStopSec "$installed")
((stop >= drain + 5)) || fail "TimeoutStopSec=$stop is short for drain-timeout = $drain"

# A file of the operator's is kept, and another prefix has its own paths.
echo "# mine" >"$toml"
DESTDIR=$work cmake --install "$build" --component system --prefix /usr >/dev/null 2>&1
[[ $(cat "$toml") == "# mine" ]] || fail "installing again overwrote $toml"
cmake --install "$build" --component system --prefix "$work/opt" >/dev/null
grep -q "^ExecStart=$work/opt/bin/ssmd --config=$work/opt/etc/ssmd/ssmd.toml" "$work/opt/lib/systemd/system/ssmd.service" ||
  fail "the unit of another prefix has other paths"
