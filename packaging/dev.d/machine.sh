# The `package-test` command: a Debian 12 with the packages of this tree, booted in systemd-nspawn.
# shellcheck shell=bash

machine_packages=(debootstrap systemd-container dpkg-dev)

# What the machine has besides the packages' own dependencies: a compiler for a stage, Redis for a worker, tools.
machine_include=systemd,systemd-sysv,dbus,apt-utils,gcc,libc6-dev,pkg-config,redis-server,sqlite3,procps
machine_suite=bookworm
machine_boot_s=60
machine_test_s=600

# Whether a machine can be booted here; says why not.
can_boot() {
	local why=
	[ "$(id -u)" = 0 ] || why="only root can boot a machine"
	[ -d /sys/fs/cgroup ] || why="there are no cgroups here"
	unshare --mount --pid --net --fork true 2>/dev/null || why=${why:-"namespaces cannot be made here"}
	[ -z "$why" ] && return
	echo "SKIPPED: $why"
	echo "package: 0 passed, 0 failed, 1 skipped"
	return 1
}

# Where apt takes Debian from.
mirror() {
	apt-get indextargets --format '$(SITE) $(CREATED_BY)' "Suite: $machine_suite" 2>/dev/null | awk '$2 == "Packages" { print $1; exit }'
}

# machine_base DEPENDS: the folder of a root that has all that the packages depend on; made once, for the dependencies
# that they have now.
machine_base() {
	local depends=$1 cache key base
	cache=${STAGELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stageline}
	key=$(sha256sum <<<"$machine_suite $machine_include $depends" | cut -c1-16)
	base=$cache/machine-$key
	if [ ! -e "$base/etc/debian_version" ]; then
		echo "Making a Debian $machine_suite in $base, once" >&2
		mkdir -p "$cache"
		rm -rf "$base.new"
		{ debootstrap --variant=minbase --include="$machine_include" "$machine_suite" "$base.new" "$(mirror)" &&
			chroot "$base.new" apt-get update -q &&
			DEBIAN_FRONTEND=noninteractive chroot "$base.new" apt-get satisfy -y -q --no-install-recommends "$depends" &&
			chroot "$base.new" apt-get clean &&
			chroot "$base.new" systemctl -q disable redis-server; } >"$base.log" 2>&1 ||
			{ tail -20 "$base.log" >&2; return 1; }
		mv "$base.new" "$base"
		rm -f "$base.log"
	fi
	echo "$base"
}

# a_later_package DEB FOLDER: the same package with a higher version.
a_later_package() {
	local deb=$1 folder=$2 files
	files=$(mktemp -d)
	dpkg-deb -R "$deb" "$files"
	sed -i 's/^Version: .*/&+later1/' "$files/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$files" "$folder" >/dev/null
	rm -rf "$files"
}

machine_pid= # of systemd-nspawn

# boot FOLDER: starts the machine and waits for its systemd; $machine_leader is its first process.
boot() {
	local folder=$1 end=$((SECONDS + machine_boot_s)) options=(--register=no)
	[ -d /run/systemd/system ] || options+=(--keep-unit)
	systemd-nspawn -q -D "$folder" "${options[@]}" --machine=stageline-test --private-network --resolv-conf=off \
		--timezone=off --link-journal=no \
		--system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" --console=pipe --boot </dev/null >"$folder.log" 2>&1 &
	machine_pid=$!
	until machine_leader=$(pgrep -P "$machine_pid" | head -1) && [ -n "$machine_leader" ] &&
		inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
		if ! kill -0 "$machine_pid" 2>/dev/null || [ $SECONDS -ge $end ]; then
			echo "packaging/dev: the machine did not boot:" >&2
			tail -20 "$folder.log" >&2
			return 1
		fi
		sleep 0.2
	done
}

inside() {
	nsenter -t "$machine_leader" -m -u -i -n -p -C -- "$@"
}

end_machine() {
	[ -n "$machine_pid" ] || return 0
	inside systemctl poweroff >/dev/null 2>&1 || true
	for _ in $(seq 100); do
		kill -0 "$machine_pid" 2>/dev/null || break
		sleep 0.1
	done
	kill "$machine_pid" 2>/dev/null || true
	rm -rf "$package_folder/machine"
}

# package_test [--no-build]: with the packages that are in build/package.
package_test() {
	can_boot || return 0
	need "to boot a machine" "${machine_packages[@]}"
	need_node
	[ "${1:-}" = --no-build ] || package --nocheck || return 1
	local base status=0 root=$package_folder/machine debs
	debs=("$package_folder"/stageline_*.deb "$package_folder"/stageline-dev_*.deb)
	base=$(machine_base "$(dpkg-deb -f "${debs[0]}" Depends)") || return 1
	rm -rf "$root"
	cp -a --reflink=auto "$base" "$root"
	mkdir -p "$root/packages"
	cp "${debs[@]}" "$root/packages"
	a_later_package "${debs[0]}" "$root/packages"
	trap end_machine EXIT
	boot "$root" || return 1
	STAGELINE_MACHINE=$machine_leader timeout "$machine_test_s" nsenter --net -t "$machine_leader" \
		node --test --test-reporter="$PWD/tests/lib/report.mjs" tests/package/boot.test.mjs || status=$?
	return "$status"
}
