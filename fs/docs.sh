#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tables of docs/filesystem.md: `docs.sh check|write PRINTER FILE`.
set -eu
mark='<!-- printed by filesystem-docs from here on -->'
new=$(mktemp)
trap 'rm -f "$new"' EXIT
{ sed "/^$mark\$/q" "$3"; echo; "$2"; } >"$new"
case $1 in
write) cat "$new" >"$3" ;;
check)
    diff -u "$3" "$new" && exit
    echo "docs/filesystem.md is old: run ninja -C build docs"
    exit 1
    ;;
esac
