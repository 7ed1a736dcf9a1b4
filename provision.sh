#!/bin/bash
# Turns a fresh Debian machine into one that runs containers: what the Vagrantfile's virtual machine gets, and good for any other.
#
#   provision.sh [CHECKOUT [USER]]
#
# CHECKOUT is where this repository lies (default: beside this script); it may be a shared, read-only folder of another system,
# so what the build reads is copied first. USER may call minirun without typing sudo; that makes USER as good as root here, which
# Vagrant's user is anyway. To be run as root, as often as one likes.
set -euo pipefail

checkout=$(cd "${1:-$(dirname "$0")}" && pwd)
user=${2:-}
copy=/usr/local/src/minirun
export DEBIAN_FRONTEND=noninteractive

main() {
	[ "$(id -u)" = 0 ] || { echo "provision: run this as root" >&2; exit 1; }
	[ -n "$(type -P make)" ] || install_package make
	copy_sources
	make -C "$copy" install images
	load_modules_at_boot
	[ -z "$user" ] || become_root_by_itself
	echo "ready: minirun run --rm hello-world"
}

install_package() {
	apt-get -q -y update >/dev/null
	apt-get -q -y install --no-install-recommends "$@" >/dev/null
}

# Times are kept, so that make knows what changed since the last time; compiled things of another system are not wanted.
copy_sources() {
	local parts=(Makefile pyproject.toml setup.py README.md LICENSE minirun native packaging rootfs-fixtures)
	mkdir -p "$copy"
	for part in "${parts[@]}"; do
		rm -rf "${copy:?}/$part"
	done
	tar -C "$checkout" -c --exclude=__pycache__ --exclude='_native*.so' --exclude='_native*.c' --exclude='*.o' \
		--exclude=minirun-monitor --exclude=minirun-spawn \
		"${parts[@]}" |
		tar -C "$copy" -x --no-same-owner
}

load_modules_at_boot() {
	mkdir -p /etc/modules-load.d
	printf '%s\n' overlay bridge veth nf_tables >/etc/modules-load.d/minirun.conf
}

# In place of the link that `make install` puts there. sudo keeps the directory; -E keeps the environment for `-e NAME`.
become_root_by_itself() {
	local real=/usr/local/lib/minirun/bin/minirun
	[ -n "$(type -P sudo)" ] || install_package sudo
	rm -f /usr/local/bin/minirun
	cat >/usr/local/bin/minirun <<-WRAPPER
		#!/bin/sh
		[ "\$(id -u)" = 0 ] && exec $real "\$@"
		exec sudo -E $real "\$@"
	WRAPPER
	chmod 755 /usr/local/bin/minirun
	printf '%s ALL=(root) NOPASSWD:SETENV: %s\n' "$user" "$real" >/etc/sudoers.d/minirun
	chmod 440 /etc/sudoers.d/minirun
}

main
