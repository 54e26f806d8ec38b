#!/usr/bin/env bash
# Whether clang-format would leave all C files as they are. Versions lay some code out differently; the sources follow 14,
# Debian 12's. Exit status: 0 they are laid out; 1 some are not (named); 77 there is no such version here.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
git rev-parse --git-dir >/dev/null 2>&1 || { echo "skipped: no git checkout"; exit 77; }
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "skipped: no clang-format"; exit 77; }
case $("$tool" --version) in
*"version 14."*) ;;
*) echo "skipped: wants clang-format 14, found $("$tool" --version)"; exit 77 ;;
esac
git ls-files -z '*.c' '*.h' | xargs -0 "$tool" --dry-run -Werror || exit 1
