#!/bin/sh
# embed.sh FILE…: the files as C, the table `template_files` of template.h. Run by Meson.
set -eu
printf '#include "cli/template.h"\n\nconst struct template_file template_files[] = {\n'
for file; do
	printf '\t{"%s",\n' "$(basename "$file")"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t\t"/' -e 's/$/\\n"/' "$file"
	printf '\t},\n'
done
printf '\t{0},\n};\n'
