/* overlay.h: mounting an overlay, for the plan's operations (op_overlay.c) and for looking into a container (view.c). */
#ifndef MINIRUN_OVERLAY_H
#define MINIRUN_OVERLAY_H

#include "internal.h"

struct mr_overlay {
	const char *mountpoint;
	struct mr_vector lowers; /* the top first */
	const char *upper;       /* "": it can't be written to */
	const char *work;
	struct mr_vector options;
};

/* Put a detached mount on a directory; gives `mount` itself, or closes it and gives -errno. move_mount(2) */
int mr_overlay_place(int mount, const char *mountpoint);
/* Mount it on its mountpoint, relative paths taken from the current directory; gives the descriptor of its root. */
int mr_overlay_mount(const struct mr_overlay *overlay);
/* The same with the ids of the layers, not of the upper, mapped by a user namespace; gives it detached. For a process or thread
 * that has a mount namespace of its own, where it leaves mounts. Changes the current directory to `base`. */
int mr_overlay_mount_mapped(struct mr_overlay *overlay, const char *base, int namespace);

#endif
