#!/bin/bash
# Turns a fresh Debian machine into one that runs containers: what the Vagrantfile's virtual machine gets, and good for any other.
#
#   provision.sh [CHECKOUT]      as root; CHECKOUT is where this repository lies (default: beside this script)
#
# Safe to run again. The checkout may be a shared, read-only folder of another system: it is copied before anything is built.
set -euo pipefail

checkout=$(cd "${1:-$(dirname "$0")}" && pwd)
copy=/usr/local/src/minirun
export DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" != 0 ]; then
	echo "provision: run this as root" >&2
	exit 1
fi

command -v make >/dev/null || { apt-get -q -y update && apt-get -q -y install --no-install-recommends make; } >/dev/null

# Only what the build reads. Times are kept, so that make knows what changed since the last time.
mkdir -p "$copy"
for part in Makefile pyproject.toml setup.py README.md LICENSE minirun native rootfs-fixtures; do
	rm -rf "${copy:?}/$part"
	cp -a --no-preserve=ownership "$checkout/$part" "$copy/$part"
done
find "$copy" \( -name __pycache__ -o -name '*.so' -o -name minirun-monitor \) -prune -exec rm -rf {} +

make -C "$copy" install images

# Containers route packets: the modules are loaded at boot, before anybody needs them.
printf '%s\n' overlay bridge veth nf_tables >/etc/modules-load.d/minirun.conf

echo "ready: minirun run --rm hello-world"
