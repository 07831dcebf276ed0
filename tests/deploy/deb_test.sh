#!/usr/bin/env bash
# The Debian package in a bare Debian 12: made, looked at by lintian, installed by apt, and started there by its
# systemd, in namespaces of its own. The model that comes with it answers; the watchdog ends a daemon that hangs,
# and sessions are there afterwards; tokens and keys come as credentials; an upgrade keeps the options; what is
# removed is gone, and what is purged leaves nothing but a user.
#
# Takes root, debootstrap, and Debian's archive; skips (77) without. Some two minutes.
#
# usage: deb_test.sh BUILD [DEBIAN_ROOT]
#   DEBIAN_ROOT  what debootstrap --variant=minbase made before; it is copied
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
bare=${2:-}
patience_s=60

skip() {
  echo "Skipped: $*"
  exit 77
}
[[ $(id -u) -eq 0 ]] || skip "making a system takes root"
[[ -n $bare ]] || command -v debootstrap >/dev/null || skip "there is no debootstrap (deploy/install-deps.sh --all)"
command -v ip >/dev/null || skip "there is no ip (the package iproute2)"
release=$( (. /etc/os-release && echo "${VERSION_CODENAME:-}") )
[[ $release == bookworm ]] || skip "what is built on $release does not run on Debian 12"

work=$(mktemp -d)
root=$work/root
init=
end() {
  if [[ -n $init ]]; then
    kill -KILL "$init" 2>/dev/null || true
    wait "$init" 2>/dev/null || true
  fi
  rm -rf --one-file-system "$work"
}
trap end EXIT
fail() {
  echo "FAILED: $*"
  [[ -z $init ]] || inside journalctl --no-pager --lines=40 --unit=ssmd || true
  exit 1
}
say() { printf '\n== %s\n' "$*"; }

say "making the package"
for file in bin/ssmd bin/ssmctl bin/ssmd-bench deploy/man/ssmd.8 deploy/man/ssmctl.1 deploy/man/ssmd-bench.1; do
  [[ -s $build/$file ]] || fail "$file is not built in $build"
done
(cd "$build" && cpack -G DEB -B "$work/package") >"$work/cpack.log" 2>&1 || { cat "$work/cpack.log" && fail "cpack"; }
package=$(echo "$work"/package/ssmd_*.deb)
echo "$(basename "$package"): $(stat -c %s "$package") bytes"
dpkg-deb --field "$package" Depends
# The archive's signs that nothing was forgotten: links to libraries are dependencies, and the options are conffiles.
[[ $(dpkg-deb --field "$package" Depends) == *libgrpc++1.51* ]] || fail "gRPC is not among the dependencies"
[[ $(dpkg-deb --ctrl-tarfile "$package" | tar -xO ./conffiles) == /etc/ssmd/ssmd.toml ]] || fail "conffiles"
if command -v lintian >/dev/null; then
  said=$(lintian --fail-on error,warning "$package" 2>&1) || fail "lintian: $said"
  echo "lintian: nothing"
fi

say "a bare Debian 12"
if [[ -n $bare ]]; then
  cp -a "$bare" "$root"
else
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 ||
    { tail -n 3 "$work/debootstrap.log" && skip "debootstrap could not make one: is Debian's archive to be reached?"; }
fi
cp "$package" "$root/ssmd.deb"

# Before it is booted, with this machine's network.
in_root() {
  unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
    env DEBIAN_FRONTEND=noninteractive "$@"
}
say "installing"
in_root apt-get -qq -y install --no-install-recommends /ssmd.deb >"$work/apt.log" 2>&1 || { tail "$work/apt.log" && fail "apt-get install"; }
in_root ssmd --version
in_root getent passwd ssmd >/dev/null || fail "there is no user ssmd"
[[ $(stat -c '%U:%a' "$root/etc/ssmd") == root:750 ]] || fail "/etc/ssmd is for others to look into"
[[ ! -e $root/etc/systemd/system/multi-user.target.wants/ssmd.service ]] || fail "it starts by itself"
said=$(in_root systemd-analyze verify --man=no ssmd.service 2>&1) || fail "verify: $said"
[[ -z $said ]] || fail "verify: $said"
in_root env SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0 systemd-analyze security --no-pager --offline=yes --threshold=29 ssmd.service >"$work/security" ||
  fail "exposure: $(tail -n 1 "$work/security")"
tail -n 1 "$work/security"

say "booting"
# Nothing that wants a terminal or a network.
for unit in systemd-networkd systemd-resolved systemd-timesyncd systemd-logind console-getty; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
boot() {
  unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net sh "$here/booted_root.sh" "$root" >"$work/boot.log" 2>&1 &
  init=$!
  local i
  for ((i = 0; i < patience_s * 10; ++i)); do
    kill -0 "$init" 2>/dev/null || break
    system=$(pgrep -P "$init" 2>/dev/null || true)
    if [[ -n $system ]] && inside systemctl is-system-running >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  cat "$work/boot.log"
  init=
  skip "systemd does not boot in namespaces here; what is above has passed"
}
inside() { timeout "$patience_s" nsenter -t "$system" --mount --pid --cgroup --uts --ipc --net --root --wd "$@"; }
boot

show() { inside systemctl show --property="$1" --value ssmd; }
story() { inside ssmctl "$@" generate --prompt="Once upon a time" --max-tokens=20 --temperature=0; }

say "starting"
inside systemctl start ssmd || fail "it does not start"
[[ $(show ActiveState) == active && $(show StatusText) == "serving tales-2m" ]] || fail "$(show ActiveState): $(show StatusText)"
told=$(story) || fail "no answer"
echo "Once upon a time$told"
((${#told} > 20)) || fail "that is no story"
pid=$(show MainPID)
grep -qE '^CapEff:\s0+$' <(inside cat "/proc/$pid/status") || fail "it has capabilities"
grep -qE '^Seccomp:\s2$' <(inside cat "/proc/$pid/status") || fail "no system calls are filtered"
[[ $(inside stat -c '%U:%a' /var/lib/ssmd) == ssmd:700 ]] || fail "its folder is for others to look into"

say "a daemon that hangs"
session=$(inside ssmctl sessions create --text "Lily had a red ball.")
inside mkdir -p /run/systemd/system/ssmd.service.d
printf '[Service]\nWatchdogSec=2\nRestartSec=100ms\n' | inside tee /run/systemd/system/ssmd.service.d/watchdog.conf >/dev/null
inside systemctl daemon-reload
inside systemctl restart ssmd || fail "it does not start again"
[[ $(show NRestarts) == 0 ]] || fail "it was started again by itself"
inside sh -c "kill -STOP $(show MainPID)"
for ((i = 0; i < patience_s * 10; ++i)); do
  [[ $(show NRestarts) == 0 || $(show ActiveState) != active ]] || break
  sleep 0.1
done
[[ $(show NRestarts) == 1 && $(show ActiveState) == active ]] || fail "the watchdog did not start it again: $(show NRestarts), $(show ActiveState)"
inside ssmctl sessions list | grep -q "$session" || fail "the session is gone"
inside ssmctl generate --session="$session" --prompt=" Then" --max-tokens=5 >/dev/null || fail "the session does not go on"
inside rm /run/systemd/system/ssmd.service.d/watchdog.conf

say "tokens and keys that only root may read, and pinned threads"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -days 2 -keyout "$root/etc/ssmd/tls.key" -out "$root/etc/ssmd/tls.crt" 2>/dev/null
echo "a-token-of-the-test tenant" >"$root/etc/ssmd/tokens"
chmod 600 "$root"/etc/ssmd/{tls.key,tls.crt,tokens}
cp "$root/usr/share/doc/ssmd/systemd/credentials.conf" "$root/etc/systemd/system/ssmd.service.d.conf"
mkdir "$root/etc/systemd/system/ssmd.service.d"
mv "$root/etc/systemd/system/ssmd.service.d.conf" "$root/etc/systemd/system/ssmd.service.d/credentials.conf"
sed -nE 's/^#   ([a-z-]+ = ".*")/\1/p' "$root/usr/share/doc/ssmd/systemd/credentials.conf" >>"$root/etc/ssmd/ssmd.toml"
echo 'pin-threads = true' >>"$root/etc/ssmd/ssmd.toml"
cp "$root/etc/ssmd/tls.crt" "$root/tmp.crt"
inside systemctl daemon-reload
inside systemctl restart ssmd || fail "it does not start with credentials"
if story --tls-ca=/tmp.crt --tls-server-name=localhost >/dev/null 2>&1; then fail "nobody asks for a token"; fi
echo a-token-of-the-test >"$root/token"
story --tls-ca=/tmp.crt --tls-server-name=localhost --token-file=/token >/dev/null || fail "no answer by TLS"

say "options that make no sense"
echo 'no-such-option = 1' >>"$root/etc/ssmd/ssmd.toml"
if inside systemctl restart ssmd 2>/dev/null; then fail "it starts with an option that there is not"; fi
[[ $(show ActiveState) == failed && $(show NRestarts) == 0 ]] || fail "it is tried again and again: $(show ActiveState)"
inside journalctl --no-pager --unit=ssmd | grep -q "ssmd: --config /etc/ssmd/ssmd.toml, line [0-9]*: is not" || fail "the log does not say why"
sed -i '$d' "$root/etc/ssmd/ssmd.toml"
inside systemctl reset-failed ssmd
inside systemctl start ssmd || fail "it does not start again"

say "installing again, which keeps the options, and starts again what ran"
before=$(show MainPID)
inside dpkg --install /ssmd.deb >/dev/null || fail "dpkg --install"
grep -q '^pin-threads' "$root/etc/ssmd/ssmd.toml" || fail "the options were overwritten"
[[ $(show ActiveState) == active && $(show MainPID) != "$before" ]] || fail "it runs on as it was"

say "removing, then purging"
inside dpkg --remove ssmd >/dev/null || fail "dpkg --remove"
! inside sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null | grep -qx ssmd || fail "it still runs"
[[ ! -e $root/usr/bin/ssmd && -e $root/etc/ssmd/ssmd.toml && -d $root/var/lib/ssmd ]] || fail "removed too much or too little"
inside rm -rf /etc/systemd/system/ssmd.service.d /etc/ssmd/tls.key /etc/ssmd/tls.crt /etc/ssmd/tokens
inside dpkg --purge ssmd >/dev/null || fail "dpkg --purge"
left=$(find "$root"/{etc,lib,usr,var} -xdev -name '*ssmd*' | sed "s|^$root||")
[[ -z $left ]] || fail "left behind: $left"
inside systemctl poweroff 2>/dev/null || true
echo "nothing is left"
