/* op_overlay.c: the mount that becomes the container's root.
 *
 * Owns: OVERLAY and ROOT_BIND. Leaves to others: which layers (storage/), everything mounted in it (op_mounts.c).
 * The mount is made in the child's own mount namespace, on a directory that all containers share: the host's mount table
 * never holds it, and the kernel frees it with the container's last process.
 */
#include "mount_api.h"

#include <string.h>

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
	root = by_parameters(&overlay);
	if (root == -EINVAL || root == -ENOSYS) /* an older kernel, a path too long for a parameter, or really invalid */
		root = by_string(&overlay);
	if (root < 0)
		return root;
	if (chdir("/") < 0) {
		close(root);
		return -errno;
	}
	return mr_slot_set(walk, argument[0].number, root);
}

/* slot mountpoint source; without a source it is the tree that the slot holds already */
MR_ACTION(ROOT_BIND)
{
	int mount = *argument[2].data ? mr_open_tree(AT_FDCWD, argument[2].data, true)
				      : mr_result(fcntl(mr_slot(walk, argument[0].number), F_DUPFD_CLOEXEC, 3));

	return mr_slot_set(walk, argument[0].number, mount < 0 ? mount : place(mount, argument[1].data));
}
