#!/bin/sh
# unit.sh UNIT HARDENING BINDIR SYSCONFDIR: the unit with its places filled in. Run by Meson.
set -eu
sed -e "/^@HARDENING@$/{
r $2
d
}" "$1" | sed -e "s|@BINDIR@|$3|g" -e "s|@SYSCONFDIR@|$4|g"
