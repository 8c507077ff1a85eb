# The `bench` command: tests/bench, measured on the plain build.
# shellcheck shell=bash

bench_packages=(wrk sqlite3 git)

bench() {
	need_unit
	need "for the benches" "${bench_packages[@]}"
	need_node_modules
	compile_plain
	STAGELINE_BUILD=$build node --test-reporter=spec --test-reporter-destination=/dev/null \
		tests/bench/bench.mjs "$@"
}
