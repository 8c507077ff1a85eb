# The `bench` command: tests/bench, measured on the plain build.
# shellcheck shell=bash

bench_packages=(wrk sqlite3 git redis-tools)
instruction_packages=(valgrind)

# Watchers are connections, and both ends are here.
need_open_files() {
	[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge "$1" ] || ulimit -n "$1" 2>/dev/null ||
		echo "packaging/dev: ulimit -n is $(ulimit -n) and cannot be raised to $1: the bench 'watch' will fail" >&2
}

# The figures that the test of the instructions compares with.
record_instructions() {
	need_unit
	need "to count instructions" "${instruction_packages[@]}"
	need_node
	compile_plain
	STAGELINE_BUILD=$build node tests/bench/instructions.mjs
}

bench() {
	if [ "${1:-}" = --record-instructions ]; then
		record_instructions
		return
	fi
	need_unit
	need "for the benches" "${bench_packages[@]}"
	need_node
	compile_plain
	need_open_files 12000
	STAGELINE_BUILD=$build node --test-reporter=spec --test-reporter-destination=/dev/null \
		tests/bench/bench.mjs "$@"
}
