/* inherit.c: what the static programs are handed by the process that starts them, and what they make before there is a plan.
 *
 * Owns: reading the plan's file, keeping the host's null device out of the container, a network namespace made ahead. Leaves to
 * others: what the plan says, the talk that it comes in (monitor_plan.c, spawner.c).
 */
#include "mount_api.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

const void *mr_plan_map(int file, size_t *length)
{
	struct stat status;
	if (fstat(file, &status) < 0 || status.st_size <= 0 || status.st_size > MR_PLAN_MAX)
		return NULL;
	*length = (size_t)status.st_size;
	void *plan = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, file, 0);
	return plan == MAP_FAILED || mr_plan_check(plan, *length) < 0 ? NULL : plan;
}

/* /dev/null for the container. It is the host's own device, and root in the container may change mode and owner of whatever he
 * holds a descriptor of: through a read-only mount that nobody else has, he can't. open_tree(2), mount_setattr(2). The
 * mount is left open: its end costs an RCU grace period, for which no start has to wait. */
static int open_null(int *mount)
{
	int tree = *mount = mr_open_tree(AT_FDCWD, "/dev/null", false);
	if (tree < 0)
		return tree;
	int status = mr_mount_setattr(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0, false);
	if (status < 0)
		return status;
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", tree);
	return mr_result(open(path, O_RDWR | O_CLOEXEC));
}

static bool is_null_device(int fd)
{
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

int mr_stdio_replace_null(int stdio[3], bool keep_stdin, int *mount)
{
	MR_AUTOCLOSE null = -1;
	for (int fd = 0; fd < 3; fd++) {
		bool unwanted = fd == 0 && !keep_stdin;
		if (stdio[fd] >= 0 || !(unwanted || is_null_device(fd)))
			continue;
		if (null < 0)
			null = open_null(mount);
		stdio[fd] = null < 0 ? null : mr_result(fcntl(null, F_DUPFD_CLOEXEC, 3));
		if (stdio[fd] < 0)
			return stdio[fd];
	}
	return 0;
}

static void raise_loopback(void)
{
	MR_AUTOCLOSE netlink = mr_netlink_open(NETLINK_ROUTE);
	if (netlink >= 0)
		mr_op_link_up(netlink, "lo");
}

int mr_network_ahead(void)
{
	MR_AUTOCLOSE ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	/* Root of a user namespace may leave a network that isn't his, and not come back to it: setns(2) into where we are tells. */
	if (ours < 0 || setns(ours, CLONE_NEWNET) < 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	int made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	raise_loopback();
	if (setns(ours, CLONE_NEWNET) < 0)
		_exit(125); /* nothing that we say on the host's network would be true */
	return made;
}
