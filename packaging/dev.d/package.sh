# The `package` command: Debian packages of this tree, as it lies here, in $build/package, and the source package for RPM;
# `package-test` boots a machine with the former.
# shellcheck shell=bash

package_packages=(dpkg-dev debhelper libcunit1-dev xz-utils)
package_lint_packages=(lintian mandoc man-db groff)
rpm_packages=(rpm rpmlint)

package_folder=$build/package

project_version() {
	sed -n "s/^ *version: '\([0-9.]*\)',\$/\1/p" meson.build
}

# unpack DIR VERSION: the tree's own files, with packaging/debian where Debian's tools want it, and the changelog of
# that version.
unpack() {
	local dir=$1 version=$2
	rm -rf "$dir"
	mkdir -p "$dir"
	git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
		tar --null --files-from=- -c | tar -x -C "$dir"
	tar -C "$(dirname "$dir")" --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-01 \
		-cJf "$(dirname "$dir")/stageline_${version%-*}.orig.tar.xz" "$(basename "$dir")"
	cp -a "$dir/packaging/debian" "$dir/debian"
	[ "$version" = "$(changelog_version "$dir")" ] || sed -i "1s/(.*)/($version)/" "$dir/debian/changelog"
}

changelog_version() {
	sed -n '1s/.*(\(.*\)).*/\1/p' "$1/debian/changelog"
}

# make_packages FOLDER VERSION: builds in FOLDER; the log is FOLDER/build.log.
make_packages() {
	local folder=$1 version=$2 source
	source=$folder/stageline-${version%-*}
	mkdir -p "$folder"
	rm -f "$folder"/stageline*.{deb,changes,buildinfo,dsc,xz}
	unpack "$source" "$version"
	echo "Building packages of version $version in ${folder#"$root"/}"
	# Debian's tools change HOME, where a compiler cache would be.
	(cd "$source" && CCACHE_DIR=$(ccache -k cache_dir 2>/dev/null || echo "$folder/ccache") \
		dpkg-buildpackage -us -uc >"$folder/build.log" 2>&1) ||
		{ tail -40 "$folder/build.log" >&2; return 1; }
}

# rpm_source: the source package of packaging/rpm in $build/package/rpm, checked with rpmlint.
rpm_source() {
	local folder=$package_folder/rpm version
	version=$(project_version)
	need "to make the source package for RPM" "${rpm_packages[@]}"
	unpack "$folder/stageline-$version" "$version-1"
	mv "$folder/stageline_$version.orig.tar.xz" "$folder/stageline-$version.tar.xz"
	rm -rf "$folder/stageline-$version" "$folder/SRPMS"
	if ! grep -q "^Version: *$version\$" packaging/rpm/stageline.spec; then
		echo "packaging/dev: packaging/rpm/stageline.spec has not the version of meson.build, $version" >&2
		return 1
	fi
	rpmbuild -bs --quiet --nodeps --define "_topdir $folder" --define "_sourcedir $folder" packaging/rpm/stageline.spec || return 1
	rpmlint --strict -c packaging/rpm/rpmlint.toml packaging/rpm/stageline.spec "$folder"/SRPMS/*.rpm || return 1
	ls "$folder"/SRPMS/*.rpm
}

# package [--nocheck]: without the unit tests, which `packaging/dev test` runs anyway.
package() {
	local version
	need_build
	need "to make packages" "${package_packages[@]}"
	need "to check packages" "${package_lint_packages[@]}"
	version=$(sed -n '1s/.*(\(.*\)).*/\1/p' packaging/debian/changelog)
	if [ "${version%-*}" != "$(project_version)" ]; then
		echo "packaging/dev: packaging/debian/changelog has $version, meson.build $(project_version)" >&2
		return 1
	fi
	[ "${1:-}" != --nocheck ] || export DEB_BUILD_OPTIONS="nocheck ${DEB_BUILD_OPTIONS:-}"
	make_packages "$package_folder" "$version" || return 1
	echo "Checking with lintian"
	lintian --tag-display-limit 0 --allow-root --fail-on error,warning --info "$package_folder"/stageline_*.changes || return 1
	ls "$package_folder"/*.deb
	echo "Checking the source package for RPM with rpmlint"
	rpm_source
}
