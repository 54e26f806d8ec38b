#!/usr/bin/env bash
# Does what README.md promises on a bare machine: bootstraps a minimal Debian or Ubuntu into a folder, gives it git and make,
# clones this repository's HEAD there, and runs `make demo` and `make test`. Needs root and debootstrap.
# Usage: tools/test_bare.sh [--suite bookworm] [--mirror URL] [--components main] [--folder DIR] [--keep] [--only demo|test]
#   Ubuntu 24.04: --suite noble --mirror http://archive.ubuntu.com/ubuntu --components main,universe
set -euo pipefail
suite=bookworm mirror=http://deb.debian.org/debian components=main folder= keep= only=
while [ $# -gt 0 ]; do
    case $1 in
    --suite) suite=$2; shift ;;
    --mirror) mirror=$2; shift ;;
    --components) components=$2; shift ;;
    --folder) folder=$2; shift ;;
    --only) only=$2; shift ;;
    --keep) keep=1 ;;
    *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift
done
source=$(cd "$(dirname "$0")/.." && pwd)
[ -n "$folder" ] || folder=$(mktemp -d /tmp/xenon-bare.XXXXXX)
[ "$(id -u)" = 0 ] || { echo "test_bare: must be root (debootstrap and chroot)" >&2; exit 1; }

leave() {
    for mount in dev/shm dev/pts dev sys proc; do
        ! mountpoint -q "$folder/$mount" || umount "$folder/$mount" 2>/dev/null || umount -l "$folder/$mount" # what was interrupted may hold it
    done
    [ -n "$keep" ] || rm -rf --one-file-system "$folder"
}
trap leave EXIT
inside() { chroot "$folder" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }

if [ ! -x "$folder/usr/bin/env" ]; then
    debootstrap --variant=minbase --components="$components" "$suite" "$folder" "$mirror"
fi
mkdir -p "$folder/proc" "$folder/sys" "$folder/dev"
mount -t proc proc "$folder/proc"
mount -t sysfs -o ro sysfs "$folder/sys"
mount --bind /dev "$folder/dev"
[ ! -d /dev/pts ] || mount --bind /dev/pts "$folder/dev/pts"
mountpoint -q "$folder/dev/shm" || { mkdir -p "$folder/dev/shm"; mount -t tmpfs tmpfs "$folder/dev/shm"; }
cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
# What a person has who follows the README: git to clone, make to begin.
inside sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends git make ca-certificates' >/dev/null
rm -rf "$folder/root/xenon"
git clone -q --no-local "$source" "$folder/root/xenon"
for target in demo test; do
    [ -z "$only" ] || [ "$only" = "$target" ] || continue
    echo "== make $target ($suite)"
    inside make -C /root/xenon "$target" </dev/null
done
echo "test_bare: $suite passes"
