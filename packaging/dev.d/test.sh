# The `test` command: parts that run one after the other, whatever became of those before, and one sum.
# Each part ends its output with a line `WORD: N passed, N failed`; a part without that line, or with a bad
# exit and no failure counted, counts as one failure.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
report=()   # one line per part, and under it the names of what failed
failures=() # with their reasons, so that nobody has to look for them in the output of an hour

# part NAME COMMAND…
part() {
	local name=$1 log reasons status=0 start=$SECONDS p=0 f=0 s=0
	shift
	log=$(mktemp)
	printf '\n=== %s\n' "$name"
	# set -e does not reach into a command whose status is tested; the subshell gets it back.
	set +e
	(set -e; "$@") </dev/null 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	set -e
	if [[ $(grep -E '^[a-z0-9]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -1) =~ \
		([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
		p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
	else
		f=1
	fi
	[ "$status" = 0 ] || [ "$f" -gt 0 ] || f=1
	reasons=$(failures_in "$log")
	[ -z "$reasons" ] || failures+=("$reasons")
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	report+=("$(printf '%-4s %-34s %4d passed %3d failed %3d skipped %5ds' \
		"$([ "$f" = 0 ] && echo ok || echo FAIL)" "$name" "$p" "$f" "$s" $((SECONDS - start)))")
	mapfile -t -O ${#report[@]} report < <(sed -n 's/^FAIL /     /p' "$log" | sort -u)
	rm -f "$log"
}

# failures_in LOG: each `FAIL NAME` with the indented lines behind it, once.
failures_in() {
	awk '/^FAIL / { is_in = !seen[$0]++ } !/^(FAIL |     )/ { is_in = 0 } is_in' "$1"
}

sum_up() {
	[ ${#failures[@]} = 0 ] || printf '%s\n' '' 'What failed:' '' "${failures[@]}"
	printf '\n'
	printf '%s\n' "${report[@]}"
	printf '\n%d passed, %d failed%s\n' "$passed" "$failed" \
		"$([ "$skipped" = 0 ] || printf ', %d skipped' "$skipped")"
	[ "$failed" = 0 ]
}

# unit_tests DIR: all unit tests of one build. Meson shows the output of those that failed.
unit_tests() {
	local status=0
	meson test -C "$1" --no-rebuild --suite unit --print-errorlogs --timeout-multiplier 4 || status=$?
	node tests/lib/unit-count.mjs "$1/meson-logs/testlog.json" || status=$?
	return "$status"
}

# [at_once=N] [pattern=P] node_tests BUILD FILE…: N files at a time; of their tests those with such names. Each test has
# its own folder, ports and daemon, and waits longer than it computes; but where time is measured, a file runs alone.
node_tests() {
	local dir=$1 files=() file
	shift
	for file; do
		[ -e "$file" ] && files+=("$file")
	done
	[ ${#files[@]} -gt 0 ] || { echo "no test files in $*" >&2; return 1; }
	mapfile -t files < <(ls -S "${files[@]}") # the largest first, so that none is left over at the end
	STAGELINE_BUILD=$dir node --test --test-concurrency="${at_once:-1}" ${pattern:+--test-name-pattern="$pattern"} \
		--test-reporter="$root/tests/lib/report.mjs" "${files[@]}"
}

# The flow tests that measure or preload something, or start the program hundreds of times; they need the build that people run.
plain_tests=(tests/flow/budget.test.mjs tests/flow/memory.test.mjs tests/flow/completion.test.mjs)

flow_files() {
	local file
	for file in tests/flow/*.test.mjs; do
		[[ " ${plain_tests[*]} " == *" $file "* ]] || echo "$file"
	done
}

# Those that say most of a bus: attempts, deaths, hangs, undoing, stops, load, memory that is short.
# `packaging/dev flow --bus redis` and `packaging/dev fault --bus redis` have all.
redis_tests() {
	local name files=(tests/fault/memory.test.mjs)
	for name in orders recovery restart retry saga hang stop; do
		files+=("tests/flow/$name.test.mjs")
	done
	STAGELINE_BUS=redis node_tests "$1" "${files[@]}"
}

# choose_bus [--bus BUS …]: for the daemons of the tests; returns how many words it took.
choose_bus() {
	[ "${1:-}" = --bus ] || return 0
	[[ ${2:-} =~ ^(memory|redis)$ ]] || { echo "packaging/dev: --bus takes memory or redis" >&2; exit 2; }
	export STAGELINE_BUS=$2
	return 2
}

# flow [--bus BUS] [NAME…]: flow tests on the plain build; the bus is memory or redis.
flow() {
	local files=() name
	choose_bus "$@" || shift $?
	need_unit
	need "for the flow tests" "${flow_packages[@]}"
	need_node_modules
	need_promtool
	compile_plain
	for name; do
		files+=("tests/flow/$name.test.mjs")
	done
	# shellcheck disable=SC2046 # names without blanks
	[ ${#files[@]} -gt 0 ] || files=($(flow_files))
	node_tests "$build" "${files[@]}"
}

# build_part DIR: a build counts as one check, so that a failing one is seen in the sum.
build_part() {
	if "$1"; then
		echo "build: 1 passed, 0 failed"
	else
		echo "build: 0 passed, 1 failed"
		return 1
	fi
}

# promtool alone out of its package: installed, that would start a server.
need_promtool() {
	local tools=$build/tools folder
	export PATH=$PATH:$tools
	command -v promtool >/dev/null && return
	echo "Fetching promtool, to check the metrics"
	folder=$(mktemp -d)
	(cd "$folder" && { apt-get download -q prometheus || { as_root apt-get update -q && apt-get download -q prometheus; }; } &&
		dpkg-deb -x prometheus_*.deb . && install -D usr/bin/promtool "$tools/promtool") >"$folder.log" 2>&1 ||
		{ cat "$folder.log" >&2; rm -rf "$folder" "$folder.log"; return 1; }
	rm -rf "$folder" "$folder.log"
}

run_tests() {
	need_unit
	need "for lint" "${lint_packages[@]}"
	need "for the flow tests" "${flow_packages[@]}"
	need "for the browser tests" "${e2e_packages[@]}"
	need "to count instructions" "${instruction_packages[@]}"
	need_node_modules
	need_promtool

	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
	export UBSAN_OPTIONS=print_stacktrace=1
	export TSAN_OPTIONS=halt_on_error=1:exitcode=99

	part "build: plain" build_part compile_plain
	part "build: ASan+UBSan" build_part compile_asan
	part "build: TSan" build_part compile_tsan
	part "lint" packaging/lint
	at_once=3 part "lint: finds what it should" node_tests "$build" tests/lint/*.test.mjs
	part "unit" unit_tests "$build"
	part "unit: ASan+UBSan" unit_tests "$build-asan"
	part "unit: TSan" unit_tests "$build-tsan"
	# shellcheck disable=SC2046 # names without blanks
	at_once=4 part "flow: ASan+UBSan" node_tests "$build-asan" $(flow_files)
	at_once=3 part "flow and fault: on Redis" redis_tests "$build"
	part "flow: TSan" node_tests "$build-tsan" tests/flow/load.test.mjs
	part "flow: memory and time" node_tests "$build" "${plain_tests[@]}"
	# Half of their time they wait, for a Redis that is away most of all.
	# shellcheck disable=SC2046
	at_once=2 part "fault" node_tests "$build" $(fault_files)
	part "fault: crash points, ASan+UBSan" node_tests "$build-asan" "$crash_tests"
	part "bench: instructions" node_tests "$build" tests/bench/instructions.test.mjs
	at_once=3 part "browser" node_tests "$build" tests/e2e/*.test.mjs
	part "packages on a booted machine" package_test
	sum_up
}
