#!/bin/sh
# An installed tree works by itself: program, library, header, pkg-config, manual page, completion.
. "${0%/*}/lib.sh"
prefix=$work/prefix
cmake --install "$XENON_BUILD" --prefix "$prefix" >"$work/out" 2>&1 || { fail "cmake --install"; finish; }
: >"$work/out"
for file in bin/xenon include/xenon/xenon.h share/man/man1/xenon.1 share/bash-completion/completions/xenon \
    share/zsh/site-functions/_xenon share/fish/vendor_completions.d/xenon.fish lib/systemd/system/xenon.service; do
    [ -s "$prefix/$file" ] || fail "not installed: $file"
done
package=$(find "$prefix" -name xenon.pc)
[ -n "$package" ] || { fail "not installed: xenon.pc"; finish; }
library=$(cd "${package%/*}/.." && pwd)
[ -e "$library/libxenon.so" ] && [ -e "$library/libxenon.a" ] || fail "no libraries in $library"
if [ -e "$XENON_SOURCE/models/xenon-default-q8_0.gguf" ]; then
    [ -s "$prefix/share/xenon/models/xenon-default-q8_0.gguf" ] || fail "the default model is not installed"
fi

# Only the public header's names are exported, and all of them.
nm -D --defined-only "$library/libxenon.so" | awk '{print $3}' | sed 's/@.*//' | sort >"$work/exported"
# Sanitizers and coverage put symbols of their own into every library.
[ -n "$XENON_INSTRUMENTED" ] || {
    checks=$((checks + 1))
    grep -v '^xenon_' "$work/exported" >"$work/out" && fail "libxenon.so exports other names"
    : >"$work/out"
}
grep -oE '\bxenon_[a-z_]+\(' "$XENON_SOURCE/include/xenon/xenon.h" | tr -d '(' | sort -u >"$work/mentioned"
sed -n 's/^XENON_API.*\b\(xenon_[a-z_]*\)(.*/\1/p' "$XENON_SOURCE/include/xenon/xenon.h" | sort >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 30 ] || fail "few declarations found in xenon.h"
for name in $(cat "$work/declared"); do
    grep -qx "$name" "$work/exported" || fail "libxenon.so lacks $name"
done

# The header alone, in C99 and C++ where there is a compiler.
export PKG_CONFIG_PATH="${package%/*}"
flags=$(pkg-config --cflags --libs xenon) || fail "pkg-config"
here=$XENON_SOURCE/tests/cli
# shellcheck disable=SC2086 # flags are words
compile() { # what command...
    checks=$((checks + 1))
    shift_what=$1
    shift
    "$@" $flags $XENON_LINK_FLAGS -Wl,-rpath,"$library" >"$work/out" 2>&1 || fail "$shift_what does not compile"
    : >"$work/out"
}
compile "the header in C99" ${CC:-cc} -std=c99 -pedantic -Wall -Wextra -Werror "$here/header.c" -o "$work/header"
"$work/header" || fail "the program that includes the header fails"
if command -v ${CXX:-c++} >/dev/null; then
    compile "the header in C++" ${CXX:-c++} -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror "$here/header.c" -o "$work/header"
    "$work/header" || fail "the C++ program that includes the header fails"
fi
compile "the example" ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror "$XENON_SOURCE/examples/chat.c" -o "$work/chat"

# The example answers; the installed program runs. The installed default model where there is one.
model=$prefix/share/xenon/models/xenon-default-q8_0.gguf
[ -e "$model" ] || model=$XENON_SHARED/models/qwen3
[ -e "$model" ] || { echo "no model to run the example with"; finish; }
printf 'Hello\nAgain\n' | "$work/chat" "$model" 8 >"$work/out" 2>"$work/err" || fail "the example fails"
[ "$(wc -l <"$work/out")" -ge 2 ] || fail "the example answers too little"
XENON=$prefix/bin/xenon
run run "$model" Hello -n 4
expect_status 0
if [ -e "$prefix/share/xenon/models/xenon-default-q8_0.gguf" ]; then
    run run "Once upon a time" -n 4
    expect_status 0
fi
finish
