#!/bin/sh
# Installs the packages of tools/packages.txt (and of each further list named as an argument) that are missing.
# Says nothing and needs no network where all are there. apt-get runs through sudo where the user is not root.
set -eu
here=$(dirname "$0")
command -v dpkg-query >/dev/null 2>&1 || {
    echo "setup: this is no Debian or Ubuntu; install the counterparts of the packages in $here/packages.txt yourself" >&2
    exit 0
}
missing=
for package in $(cat "$here/packages.txt" "$@" | sed 's/#.*//'); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "setup: installing$missing"
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "setup: not root and no sudo; as root run: apt-get install$missing" >&2
        exit 1
    }
    sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list is meant to split into words
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
