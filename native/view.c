/* view.c: the file system of a container as it is seen from outside, for `cp`, `export` and `diff`.
 *
 * Owns: detached mounts of it. Leaves to others: what is read and written there (tar.c, layer.c), by descriptors alone.
 *
 * A mount can be made, cloned, and mounted over only in the mount namespace where it lies, and that must be neither the host's
 * (everybody would see it, a kill would leave it behind) nor changed for this process. So a thread that lives for one
 * call goes there, with a root and a current directory of its own, and comes back with a descriptor. It looks up no name in a container but "/".
 *
 *     running    thread: setns(its mount namespace), clone "/" without what is mounted below
 *     stopped    thread: unshare(CLONE_NEWNS), overlay, clone
 *     volumes    thread: unshare(CLONE_NEWNS), the view, each source over its target, clone of it all
 *
 * A detached tree goes with the last descriptor of it, and so with the process, however that ends.
 */
#include "view.h"
#include "mount_api.h"
#include "overlay.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

struct journey {
	int (*go)(void *);
	void *what;
	int result;
};

static void *travel(void *argument)
{
	struct journey *journey = argument;

	journey->result = journey->go(journey->what);
	return NULL;
}

/* Run `go` in a thread: what it does to its root, directory and namespaces ends with it. */
static int in_thread(int (*go)(void *), void *what)
{
	struct journey journey = { .go = go, .what = what };
	sigset_t all, before;
	pthread_t thread;
	int error;

	sigfillset(&all); /* a handler of the program's must not run there */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, travel, &journey);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_join(thread, NULL);
	return journey.result;
}

/* A mount namespace of the thread's own, from which nothing gets back to the host. */
static int leave_host(void)
{
	int error = mr_result(unshare(CLONE_NEWNS));

	return error < 0 ? error : mr_mount("none", "/", NULL, MS_PRIVATE | MS_REC, NULL);
}

/* ---- Stopped --------------------------------------------------------------------------------------------------------- */

struct at_rest {
	struct mr_overlay overlay;
	const char *base;
	int namespace;
};

static int mount_at_rest(void *argument)
{
	struct at_rest *rest = argument;
	int error = leave_host();
	MR_AUTOCLOSE root = -1;

	if (error < 0)
		return error;
	if (rest->namespace >= 0)
		return mr_overlay_mount_mapped(&rest->overlay, rest->base, rest->namespace);
	if (chdir(rest->base) < 0)
		return -errno;
	root = mr_overlay_mount(&rest->overlay);
	return root < 0 ? root : mr_open_tree(root, "", false);
}

int mr_view_overlay(const char *mountpoint, const char *base, const void *lowers, unsigned int count, const char *upper,
		    const char *work, const void *options, unsigned int option_count, int namespace)
{
	struct at_rest rest = {
		.overlay = { mountpoint, { lowers, count }, upper, work, { options, option_count } },
		.base = base,
		.namespace = namespace,
	};

	return in_thread(mount_at_rest, &rest);
}

/* ---- Running --------------------------------------------------------------------------------------------------------- */

/* setns(2): the thread's root and directory are then those of the namespace. It must share them with no other thread. */
static int clone_root(void *argument)
{
	int error = mr_result(unshare(CLONE_FS));

	if (error == 0)
		error = mr_result(setns(*(int *)argument, CLONE_NEWNS));
	return error < 0 ? error : mr_open_tree(AT_FDCWD, "/", false);
}

int mr_view_running(int pidfd)
{
	return in_thread(clone_root, &pidfd);
}

/* ---- What is mounted over it ------------------------------------------------------------------------------------------- */

struct covered {
	int root;
	const char *mountpoint;
	const struct mr_view_mount *mounts;
	unsigned int count;
};

static int tree_of(const struct mr_view_mount *mount)
{
	MR_AUTOCLOSE whole = -1;
	MR_AUTOCLOSE part = -1;

	if (mount->part[0] == 0)
		return mr_open_tree(AT_FDCWD, mount->source, true);
	whole = mr_result(open(mount->source, O_PATH | O_DIRECTORY | O_CLOEXEC));
	part = whole < 0 ? whole : mr_open_beneath(whole, mount->part, O_PATH);
	return part < 0 ? part : mr_open_tree(part, "", true);
}

static int cover(int root, const struct mr_view_mount *mount)
{
	MR_AUTOCLOSE tree = tree_of(mount);
	MR_AUTOCLOSE target = -1;
	struct stat st;
	int error;

	if (tree == -ENOENT)
		return 0;
	if (tree < 0 || fstat(tree, &st) < 0)
		return tree < 0 ? tree : -errno;
	if (mount->read_only) {
		error = mr_mount_setattr(tree, MOUNT_ATTR_RDONLY, 0, 0, true);
		if (error < 0)
			return error;
	}
	if (mount->make) {
		error = mr_make_beneath(root, mount->target, S_ISDIR(st.st_mode) ? S_IFDIR : S_IFREG, 0755);
		if (error < 0)
			return error;
	}
	target = mr_open_beneath(root, mount->target, O_PATH);
	if (target < 0)
		return target == -ENOENT || target == -ENOTDIR ? 0 : target;
	error = mr_move_mount(tree, target);
	return error == -ENOTDIR ? 0 : error; /* a directory can't lie over a file: then the container doesn't start either */
}

static int cover_all(void *argument)
{
	const struct covered *covered = argument;
	MR_AUTOCLOSE root = -1;
	int error = leave_host();

	if (error < 0)
		return error;
	root = mr_result(fcntl(covered->root, F_DUPFD_CLOEXEC, 3));
	if (root >= 0)
		root = mr_overlay_place(root, covered->mountpoint);
	if (root < 0)
		return root;
	for (unsigned int i = 0; i < covered->count; i++) {
		error = cover(root, &covered->mounts[i]);
		if (error < 0)
			return error;
	}
	return mr_open_tree(root, "", true);
}

int mr_view_mounts(int root, const char *mountpoint, const struct mr_view_mount *mounts, unsigned int count)
{
	struct covered covered = { root, mountpoint, mounts, count };

	return in_thread(cover_all, &covered);
}
