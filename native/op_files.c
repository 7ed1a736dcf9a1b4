/* op_files.c: descriptors, files, directories, links and device nodes, beneath a root.
 *
 * Owns: what is made in the root file system and what is opened for later operations. Leaves to others: paths (path.c).
 * The umask of the child is 0022 while it walks; modes that must be exact are made with 0.
 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* slot descriptor */
MR_ACTION(TAKE)
{
	int descriptor = (int)argument[1].number;

	if (argument[1].number > INT_MAX || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0)
		return -EBADF;
	return mr_slot_set(walk, argument[0].number, descriptor);
}

/* beneath: a slot, or MR_HOST for a path of the trusted side */
static int open_at(struct mr_walk *walk, uint64_t beneath, const char *path, int flags)
{
	int root;

	if (beneath == MR_HOST)
		return mr_result(open(path, flags | O_CLOEXEC | O_NOCTTY));
	root = mr_slot(walk, beneath);
	return root < 0 ? root : mr_open_beneath(root, path, flags & O_PATH ? flags : flags | O_NOCTTY);
}

/* slot beneath path flags */
MR_ACTION(OPEN)
{
	int flags = (int)argument[3].number;

	if (flags & O_CREAT) /* DIRECTORY and ATTACH make things */
		return -EINVAL;
	return mr_slot_set(walk, argument[0].number, open_at(walk, argument[1].number, argument[2].data, flags));
}

/* slot */
MR_ACTION(CLOSE)
{
	int descriptor = mr_slot(walk, argument[0].number);

	if (descriptor < 0)
		return descriptor;
	mr_close(&walk->slots.descriptors[argument[0].number]);
	return 0;
}

/* beneath path data */
MR_ACTION(WRITE)
{
	MR_AUTOCLOSE file = open_at(walk, argument[0].number, argument[1].data, O_WRONLY);
	ssize_t written;

	if (file < 0)
		return file;
	written = write(file, argument[2].data, argument[2].length);
	if (written < 0)
		return -errno;
	return written == (ssize_t)argument[2].length ? 0 : -EIO;
}

/* root path mode */
MR_ACTION(DIRECTORY)
{
	int root = mr_slot(walk, argument[0].number), error;
	mode_t mask;

	if (root < 0)
		return root;
	mask = umask(0);
	error = mr_make_beneath(root, argument[1].data, S_IFDIR, (mode_t)argument[2].number & 07777);
	umask(mask);
	return error;
}

/* root path target */
MR_ACTION(SYMLINK)
{
	int root = mr_slot(walk, argument[0].number);
	MR_AUTOCLOSE parent = -1;
	const char *name;
	char there[PATH_MAX];
	ssize_t length;

	if (root < 0)
		return root;
	parent = mr_parent_beneath(root, argument[1].data, &name);
	if (parent < 0)
		return parent;
	if (symlinkat(argument[2].data, parent, name) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	length = readlinkat(parent, name, there, sizeof there);
	return length == (ssize_t)argument[2].length && memcmp(there, argument[2].data, (size_t)length) == 0 ? 0 : -EEXIST;
}

/* root path mode device uid gid. Needs CAP_MKNOD in the host's user namespace. */
MR_ACTION(DEVICE)
{
	int root = mr_slot(walk, argument[0].number), error;
	mode_t mode = (mode_t)argument[2].number, mask;
	dev_t device = (dev_t)argument[3].number;
	uid_t uid = (uid_t)argument[4].number;
	gid_t gid = (gid_t)argument[5].number;
	MR_AUTOCLOSE parent = -1;
	struct stat status;
	const char *name;

	if (root < 0)
		return root;
	parent = mr_parent_beneath(root, argument[1].data, &name);
	if (parent < 0)
		return parent;
	mask = umask(0);
	error = mr_result(mknodat(parent, name, mode, device));
	umask(mask);
	if (error == -EEXIST) { /* an image may bring the same node along; anything else under this name is refused */
		if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if ((status.st_mode & S_IFMT) != (mode & S_IFMT) || status.st_rdev != device)
			return -EEXIST;
		error = 0;
	}
	if (error == 0 && (uid || gid))
		error = mr_result(fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW));
	return error;
}
