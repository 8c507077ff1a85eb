# The `fault` command: tests/fault, and the page of results of its long runs.
# shellcheck shell=bash

# Crash points are built into the sanitizers' tree alone; it shows what memory a death leaves behind, too.
crash_tests=tests/fault/crash.test.mjs

fault_files() {
	local file
	for file in tests/fault/*.test.mjs; do
		[ "$file" = "$crash_tests" ] || echo "$file"
	done
}

# fault_pattern N[,N…]: the tests of those numbers, as their names begin.
fault_pattern() {
	local numbers=${1//,/|}
	[[ $numbers =~ ^[0-9|]+$ ]] || { echo "packaging/dev: --long takes numbers: 1,18" >&2; return 2; }
	echo "/^($numbers)_/"
}

fault() {
	local results pattern='' status=0
	choose_bus "$@" || shift $?
	need_unit
	need "for the fault tests" "${flow_packages[@]}"
	need_node_modules
	compile_plain
	compile_asan
	if [ "${1:-}" = --long ]; then
		export STAGELINE_FAULT=long
		[ $# -lt 2 ] || pattern=$(fault_pattern "$2")
		results=$(mktemp)
		export STAGELINE_RESULTS=$results
	elif [ $# -gt 0 ]; then
		echo "usage: packaging/dev fault [--bus BUS] [--long [N[,N…]]]" >&2
		return 2
	fi
	# shellcheck disable=SC2046 # names without blanks
	node_tests "$build" $(fault_files) || status=$?
	node_tests "$build-asan" "$crash_tests" || status=$?
	[ -z "${results:-}" ] || node tests/lib/results.mjs "$results" tests/fault/RESULTS.md
	[ -z "${results:-}" ] || rm -f "$results"
	return "$status"
}
