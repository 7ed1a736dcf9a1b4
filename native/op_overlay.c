/* op_overlay.c: the mount that becomes the container's root.
 *
 * Owns: OVERLAY, OVERLAY_ID_MAPPED and ROOT_BIND. Leaves to others: which layers (storage/), everything mounted in it
 * (op_mounts.c). The mount is made in a mount namespace that isn't the host's, on a directory that all containers share: the
 * host's mount table never holds it, and the kernel frees it with the container's last process.
 */
#include "mount_api.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct overlay {
	const char *mountpoint;
	struct mr_vector lowers;
	const char *upper;
	const char *work;
	struct mr_vector options;
};

/* On the mountpoint; gives the descriptor of the mount's root. */
static int place(int mount, const char *mountpoint)
{
	MR_AUTOCLOSE target = mr_result(open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
	int error = target < 0 ? target : mr_move_mount(mount, target);

	if (error == 0)
		return mount;
	close(mount);
	return error;
}

/* One parameter per layer: no limit on the length of the whole, no character has a meaning. `lowerdir+` is Linux 6.5; before
 * it this gives -EINVAL at the first layer. A string is limited to 255 bytes, hence the relative paths. */
static int by_parameters(const struct overlay *overlay)
{
	MR_AUTOCLOSE context = mr_fsopen("overlay");
	struct mr_vector lowers = overlay->lowers, options = overlay->options;
	const char *text, *equals;
	char key[64];
	int error, mount;

	if (context < 0)
		return context;
	error = mr_fsconfig(context, FSCONFIG_SET_STRING, "source", "overlay");
	while (error == 0 && (text = mr_vector_next(&lowers, NULL)))
		error = mr_fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", text);
	if (error == 0 && *overlay->upper) {
		error = mr_fsconfig(context, FSCONFIG_SET_STRING, "upperdir", overlay->upper);
		if (error == 0)
			error = mr_fsconfig(context, FSCONFIG_SET_STRING, "workdir", overlay->work);
	}
	while (error == 0 && (text = mr_vector_next(&options, NULL))) {
		equals = strchr(text, '=');
		if (!equals) {
			error = mr_fsconfig(context, FSCONFIG_SET_FLAG, text, NULL);
		} else if ((size_t)(equals - text) < sizeof key) {
			memcpy(key, text, (size_t)(equals - text));
			key[equals - text] = 0;
			error = mr_fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1);
		} else {
			error = -EINVAL;
		}
	}
	if (error == 0)
		error = mr_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (error < 0)
		return error;
	mount = mr_fsmount(context, 0);
	return mount < 0 ? mount : place(mount, overlay->mountpoint);
}

/* Appends to a mount(2) option string. The separators can't be escaped everywhere: refuse them. */
static int append(char *data, size_t *length, const char *before, const char *text, const char *forbidden)
{
	size_t more = strlen(before) + strlen(text);

	if (strpbrk(text, forbidden))
		return -EINVAL;
	if (*length + more + 1 > 4096) /* the kernel cuts at a page, without a word */
		return -ENAMETOOLONG;
	strcpy(data + *length, before);
	strcat(data + *length, text);
	*length += more;
	return 0;
}

/* mount(2), for kernels before 6.5. */
static int by_string(const struct overlay *overlay)
{
	struct mr_vector lowers = overlay->lowers, options = overlay->options;
	const char *text, *before = "lowerdir=";
	char data[4096];
	size_t length = 0;
	int error = 0;

	data[0] = 0;
	while (error == 0 && (text = mr_vector_next(&lowers, NULL))) {
		error = append(data, &length, before, text, "\\:,");
		before = ":";
	}
	if (error == 0 && *overlay->upper) {
		error = append(data, &length, ",upperdir=", overlay->upper, "\\,");
		if (error == 0)
			error = append(data, &length, ",workdir=", overlay->work, "\\,");
	}
	while (error == 0 && (text = mr_vector_next(&options, NULL)))
		error = append(data, &length, ",", text, ",");
	if (error == 0)
		error = mr_mount("overlay", overlay->mountpoint, "overlay", 0, data);
	return error < 0 ? error : mr_result(open(overlay->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int mount_overlay(const struct overlay *overlay)
{
	int root = by_parameters(overlay);

	if (root == -EINVAL || root == -ENOSYS) /* an older kernel, a path too long for a parameter, or really invalid */
		root = by_string(overlay);
	return root;
}

/* slot mountpoint base lowers upper work options */
MR_ACTION(OVERLAY)
{
	struct overlay overlay = {
		.mountpoint = argument[1].data,
		.lowers = mr_vector_of(&argument[3]),
		.upper = argument[4].data,
		.work = argument[5].data,
		.options = mr_vector_of(&argument[6]),
	};
	int root;

	if (chdir(argument[2].data) < 0)
		return -errno;
	root = mount_overlay(&overlay);
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

#define LAYERS_MAX 500 /* OVL_MAX_STACK of the kernel */
#define LAYER_BYTES 32 /* length, "/proc/self/fd/N", NUL, and what fills it up to a multiple of 8 */

struct layers {
	char names[LAYERS_MAX * LAYER_BYTES]; /* as strings of a vector */
	uint32_t length;
	uint32_t count;
};

static int add_layer(struct layers *layers, const char *path, int namespace, int target)
{
	char *name = layers->names + layers->length + 4;
	int mount, error;
	uint32_t size;

	if (layers->count == LAYERS_MAX)
		return -E2BIG;
	mount = mr_open_tree(AT_FDCWD, path, false); /* stays open: its number is the layer's name */
	error = mount < 0 ? mount : mr_map_ids(mount, namespace, false);
	if (error == 0)
		error = mr_move_mount(mount, target);
	if (error < 0)
		return error;
	size = (uint32_t)snprintf(name, LAYER_BYTES - 4, "/proc/self/fd/%d", mount); /* of fixed size: no allocation */
	memcpy(name - 4, &size, sizeof size);
	layers->length += (4 + size + 1 + 7) & ~7u;
	layers->count++;
	return 0;
}

/* As many descriptors as there may be layers: the caller's limit could be lower. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* In a mount namespace of our own: the overlay, detached. */
static int map_overlay(struct overlay *overlay, const char *base, int namespace)
{
	static struct layers layers;
	MR_AUTOCLOSE target = -1;
	MR_AUTOCLOSE root = -1;
	struct mr_vector lowers = overlay->lowers;
	const char *path;
	int error = mr_mount("none", "/", NULL, MS_PRIVATE | MS_REC, NULL); /* or the host would see what comes now */

	if (error < 0)
		return error;
	allow_descriptors();
	target = mr_result(open(overlay->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (target < 0)
		return target;
	if (chdir(base) < 0)
		return -errno;
	while ((path = mr_vector_next(&lowers, NULL))) {
		error = add_layer(&layers, path, namespace, target);
		if (error < 0)
			return error;
	}
	overlay->lowers = (struct mr_vector){ layers.names, layers.count };
	root = mount_overlay(overlay);
	return root < 0 ? root : mr_open_tree(root, "", false);
}

static _Noreturn void help(struct overlay *overlay, const char *base, int namespace, int socket)
{
	struct mr_message message = { .kind = MR_MSG_STAGE };
	int root;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	root = map_overlay(overlay, base, namespace);
	message.error = root < 0 ? -root : 0;
	mr_send(socket, &message, root);
	_exit(0);
}

/* slot userns_slot mountpoint base lowers upper work options */
MR_ACTION(OVERLAY_ID_MAPPED)
{
	struct overlay overlay = {
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

	return mr_slot_set(walk, argument[0].number, mount < 0 ? mount : place(mount, argument[1].data));
}
