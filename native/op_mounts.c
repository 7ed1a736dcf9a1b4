/* op_mounts.c: mounts, from making them detached to pivot_root.
 *
 * Owns: every mount but the root's own (op_overlay.c). Leaves to others: files and directories (op_files.c).
 * Mounts are made detached, changed while nobody can reach them, and moved from descriptor to descriptor: a target is
 * resolved once, beneath the root (CVE-2021-30465, CVE-2025-31133, CVE-2025-52565).
 */
#include "mount_api.h"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* mount_setattr without mounts: the whole tree of this namespace. mount(2). */
MR_ACTION(PROPAGATION)
{
	(void)walk;
	return mr_mount("none", "/", NULL, (unsigned long)argument[0].number, NULL);
}

static int configure(int context, struct mr_vector options)
{
	const char *option;
	int error = 0;

	while (error >= 0 && (option = mr_vector_next(&options, NULL)))
		error = mr_fsconfig_option(context, option);
	return error;
}

/* A new instance of a file system, detached. */
static int make_filesystem(const char *type, const char *source, struct mr_vector options, uint64_t attributes)
{
	MR_AUTOCLOSE context = mr_fsopen(type);
	int error;

	if (context < 0)
		return context;
	error = *source ? mr_fsconfig(context, FSCONFIG_SET_STRING, "source", source) : 0;
	if (error >= 0)
		error = configure(context, options);
	if (error >= 0)
		error = mr_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL);
	return error < 0 ? error : mr_fsmount(context, attributes);
}

/* slot type source options attributes */
MR_ACTION(FILESYSTEM)
{
	return mr_slot_set(
		walk, argument[0].number,
		make_filesystem(argument[1].data, argument[2].data, mr_vector_of(&argument[3]), argument[4].number));
}

/* slot options: a remount. The options are the file system's own, and those of its superblock. */
MR_ACTION(RECONFIGURE)
{
	int mount = mr_slot(walk, argument[0].number), error;
	MR_AUTOCLOSE context = mount < 0 ? mount : mr_fspick(mount);

	if (context < 0)
		return context;
	error = configure(context, mr_vector_of(&argument[1]));
	return error < 0 ? error : mr_fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL);
}

/* slot root path: a new file system is entered by whoever could enter the directory beneath it, and by nobody else. */
MR_ACTION(TAKE_MODE)
{
	int mount = mr_slot(walk, argument[0].number), root = mr_slot(walk, argument[1].number);
	MR_AUTOCLOSE covered = -1;
	struct stat status;

	if (mount < 0)
		return mount;
	if (root < 0)
		return root;
	covered = mr_open_beneath(root, argument[2].data, O_PATH | O_DIRECTORY);
	if (covered < 0)
		return covered == -ENOENT || covered == -ENOTDIR ? 0 : covered;
	if (fstat(covered, &status) < 0)
		return -errno;
	return mr_result(fchmodat(mount, ".", status.st_mode & 07777, 0));
}

/* slot beneath path recursive */
MR_ACTION(TREE)
{
	bool recursive = argument[3].number != 0;
	MR_AUTOCLOSE source = -1;
	int root;

	if (argument[1].number == MR_HOST)
		return mr_slot_set(walk, argument[0].number, mr_open_tree(AT_FDCWD, argument[2].data, recursive));
	root = mr_slot(walk, argument[1].number);
	if (root < 0)
		return root;
	if (argument[2].length == 0) /* what the slot holds, be it a symbolic link */
		return mr_slot_set(walk, argument[0].number, mr_open_tree(root, "", recursive));
	source = mr_open_beneath(root, argument[2].data, O_PATH);
	if (source < 0)
		return source;
	return mr_slot_set(walk, argument[0].number, mr_open_tree(source, "", recursive));
}

/* slot set clear propagation recursive. MS_REC in the propagation means all below, whatever `recursive` says. */
MR_ACTION(ATTRIBUTES)
{
	int mount = mr_slot(walk, argument[0].number), error = 0;
	uint64_t set = argument[1].number, clear = argument[2].number, propagation = argument[3].number;
	bool recursive = argument[4].number != 0;

	if (mount < 0)
		return mount;
	if (set || clear)
		error = mr_mount_setattr(mount, set, clear, 0, recursive);
	if (error == 0 && propagation)
		error = mr_mount_setattr(mount, 0, 0, propagation & ~(uint64_t)MS_REC, recursive || (propagation & MS_REC));
	return error;
}

/* A target on procfs must have been meant: a path that got there by a symbolic link of the image would let a volume fake
 * /proc files that we or the container's programs trust (CVE-2019-16884). */
static int check_target(int target, const char *path)
{
	struct statfs status;

	path += strspn(path, "/");
	if (strncmp(path, "proc", 4) == 0 && (path[4] == '/' || path[4] == 0))
		return 0;
	if (fstatfs(target, &status) < 0)
		return -errno;
	return status.f_type == PROC_SUPER_MAGIC ? -ELOOP : 0;
}

/* A directory goes on directories, everything else on what is none; of the other pairs move_mount(2) says EINVAL. */
static int put_on(int mount, int target)
{
	int error = mr_move_mount(mount, target);
	struct stat upper, lower;

	if (error != -EINVAL || fstat(mount, &upper) < 0 || fstat(target, &lower) < 0)
		return error;
	return S_ISDIR(upper.st_mode) == S_ISDIR(lower.st_mode) ? error : -ENOTDIR;
}

/* slot root path create */
MR_ACTION(ATTACH)
{
	int mount = mr_slot(walk, argument[0].number), root = mr_slot(walk, argument[1].number), error;
	const char *path = argument[2].data;
	uint64_t resolve = argument[3].number & MR_CREATE_NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
	uint64_t create = argument[3].number & ~(uint64_t)(MR_CREATE_NO_SYMLINKS | MR_CREATE_ON_SYMLINK);
	int flags = O_PATH | (argument[3].number & MR_CREATE_ON_SYMLINK ? O_NOFOLLOW : 0);
	MR_AUTOCLOSE target = -1;

	if (mount < 0)
		return mount;
	if (root < 0)
		return root;
	target = mr_open_resolve(root, path, flags, 0, resolve);
	if (target == -ENOENT && create != MR_CREATE_NOTHING) {
		error = mr_make_beneath(root, path, create == MR_CREATE_FILE ? S_IFREG : S_IFDIR,
					create == MR_CREATE_FILE ? 0644 : 0755);
		if (error < 0)
			return error;
		target = mr_open_resolve(root, path, flags, 0, resolve);
	}
	if (target < 0)
		return target;
	error = check_target(target, path);
	return error < 0 ? error : put_on(mount, target);
}

/* An empty read-only directory over `target`. The first one is a new tmpfs, the others are clones of that mount, which is
 * cheaper; it has to be in our namespace for that, so it is made where it is needed first. */
static int mask_directory(struct mr_walk *walk, int target)
{
	struct mr_vector none = { NULL, 0 };
	uint64_t attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int mount = walk->empty >= 0 ? mr_open_tree(walk->empty, "", false)
				     : make_filesystem("tmpfs", "", none, attributes);
	int error = mount < 0 ? mount : mr_move_mount(mount, target);

	if (error == 0 && walk->empty < 0)
		walk->empty = mount;
	else
		mr_close(&mount);
	return error;
}

/* What is laid over a file must be the null device and nothing that calls itself so (CVE-2025-31133). It is the host's own:
 * read-only, so that root in the container can't change its mode and owner. */
static int mask_file(int null, int target)
{
	MR_AUTOCLOSE mount = -1;
	struct stat status;
	int error;

	if (null < 0)
		return null;
	if (fstat(null, &status) < 0)
		return -errno;
	if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
		return -ENODEV;
	mount = mr_open_tree(null, "", false);
	if (mount < 0)
		return mount;
	error = mr_mount_setattr(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0, false);
	return error < 0 ? error : mr_move_mount(mount, target);
}

/* root path null_slot */
MR_ACTION(MASK)
{
	int root = mr_slot(walk, argument[0].number);
	MR_AUTOCLOSE target = -1;
	struct stat status;

	if (root < 0)
		return root;
	target = mr_open_beneath(root, argument[1].data, O_PATH);
	if (target < 0)
		return target == -ENOENT || target == -ENOTDIR ? 0 : target;
	if (fstat(target, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return mask_directory(walk, target);
	return mask_file(mr_slot(walk, argument[2].number), target);
}

/* root path: a bind mount of what is there, read-only, over itself */
MR_ACTION(READ_ONLY)
{
	int root = mr_slot(walk, argument[0].number), error;
	MR_AUTOCLOSE target = -1;
	MR_AUTOCLOSE mount = -1;

	if (root < 0)
		return root;
	target = mr_open_beneath(root, argument[1].data, O_PATH);
	if (target < 0)
		return target == -ENOENT || target == -ENOTDIR ? 0 : target;
	mount = mr_open_tree(target, "", true);
	if (mount < 0)
		return mount;
	error = mr_mount_setattr(mount, MOUNT_ATTR_RDONLY, 0, 0, true);
	return error < 0 ? error : mr_move_mount(mount, target);
}

/* pivot_root(2), NOTES: with new root and put_old the same, the old root ends up on top of the new one; detached, it takes
 * all mounts of the host with it. */
MR_ACTION(PIVOT)
{
	int root = mr_slot(walk, argument[0].number);

	if (root < 0)
		return root;
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || syscall(SYS_umount2, ".", MR_MNT_DETACH) < 0)
		return -errno;
	return mr_result(chdir("/"));
}

/* root: a tree without a parent, so that no `..` leads out of it, or what was another process's root already. chroot(2) */
MR_ACTION(ROOT_CHANGE)
{
	int root = mr_slot(walk, argument[0].number);

	if (root < 0)
		return root;
	if (fchdir(root) < 0 || chroot(".") < 0)
		return -errno;
	return mr_result(chdir("/"));
}

/* slot userns_slot recursive: the tree in `slot` is detached, and nobody has seen it yet. mount_setattr(2), ID-mapped mounts. */
MR_ACTION(ID_MAPPED)
{
	int mount = mr_slot(walk, argument[0].number), namespace = mr_slot(walk, argument[1].number);

	if (mount < 0)
		return mount;
	return namespace < 0 ? namespace : mr_map_ids(mount, namespace, argument[2].number != 0);
}

int mr_private_procfs(struct mr_walk *walk)
{
	struct mr_vector none = { NULL, 0 };

	if (walk->procfs < 0)
		walk->procfs = make_filesystem("proc", "", none, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return walk->procfs;
}
