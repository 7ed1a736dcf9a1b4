/* op_overlay.c: the mount that becomes the container's root.
 *
 * Owns: OVERLAY, OVERLAY_ID_MAPPED and ROOT_BIND. Leaves to others: which layers (storage/), mounting them (overlay.c),
 * everything mounted in it (op_mounts.c). The mount is made in a mount namespace that isn't the host's, on a directory that all
 * containers share: the host's mount table never holds it, and the kernel frees it with the container's last process.
 */
#include "mount_api.h"
#include "overlay.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* slot mountpoint base lowers upper work options */
MR_ACTION(OVERLAY)
{
	struct mr_overlay overlay = {
		.mountpoint = argument[1].data,
		.lowers = mr_vector_of(&argument[3]),
		.upper = argument[4].data,
		.work = argument[5].data,
		.options = mr_vector_of(&argument[6]),
	};
	int root;

	if (chdir(argument[2].data) < 0)
		return -errno;
	root = mr_overlay_mount(&overlay);
	if (root < 0)
		return root;
	if (chdir("/") < 0) {
		close(root);
		return -errno;
	}
	return mr_slot_set(walk, argument[0].number, root);
}

/* ---- With layers whose ids are mapped ----
 *
 * The overlay is the host's root's: only then does it see the attributes by which layers say what they delete, and only the host's
 * root maps the ids of a mount. The layers must lie in the mount namespace of who makes it (before Linux 6.15: mounted, not
 * detached), and that mustn't be the host's. So a process in between makes all of this in a mount namespace of its own and hands the
 * overlay out, detached; what else it mounted goes with it, the overlay keeps private clones of its layers.
 *
 *     caller --- clone3(CLONE_NEWNS) ---> helper   each layer: clone, map, mount on the mountpoint (over the one before)
 *       |                                    |     overlay of /proc/self/fd/N ...
 *       | <-------- detached overlay ------- |
 *
 * The upper directory isn't mapped: what the container writes belongs to its own ids on the disk too, so that a setuid program
 * of the container's root is nobody's of importance on the host.
 */

/* As many descriptors as there may be layers: the caller's limit could be lower. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static _Noreturn void help(struct mr_overlay *overlay, const char *base, int namespace, int socket)
{
	struct mr_message message = { .kind = MR_MSG_STAGE };
	int root;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	allow_descriptors();
	root = mr_overlay_mount_mapped(overlay, base, namespace);
	message.error = root < 0 ? -root : 0;
	mr_send(socket, &message, root);
	mr_exit(0);
}

/* slot userns_slot mountpoint base lowers upper work options */
MR_ACTION(OVERLAY_ID_MAPPED)
{
	struct mr_overlay overlay = {
		.mountpoint = argument[2].data,
		.lowers = mr_vector_of(&argument[4]),
		.upper = argument[5].data,
		.work = argument[6].data,
		.options = mr_vector_of(&argument[7]),
	};
	struct mr_message message = { .error = ECHILD };
	int namespace = mr_slot(walk, argument[1].number), ends[2], root = -1, error;
	pid_t pid;

	if (namespace < 0)
		return namespace;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = mr_clone(CLONE_NEWNS, NULL, -1);
	if (pid == 0) {
		close(ends[0]);
		help(&overlay, argument[3].data, namespace, ends[1]);
	}
	close(ends[1]);
	error = pid < 0 ? (int)pid : mr_receive(ends[0], &message, &root);
	close(ends[0]);
	/* The end of its mount namespace costs RCU grace periods, for which no start has to wait. */
	mr_walk_reap(walk);
	walk->leaving = pid;
	if (error < 0)
		return error;
	return message.error ? -message.error : mr_slot_set(walk, argument[0].number, root);
}

/* slot mountpoint source; without a source it is the tree that the slot holds already */
MR_ACTION(ROOT_BIND)
{
	int mount = *argument[2].data ? mr_open_tree(AT_FDCWD, argument[2].data, true)
				      : mr_result(fcntl(mr_slot(walk, argument[0].number), F_DUPFD_CLOEXEC, 3));

	return mr_slot_set(walk, argument[0].number, mount < 0 ? mount : mr_overlay_place(mount, argument[1].data));
}
