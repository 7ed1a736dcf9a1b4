# bootstrap.sh: a minimal Debian with some packages, as a tar archive. Sourced by the recipes that need one.
#
#   bootstrap OUTPUT [PACKAGE...] [-- MMDEBSTRAP_OPTION...]
#
# Release, mirrors and proxy are those of this machine, read from its apt configuration. Documentation, translations and
# package lists stay out: they are half of the bytes and nobody reads them in a test.

bootstrap() {
	local output=$1 release source include=
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		include=${include:+$include,}$1
		shift
	done
	[ $# -eq 0 ] || shift

	command -v mmdebstrap >/dev/null || { echo "mmdebstrap is missing: apt-get install mmdebstrap" >&2; return 1; }
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	for source in /etc/apt/sources.list.d/{debian,ubuntu}.sources /etc/apt/sources.list; do
		[ -s "$source" ] && break
	done

	apt-config dump | grep -E '^Acquire::(http|https)::[^ ]+ "[^"]+";$' >apt.conf || true
	mmdebstrap --quiet --variant=minbase --format=tar --aptopt="$PWD/apt.conf" \
		${include:+--include="$include"} \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
		--customize-hook='rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf' \
		"$@" "$release" "$output" "$source"
}
