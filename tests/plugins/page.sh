#!/bin/sh
# Compiles the stage of the authors' page as a reader would, against the header alone, and lets the test
# program ($4) load and run it.  Usage: page.sh README.md stage.h CC PROGRAM
set -eu
umask 022
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/stageline"
cp "$2" "$folder/stageline/stage.h"
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$1" >"$folder/gift.c"
lines=$(wc -l <"$folder/gift.c")
if [ "$lines" -ge 60 ]; then
	echo "the page's stage has $lines lines" >&2
	exit 1
fi
$3 -shared -fPIC -Wl,-z,defs -Wall -Wextra -Werror -I"$folder" \
	-o "$folder/gift.so" "$folder/gift.c"
STAGELINE_TEST_PAGE=$folder "$4"
