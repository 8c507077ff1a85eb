# Completion of `stageline` for bash. What there is to complete is read from `--help`, which the program prints from the
# tables that it reads its command line by.

# The actions or commands that a help lists, below "Commands:" or "Actions:".
_stageline_actions() {
	awk '/^(Commands|Actions):$/ { on = 1; next } on && /^$/ { exit } on { print $1 }'
}

# The options that a help lists; with an argument, `--name ARGUMENT`.
_stageline_options() {
	awk '$1 ~ /^--[a-z-]+$/ && /^  --/ { print $1, ($2 ~ /^[\047A-Z]/ ? $2 : "") }'
}

_stageline() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
	local path=() help candidates argument i
	COMPREPLY=()

	# The command and its action: the first words that are no options.
	for ((i = 1; i < COMP_CWORD && ${#path[@]} < 2; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] && break
		path+=("${COMP_WORDS[i]}")
	done
	help=$("$program" "${path[@]}" --help 2>/dev/null) || help=$("$program" "${path[@]:0:1}" --help 2>/dev/null) || return 0

	argument=$(_stageline_options <<<"$help" | awk -v name="$before" '$1 == name { print $2 }')
	if [[ $before == --* && -n $argument ]]; then
		[[ $argument == DIR ]] && mapfile -t COMPREPLY < <(compgen -d -- "$word")
		[[ $argument == FILE ]] && mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return 0
	fi
	if [[ $word == -* ]]; then
		candidates=$(_stageline_options <<<"$help" | awk '{ print $1 }')
	else
		candidates=$(_stageline_actions <<<"$help")
		[[ -n $candidates ]] || { mapfile -t COMPREPLY < <(compgen -f -- "$word"); return 0; }
	fi
	mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}

complete -o filenames -F _stageline stageline
