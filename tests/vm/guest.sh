#!/bin/bash
# First thing in the virtual machine: make it look like a Debian host that has just booted, then run the tests.
#   guest.sh DIRECTORY      the one directory whose content the host sees
set -uo pipefail
directory=$1
. "$directory/environment"
export MINIRUN_TEST_GUEST=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 HOME=/root
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# An overlay's upper directory can lie neither on 9p nor on the overlay that /var is here.
mkdir -p /var/lib/minirun /run/tests
mount -t tmpfs -o mode=700 tmpfs /var/lib/minirun
mount -t tmpfs -o mode=700,size=1200m tmpfs /run/tests
export TMPDIR=/run/tests

# What is read most is the kernel's to keep: every start of a program reads the same files again, and each read from the host is
# as slow as all that is emulated. The host's side never changes under us but for what is of no use here.
keep_in_memory() {
	mkdir -p /run/kept /run/usr/upper /run/usr/work
	mount -t 9p -o ro,trans=virtio,version=9p2000.L,access=any,msize=512000,cache=loose kept /run/kept &&
		mount --bind "/run/kept$PWD" "$PWD" &&
		mount -t overlay -o lowerdir=/run/kept/usr,upperdir=/run/usr/upper,workdir=/run/usr/work overlay /usr &&
		cd "$PWD"
}
keep_in_memory || { echo "the host's files can't be kept in memory" >&2; exit 1; }

modprobe -a overlay bridge veth nf_tables nft_chain_nat nft_ct nft_masq nft_nat nft_fib_inet 2>/dev/null
ip link set lo up

mapfile -t tests <"$directory/tests"
"$MINIRUN_TEST_PYTHON" -m pytest -p no:cacheprovider -p no:hypothesispytest -p tests.vm.results --basetemp=/run/tests/pytest \
	-o faulthandler_timeout=180 "${tests[@]}"
