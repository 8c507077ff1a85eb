#!/usr/bin/env bash
# page.sh STAGELINE PAGE STAGE.H [PLUGIN…]: prints the page, with what the program and its header say of themselves in
# place of lines such as `.\" @commands`. Run by Meson.
set -euo pipefail
stageline=$1 page=$2 header=$3
shift 3
plugins=("$@")

# Text as it stands, for roff.
literally() {
	sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
}

# names WORD: the first words of the lines below the line `WORD:`.
names() {
	awk -v heading="$1:" '$0 == heading { is_in = 1; next } is_in && !NF { exit } is_in { print $1 }'
}

# command NAME…: what it says of itself, then its actions.
command() {
	local help action
	help=$("$stageline" "$@" --help)
	printf '.Ss stageline %s\n.Bd -literal\n' "$*"
	literally <<<"$help"
	printf '.Ed\n'
	[ $# = 1 ] || return 0
	for action in $(names Actions <<<"$help"); do
		command "$1" "$action"
	done
}

all_commands() {
	local name
	for name in $("$stageline" help | names Commands); do
		[ "$name" = version ] || command "$name"
	done
}

all_plugins() {
	local plugin
	for plugin in "${plugins[@]}"; do
		"$stageline" manual plugin "$plugin"
	done
}

# constants PREFIX: the #defines of the header with their comments, as items of a list.
constants() {
	sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$header" |
		sed -nE "s,^#define[[:space:]]+(($1)[A-Z_]*)[[:space:]]+[0-9a-fx]+u?[[:space:]]+/\* (.*) \*/\$,\1 \3,p" |
		literally | sed -E 's/^([A-Z_]+) (.*)$/.It Dv \1\n\2/'
}

# members STRUCT: its comments as paragraphs, its members as they stand.
members() {
	awk -v name="struct $1 {" '
		function close_code() { if (is_code) print ".Ed"; is_code = 0 }
		$0 == name { is_in = 1; next }
		is_in && /^};/ { exit }
		!is_in || !NF { next }
		{
			line = $0
			gsub(/\\/, "\\e", line)
			gsub(/-/, "\\-", line)
			sub(/^[ \t]+/, "", line)
		}
		!is_comment && line ~ /^\/\*/ { close_code(); print ".Pp"; is_comment = 1; sub(/^\/\* */, "", line) }
		is_comment {
			is_last = line ~ /\*\/$/
			sub(/^\* ?/, "", line); sub(/ *\*\/$/, "", line)
			gsub(/\. /, ".\n", line); gsub(/\.\) /, ".)\n", line) # each sentence on a line of its own
			print line
			if (is_last) is_comment = 0
			next
		}
		{ if (!is_code) print ".Bd -literal -offset indent"; is_code = 1; gsub(/\t/, " ", line); print line }
		END { close_code() }' "$header"
}

while IFS= read -r line; do
	case $line in
		'.\" @commands') all_commands ;;
		'.\" @plugins') all_plugins ;;
		'.\" @manual '*) "$stageline" manual "${line##* }" ;;
		'.\" @constants '*) constants "${line##* }" ;;
		'.\" @members '*) members "${line##* }" ;;
		'.\" @'*) echo "$page: $line?" >&2; exit 1 ;;
		*) printf '%s\n' "$line" ;;
	esac
done <"$page"
