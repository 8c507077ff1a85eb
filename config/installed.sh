#!/bin/sh
# installed.sh FILE STATE-FOLDER: the host's file as it is installed, with its data where a system keeps them. Run by
# Meson.
set -eu
grep -q '^#data: \./data$' "$1"
sed -e 's|config/stageline\.yaml|/etc/stageline/stageline.yaml|' -e "s|^#data: \./data\$|data: $2|" \
	-e 's|^# Folder of the journal.*|# Folder of the journal, made when it is missing.|' "$1" |
	sed -e "/^# Folder of the journal/s| The default.*||"
