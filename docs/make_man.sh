#!/bin/sh
# usage: make_man.sh XENON TEMPLATE > xenon.1
# Writes the manual page: TEMPLATE with the commands as the program's own --help describes them.
set -eu
program=$1 template=$2
version=$("$program" --version | sed 's/.* //')

# One command's help to roff: usage to a heading, indented "word  text" rows to tagged paragraphs, examples as they are.
command_page() {
    "$program" "$1" --help | awk '
        function roff(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); if (s ~ /^[.'"'"']/) s = "\\&" s; return s }
        NR == 1 { sub(/^usage: /, ""); print ".SS \"" roff($0) "\""; next }
        /^options:$/ || /^examples:$/ {
            part = $0
            if (part == "options:") print ".PP"; else print ".PP\nExamples:\n.nf"
            next
        }
        part == "examples:" { if ($0 != "") print roff($0); next }
        /^$/ { next }
        part == "options:" && match($0, /^  +-[^ ].*/) {
            row = substr($0, 3); sub(/^ +/, "", row)
            split_at = match(row, /  +/)
            tag = split_at ? substr(row, 1, split_at - 1) : row
            print ".TP\n.B \"" roff(tag) "\""
            if (split_at) { text = substr(row, split_at); sub(/^ +/, "", text); print roff(text) }
            next
        }
        part == "" && match($0, /^  [a-z_0-9]+  /) {
            row = substr($0, 3)
            split_at = match(row, /  /)
            text = substr(row, split_at); sub(/^ +/, "", text)
            print ".TP\n.B " roff(substr(row, 1, split_at - 1)) "\n" roff(text)
            next
        }
        { sub(/^ +/, ""); print roff($0) }
        END { if (part == "examples:") print ".fi" }'
}

commands=$("$program" --help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
while IFS= read -r line; do
    case $line in
    @COMMANDS@) for command in $commands; do command_page "$command"; done ;;
    *@VERSION@*) printf '%s\n' "${line%%@VERSION@*}$version${line#*@VERSION@}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$template"
