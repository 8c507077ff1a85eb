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

# One file after the other: they measure, and share two cores with the daemons.
fault_tests() {
	local dir=$1 pattern=${FAULT_PATTERN:-}
	shift
	STAGELINE_BUILD=$dir node --test --test-concurrency=1 ${pattern:+--test-name-pattern="$pattern"} \
		--test-reporter="$root/tests/lib/report.mjs" "$@"
}

# fault_pattern N[,N…]: the tests of those numbers, as their names begin.
fault_pattern() {
	local numbers=${1//,/|}
	[[ $numbers =~ ^[0-9|]+$ ]] || { echo "packaging/dev: --long takes numbers: 1,18" >&2; return 2; }
	echo "/^($numbers)_/"
}

fault() {
	local results status=0
	choose_bus "$@" || shift $?
	need_unit
	need "for the fault tests" "${flow_packages[@]}"
	need_node_modules
	compile_plain
	compile_asan
	if [ "${1:-}" = --long ]; then
		export STAGELINE_FAULT=long
		[ $# -lt 2 ] || FAULT_PATTERN=$(fault_pattern "$2")
		results=$(mktemp)
		export STAGELINE_RESULTS=$results
	elif [ $# -gt 0 ]; then
		echo "usage: packaging/dev fault [--bus BUS] [--long [N[,N…]]]" >&2
		return 2
	fi
	# shellcheck disable=SC2046 # names without blanks
	fault_tests "$build" $(fault_files) || status=$?
	fault_tests "$build-asan" "$crash_tests" || status=$?
	[ -z "${results:-}" ] || node tests/lib/results.mjs "$results" tests/fault/RESULTS.md
	[ -z "${results:-}" ] || rm -f "$results"
	return "$status"
}
