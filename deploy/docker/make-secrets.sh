#!/usr/bin/env bash
# Makes certificates and tokens to try compose.yaml with, or to test with: a certificate authority of its own
# for each who has to be told from others. For production bring those of your own authorities, under the
# same names.
#
#   front/tls.{crt,key}           what Envoy shows to callers; front/ca.crt is what callers trust
#   clients/ca.crt                whose certificates callers may show (mTLS)
#   client/tls.{crt,key}          such a one, to try it
#   replicas/ca.crt               by whom the replicas' certificates are made
#   replica/tls.{crt,key}         what a replica shows
#   routers/ca.crt                whose certificates the replicas take calls from
#   replica-client/tls.{crt,key}  such a one, of Envoy and Prometheus
#   health/tls.{crt,key}          and of a replica's own health check
#   tokens/tokens                 TOKEN TENANT [admin], for --token-file
#   prometheus/token              the token that Prometheus asks with; it is a tenant without anything
#   grafana/password              of Grafana's user admin
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/docker/make-secrets.sh FOLDER [NAME]

  FOLDER  is made, and must not be there
  NAME    the host name by which callers reach Envoy, beside localhost: localhost unless given
USAGE
}
if [[ $# -lt 1 || $# -gt 2 || $1 == -* ]]; then
  usage >&2
  exit 2
fi
if [[ -e $1 ]]; then
  echo "make-secrets: $1 is there already: remove it to make new ones" >&2
  exit 1
fi
days=365
name=${2:-localhost}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nobody else on this machine comes into the folder. What is in it is bound into containers, whose users
# have other numbers.
umask 022
mkdir -m 700 "$1"
cd "$1"

make_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1"; }

# FOLDER COMMON_NAME: an authority, whose key is gone when this script ends.
make_authority() {
  mkdir -p "$1"
  make_key "$work/$1.key"
  openssl req -x509 -new -key "$work/$1.key" -days "$days" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign \
    -out "$1/ca.crt"
}

# FOLDER AUTHORITY COMMON_NAME serverAuth|clientAuth SUBJECT_ALTERNATIVE_NAMES
make_certificate() {
  local folder=$1 authority=$2 common_name=$3 usage=$4 names=$5
  mkdir -p "$folder"
  make_key "$folder/tls.key"
  openssl req -new -key "$folder/tls.key" -subj "/CN=$common_name" -out "$work/request"
  openssl x509 -req -in "$work/request" -CA "$authority/ca.crt" -CAkey "$work/$authority.key" \
    -CAcreateserial -CAserial "$work/serial" -days "$days" -out "$folder/tls.crt" -extfile <(
      printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
        "extendedKeyUsage=$usage" "subjectAltName=$names"
    ) 2>/dev/null
}

make_token() { openssl rand -hex 24; }

make_authority front "ssmd front"
make_certificate front front "$name" serverAuth "DNS:$name,DNS:localhost,IP:127.0.0.1,IP:::1"
make_authority clients "ssmd clients"
make_certificate client clients "a client" clientAuth "DNS:client"
make_authority replicas "ssmd replicas"
make_certificate replica replicas ssmd serverAuth "DNS:ssmd,DNS:localhost,IP:127.0.0.1"
make_authority routers "ssmd routers"
make_certificate replica-client routers "ssmd front" clientAuth "DNS:ssmd-front"
make_certificate health routers "ssmd health" clientAuth "DNS:ssmd-health"

mkdir tokens prometheus grafana
prometheus=$(make_token)
{
  echo "$(make_token) demo"
  echo "$(make_token) operator admin"
  echo "$prometheus prometheus"
} >tokens/tokens
printf '%s' "$prometheus" >prometheus/token
printf '%s' "$(make_token)" >grafana/password
chmod 444 tokens/tokens prometheus/token grafana/password ./*/tls.key
