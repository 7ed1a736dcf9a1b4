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

#define NAME "minirun_devices" /* tells our filters from those of systemd; fits bpf_attr.prog_name with its NUL */
#define MAX_FILTERS 64         /* BPF_CGROUP_MAX_PROGS of the kernel */

static int load(const void *instructions, unsigned count)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.expected_attach_type = BPF_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)instructions;
	attributes.insn_cnt = count;
	attributes.license = (uint64_t)(uintptr_t) "Apache-2.0"; /* no helper is called that would ask for the GPL */
	memcpy(attributes.prog_name, NAME, sizeof NAME);
	return bpf_call(BPF_PROG_LOAD, &attributes);
}

/* Attaches `program`; in the place of `old`, in one step, unless that is -1. */
static int attach(int cgroup, int program, int old)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	/* Another program above or below (systemd's) stays in force: all of them have to say yes. */
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	if (old >= 0) {
		attributes.attach_flags |= BPF_F_REPLACE;
		attributes.replace_bpf_fd = (uint32_t)old;
	}
	return bpf_call(BPF_PROG_ATTACH, &attributes);
}

static int detach(int cgroup, int program)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	return bpf_call(BPF_PROG_DETACH, &attributes);
}

int mr_bpf_device_attach(int cgroup, const void *instructions, unsigned count)
{
	int program = load(instructions, count);
	if (program < 0)
		return program;
	int result = attach(cgroup, program, -1);
	close(program);
	return result;
}

static int is_ours(int program)
{
	struct bpf_prog_info info;
	union bpf_attr attributes;

	memset(&info, 0, sizeof info);
	memset(&attributes, 0, sizeof attributes);
	attributes.info.bpf_fd = (uint32_t)program;
	attributes.info.info = (uint64_t)(uintptr_t)&info;
	attributes.info.info_len = sizeof info;
	return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0 && strcmp(info.name, NAME) == 0;
}

/* Gives a descriptor of the filter of ours that is attached to this very cgroup, -ENOENT when there is none. */
static int find_ours(int cgroup)
{
	uint32_t ids[MAX_FILTERS];
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.query.target_fd = (uint32_t)cgroup;
	attributes.query.attach_type = BPF_CGROUP_DEVICE;
	attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attributes.query.prog_cnt = MAX_FILTERS;
	int result = bpf_call(BPF_PROG_QUERY, &attributes);
	if (result < 0)
		return result;
	for (uint32_t i = 0; i < attributes.query.prog_cnt && i < MAX_FILTERS; i++) {
		union bpf_attr open;

		memset(&open, 0, sizeof open);
		open.prog_id = ids[i];
		int program = bpf_call(BPF_PROG_GET_FD_BY_ID, &open);
		if (program < 0)
			continue; /* detached meanwhile */
		if (is_ours(program))
			return program;
		close(program);
	}
	return -ENOENT;
}

int mr_bpf_device_replace(int cgroup, const void *instructions, unsigned count)
{
	int old = find_ours(cgroup);
	if (old < 0 && old != -ENOENT)
		return old;
	int result = 0;
	if (count == 0) {
		result = old < 0 ? 0 : detach(cgroup, old);
	} else {
		int program = load(instructions, count);
		result = program < 0 ? program : attach(cgroup, program, old);
		if (program >= 0)
			close(program);
	}
	if (old >= 0)
		close(old);
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
