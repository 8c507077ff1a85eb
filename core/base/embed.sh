#!/bin/sh
# embed.sh TABLE FILE…: the files as C, a table of struct embedded_file. Run by Meson.
set -eu
printf '#include "base/embedded.h"\n\nextern const struct embedded_file %s[];\n' "$1"
printf 'const struct embedded_file %s[] = {\n' "$1"
shift
for file; do
	printf '\t{"%s",\n' "$(basename "$file")"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t\t"/' -e 's/$/\\n"/' "$file"
	printf '\t},\n'
done
printf '\t{0},\n};\n'
