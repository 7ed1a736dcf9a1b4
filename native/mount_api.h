/* mount_api.h: the mount calls of Linux 5.2 to 5.12, by number: glibc has them since 2.36 only, and its header doesn't go
 * together with the kernel's. Each gives a number >= 0 or -errno. fsopen(2), fsconfig(2), fsmount(2), open_tree(2),
 * move_mount(2), mount_setattr(2): all need CAP_SYS_ADMIN in the user namespace of the mount namespace.
 */
#ifndef MINIRUN_MOUNT_API_H
#define MINIRUN_MOUNT_API_H

#include "internal.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define MR_MNT_DETACH 2 /* sys/mount.h has it, linux/mount.h doesn't */

static inline int mr_fsopen(const char *type)
{
	return mr_result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}

static inline int mr_fsconfig(int context, unsigned command, const char *key, const char *value)
{
	return mr_result(syscall(SYS_fsconfig, context, command, key, value, 0));
}

/* An option as mount(8) writes it: "key=value" is a string parameter, "key" a flag. */
static inline int mr_fsconfig_option(int context, const char *option)
{
	const char *equals = strchr(option, '=');
	char key[64];

	if (!equals)
		return mr_fsconfig(context, FSCONFIG_SET_FLAG, option, NULL);
	if ((size_t)(equals - option) >= sizeof key)
		return -EINVAL;
	memcpy(key, option, (size_t)(equals - option));
	key[equals - option] = 0;
	return mr_fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1);
}

static inline int mr_fspick(int mount)
{
	return mr_result(syscall(SYS_fspick, mount, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
}

static inline int mr_fsmount(int context, uint64_t attributes)
{
	return mr_result(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)attributes));
}

/* A detached clone of the mount that `directory` and `path` name, or of what `directory` itself refers to (path ""). */
static inline int mr_open_tree(int directory, const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0u);

	return mr_result(syscall(SYS_open_tree, directory, path, flags | (*path ? 0u : AT_EMPTY_PATH)));
}

/* From descriptor to descriptor: no path is resolved again. */
static inline int mr_move_mount(int mount, int target)
{
	return mr_result(syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

static inline int mr_mount_setattr(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear, .propagation = propagation };

	return mr_result(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes,
				 sizeof attributes));
}

/* The files of a detached mount get the ids that `namespace` gives them. ID-mapped mounts: Linux 5.12 */
static inline int mr_map_ids(int mount, int namespace, bool recursive)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)namespace };

	return mr_result(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes,
				 sizeof attributes));
}

static inline int mr_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	return mr_result(syscall(SYS_mount, source, target, type, flags, data));
}

#endif
