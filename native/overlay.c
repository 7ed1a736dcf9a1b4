/* overlay.c: the mount call for an overlay, in the ways that kernels from 5.15 on have.
 *
 * Owns: one mount of given layers, with or without mapped ids. Leaves to others: in which mount namespace, and why
 * (op_overlay.c, view.c).
 */
#include "overlay.h"
#include "mount_api.h"

#include <stdio.h>
#include <string.h>

int mr_overlay_place(int mount, const char *mountpoint)
{
	MR_AUTOCLOSE target = mr_result(open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
	int error = target < 0 ? target : mr_move_mount(mount, target);

	if (error == 0)
		return mount;
	close(mount);
	return error;
}

/* One parameter per layer: no limit on the length of the whole, no character has a meaning. `lowerdir+` is Linux 6.5; before
 * it this gives -EINVAL at the first layer. A string is limited to 255 bytes, hence the relative paths. Once the overlay is
 * `made`, there is no second way: the kernel wouldn't make a volatile one twice. */
static int by_parameters(const struct mr_overlay *overlay, bool *made)
{
	MR_AUTOCLOSE context = mr_fsopen("overlay");
	struct mr_vector lowers = overlay->lowers, options = overlay->options;
	const char *text;
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
	while (error == 0 && (text = mr_vector_next(&options, NULL)))
		error = mr_fsconfig_option(context, text);
	if (error == 0)
		error = mr_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (error < 0)
		return error;
	*made = true;
	mount = mr_fsmount(context, 0);
	return mount < 0 ? mount : mr_overlay_place(mount, overlay->mountpoint);
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
static int by_string(const struct mr_overlay *overlay)
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

int mr_overlay_mount(const struct mr_overlay *overlay)
{
	bool made = false;
	int root = by_parameters(overlay, &made);
	bool is_unknown = root == -ENOSYS;

	if (!made && (root == -EINVAL || is_unknown)) /* an older kernel, a path too long for a parameter, or really invalid */
		root = by_string(overlay);
	return is_unknown && root == -ENAMETOOLONG ? -ENOSYS : root; /* parameters would have had the room */
}

/* ---- With layers whose ids are mapped ---- */

#define LAYERS_MAX 500 /* OVL_MAX_STACK of the kernel */
#define LAYER_BYTES 32 /* length, "/proc/self/fd/N", NUL, and what fills it up to a multiple of 8 */

struct layers {
	char names[LAYERS_MAX * LAYER_BYTES]; /* as strings of a vector */
	uint32_t length;
	uint32_t count;
	int mounts[LAYERS_MAX];
};

static int add_layer(struct layers *layers, const char *path, int namespace, int target)
{
	char *name = layers->names + layers->length + 4;
	int mount, error;
	uint32_t size;

	if (layers->count == LAYERS_MAX)
		return -E2BIG;
	mount = mr_open_tree(AT_FDCWD, path, false); /* stays open: its number is the layer's name */
	if (mount < 0)
		return mount;
	layers->mounts[layers->count++] = mount;
	error = mr_map_ids(mount, namespace, false);
	if (error == 0)
		error = mr_move_mount(mount, target);
	if (error < 0)
		return error;
	size = (uint32_t)snprintf(name, LAYER_BYTES - 4, "/proc/self/fd/%d", mount); /* of fixed size: no allocation */
	memcpy(name - 4, &size, sizeof size);
	layers->length += (4 + size + 1 + 7) & ~7u;
	return 0;
}

static int mount_layers(struct mr_overlay *overlay, struct layers *layers, int namespace)
{
	MR_AUTOCLOSE target = mr_result(open(overlay->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
	MR_AUTOCLOSE root = -1;
	struct mr_vector lowers = overlay->lowers;
	const char *path;
	int error;

	if (target < 0)
		return target;
	while ((path = mr_vector_next(&lowers, NULL))) {
		error = add_layer(layers, path, namespace, target);
		if (error < 0)
			return error;
	}
	overlay->lowers = (struct mr_vector){ layers->names, layers->count };
	root = mr_overlay_mount(overlay);
	return root < 0 ? root : mr_open_tree(root, "", false);
}

int mr_overlay_mount_mapped(struct mr_overlay *overlay, const char *base, int namespace)
{
	static _Thread_local struct layers layers;
	int root = mr_mount("none", "/", NULL, MS_PRIVATE | MS_REC, NULL); /* or the host would see what comes now */

	layers.length = layers.count = 0;
	if (root == 0)
		root = mr_result(chdir(base));
	if (root == 0)
		root = mount_layers(overlay, &layers, namespace);
	for (uint32_t i = 0; i < layers.count; i++)
		close(layers.mounts[i]);
	return root;
}
