/* op_copy.c: fills a new file system with what the root file system has in that place (tmpcopyup).
 *
 * Owns: COPY_UP. Leaves to others: the copy of a tree (copy.c), what is mounted where.
 *
 * The source is read through a detached clone of its mount, which is made harmless first.
 */
#include "copy.h"
#include "mount_api.h"

#include <sys/stat.h>

/* What is beneath `directory`, mounts included, as it is said above. */
static int harmless_clone(int directory)
{
	int tree = mr_open_tree(directory, "", true), error;

	if (tree < 0)
		return tree;
	error = mr_mount_setattr(tree, MR_HARMLESS, 0, 0, true);
	if (error < 0)
		mr_close(&tree);
	return error < 0 ? error : tree;
}

static int copy_tree(int found, int mount)
{
	MR_AUTOCLOSE tree = harmless_clone(found);
	MR_AUTOCLOSE from = tree < 0 ? tree : mr_result(openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MR_AUTOCLOSE to = mr_result(openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	return mr_copy_tree(from, to);
}

/* What the options of the file system said of its root, which a copy has overwritten. */
static int restore(int mount, const struct stat *first, uint64_t keep)
{
	uid_t owner = keep & MR_KEEP_OWNER ? first->st_uid : (uid_t)-1;
	gid_t group = keep & MR_KEEP_GROUP ? first->st_gid : (gid_t)-1;
	struct stat now;

	if (fstat(mount, &now) < 0 || fchownat(mount, ".", owner, group, 0) < 0)
		return -errno;
	return mr_result(fchmodat(mount, ".", (keep & MR_KEEP_MODE ? first->st_mode : now.st_mode) & 07777, 0));
}

/* slot root path keep: from beneath `root` into the file system that the slot holds, whose root keeps what MR_KEEP_* says;
 * nothing when there is no such directory. Needs CAP_SYS_ADMIN, and what it takes to read the tree. */
MR_ACTION(COPY_UP)
{
	int mount = mr_slot(walk, argument[0].number), root = mr_slot(walk, argument[1].number);
	MR_AUTOCLOSE found = -1;
	struct stat first;
	int error;

	if (mount < 0)
		return mount;
	if (root < 0)
		return root;
	found = mr_open_beneath(root, argument[2].data, O_PATH | O_DIRECTORY);
	if (found < 0)
		return found == -ENOENT || found == -ENOTDIR ? 0 : found;
	if (fstat(mount, &first) < 0)
		return -errno;
	error = copy_tree(found, mount);
	return error < 0 || argument[3].number == 0 ? error : restore(mount, &first, argument[3].number);
}
