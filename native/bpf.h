/* bpf.h: the little that minirun asks of bpf(2). */
#ifndef MINIRUN_BPF_H
#define MINIRUN_BPF_H

#include <stddef.h>

/* python: begin */
/* Loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE (count instructions, 8 bytes each) and attaches it to the cgroup
 * directory; the kernel frees it with the cgroup. 0 or -errno. Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN. */
int mr_bpf_device_attach(int cgroup, const void *instructions, unsigned count);
/* The same in the place of the one that this function's neighbour attached to this very cgroup: in one step, never a moment
 * without (BPF_F_REPLACE, kernel 5.6). Without an old one it attaches; with count 0 it takes the old one away. */
int mr_bpf_device_replace(int cgroup, const void *instructions, unsigned count);
/* How many device filters are attached to this very cgroup directory, or -errno. */
int mr_bpf_device_count(int cgroup);
/* python: end */

#endif
