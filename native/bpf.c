/* bpf.c: the device filter of a cgroup. The program is made by minirun/runtime/devices.py. bpf(2). */
#define _GNU_SOURCE
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf_call(int command, union bpf_attr *attributes)
{
	long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
	return result < 0 ? -errno : (int)result;
}

int mr_bpf_device_attach(int cgroup, const void *instructions, unsigned count)
{
	union bpf_attr load, attach;

	memset(&load, 0, sizeof load);
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.expected_attach_type = BPF_CGROUP_DEVICE;
	load.insns = (uint64_t)(uintptr_t)instructions;
	load.insn_cnt = count;
	load.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* no helper is called that would ask for the GPL */
	memcpy(load.prog_name, "minirun_devices", sizeof "minirun_devices");
	int program = bpf_call(BPF_PROG_LOAD, &load);
	if (program < 0)
		return program;

	memset(&attach, 0, sizeof attach);
	attach.target_fd = (uint32_t)cgroup;
	attach.attach_bpf_fd = (uint32_t)program;
	attach.attach_type = BPF_CGROUP_DEVICE;
	/* Another program above or below (systemd's) stays in force: all of them have to say yes. */
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	int result = bpf_call(BPF_PROG_ATTACH, &attach);
	close(program);
	return result;
}

int mr_bpf_device_count(int cgroup)
{
	union bpf_attr query;

	memset(&query, 0, sizeof query);
	query.query.target_fd = (uint32_t)cgroup;
	query.query.attach_type = BPF_CGROUP_DEVICE;
	int result = bpf_call(BPF_PROG_QUERY, &query);
	return result < 0 ? result : (int)query.query.prog_cnt;
}
