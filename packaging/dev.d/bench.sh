# The `bench` command: tests/bench, measured on the plain build.
# shellcheck shell=bash

bench_packages=(wrk sqlite3 git)

# Watchers are connections, and both ends are here.
need_open_files() {
	[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge "$1" ] || ulimit -n "$1" 2>/dev/null ||
		echo "packaging/dev: ulimit -n is $(ulimit -n) and cannot be raised to $1: the bench 'watch' will fail" >&2
}

bench() {
	need_unit
	need "for the benches" "${bench_packages[@]}"
	need_node_modules
	compile_plain
	need_open_files 12000
	STAGELINE_BUILD=$build node --test-reporter=spec --test-reporter-destination=/dev/null \
		tests/bench/bench.mjs "$@"
}
