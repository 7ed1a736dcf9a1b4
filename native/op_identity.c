/* op_identity.c: users, groups, capabilities, filters: the order of containment's last steps.
 *
 * Owns: giving privileges up. Leaves to others: finding a user by name (user.c), which privileges (the plan).
 *
 * A change from root to another user keeps the capabilities, effective ones too, so that operations after it work as
 * before it; CAPABILITIES then sets what the program gets. Without that operation exec drops them, as it does for any
 * user that isn't root. All calls are raw: glibc's would tell other threads, of which there are none here.
 */
#include "internal.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};

	return mr_result(syscall(SYS_capset, &header, data));
}

/* After a change of user all permitted capabilities are effective again. */
static int raise_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return mr_result(syscall(SYS_capset, &header, data));
}

static void give(int descriptor, uint32_t uid)
{
	if (fchown(descriptor, uid, (gid_t)-1) < 0)
		errno = 0; /* a program that can't reopen its own output is better than none */
}

/* A program of another user opens /dev/stdout, which is /proc/self/fd/1: it has to own the pipe. Only anonymous pipes and
 * the container's own terminal: what else the caller handed in (his terminal, his files) isn't ours to give away. */
static void give_stdio(const struct mr_walk *walk, uint32_t uid)
{
	struct statfs filesystem;
	struct stat status;

	for (int descriptor = 0; descriptor < 3; descriptor++) {
		if (fstat(descriptor, &status) < 0 || status.st_uid == uid)
			continue;
		if (S_ISFIFO(status.st_mode) && fstatfs(descriptor, &filesystem) == 0 && filesystem.f_type == PIPEFS_MAGIC)
			give(descriptor, uid);
		else if (S_ISCHR(status.st_mode) && walk->terminal >= 0)
			give(descriptor, uid);
	}
}

static int become(const struct mr_walk *walk, uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count)
{
	/* (uid_t)-1 means "leave as it is" to the kernel: it must never get here as a number. */
	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return -ERANGE;
	give_stdio(walk, uid);
	if (syscall(SYS_setgroups, count, groups) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0)
		return -errno;
	if (uid == 0)
		return mr_result(syscall(SYS_setresuid, 0, 0, 0));
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	return raise_capabilities();
}

/* spec extra_groups */
MR_ACTION(USER)
{
	struct mr_account account;
	int error = mr_account_find(argument[0].data, mr_vector_of(&argument[1]), &account);

	if (error < 0)
		return error;
	strcpy(walk->home, account.home); /* both PATH_MAX */
	return become(walk, account.uid, account.gid, account.groups, account.group_count);
}

/* uid */
MR_ACTION(HOME)
{
	struct mr_account account;

	if (argument[0].number > UINT32_MAX)
		return -ERANGE;
	mr_account_home((uint32_t)argument[0].number, &account);
	strcpy(walk->home, account.home); /* both PATH_MAX */
	return 0;
}

/* uid gid groups */
MR_ACTION(IDENTITY)
{
	uint32_t groups[MR_GROUPS_MAX];

	if (argument[0].number > UINT32_MAX || argument[1].number > UINT32_MAX)
		return -ERANGE;
	if (argument[2].length % 4 != 0)
		return -EINVAL;
	if (argument[2].length > sizeof groups)
		return -E2BIG;
	memcpy(groups, argument[2].data, argument[2].length);
	return become(walk, (uint32_t)argument[0].number, (uint32_t)argument[1].number, groups, argument[2].length / 4);
}

/* capabilities: a bit set of those that stay. PR_CAPBSET_DROP needs CAP_SETPCAP; EINVAL: past the kernel's last one. */
MR_ACTION(BOUNDING)
{
	(void)walk;
	for (unsigned long capability = 0; capability < 64; capability++) {
		if (argument[0].number >> capability & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return errno == EINVAL && capability > 0 ? 0 : -errno;
	}
	return 0;
}

/* effective permitted inheritable ambient */
MR_ACTION(CAPABILITIES)
{
	int error = set_capabilities(argument[0].number, argument[1].number, argument[2].number);

	(void)walk;
	if (error < 0)
		return error;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (unsigned long capability = 0; capability < 64; capability++)
		if (argument[3].number >> capability & 1)
			if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
				return -errno;
	return 0;
}

MR_ACTION(NO_NEW_PRIVILEGES)
{
	(void)walk, (void)argument;
	return mr_result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static int install_filter(uint64_t flags, const struct mr_argument *filter)
{
	struct sock_fprog program = {
		.len = (unsigned short)(filter->length / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)filter->data,
	};

	if (filter->length == 0 || filter->length % sizeof(struct sock_filter) != 0 ||
	    filter->length / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return -EINVAL;
	return mr_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)flags, &program));
}

/* flags filter. The operations after it are subject to the filter. */
MR_ACTION(SECCOMP)
{
	(void)walk;
	return install_filter(argument[0].number, &argument[1]);
}

/* flags filter. seccomp_unotify(2): who holds the listener decides, and until it does, what was asked for waits. sendmsg itself
 * must not be among it. Nothing of the program runs before somebody holds it; a filter that refuses read(2) refuses to wait. */
MR_ACTION(SECCOMP_LISTEN)
{
	struct mr_message message = { .kind = MR_MSG_LISTENER };
	MR_AUTOCLOSE listener =
		install_filter(argument[0].number | SECCOMP_FILTER_FLAG_NEW_LISTENER, &argument[1]);
	int error = listener < 0 ? listener : mr_send(walk->socket, &message, listener);
	ssize_t got;

	if (error < 0)
		return error;
	do
		got = read(walk->socket, &message, sizeof message);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		mr_exit(1); /* the other side is gone */
	return 0;
}
