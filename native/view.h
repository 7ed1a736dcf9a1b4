/* view.h: looking into a container's file system from outside: detached mounts that nobody else sees. */
#ifndef MINIRUN_VIEW_H
#define MINIRUN_VIEW_H

/* python: begin */
/* What lies over a place of the view: a directory or file of the host. */
struct mr_view_mount {
	const char *source;
	const char *target; /* beneath the root, links followed inside it */
	const char *part; /* of the source, "" for all of it: a path beneath it, links followed inside */
	int read_only;
	int make; /* a target that isn't there is made; without it, such a mount is left out */
};

/* An overlay of `count` lowers (strings of a vector, the top first; relative to `base`), of which nobody's mount table tells. With
 * an `upper` ("" for none) it can be written to. `namespace`, when it isn't negative, maps the ids of the lowers. Gives the descriptor of its
 * root or -errno. `mountpoint` is any directory. CAP_SYS_ADMIN. */
int mr_view_overlay(const char *mountpoint, const char *base, const void *lowers, unsigned int count, const char *upper,
                    const char *work, const void *options, unsigned int option_count, int namespace);
/* The root of a running process, of its file system alone: nothing of what is mounted in it. A descriptor or -errno. */
int mr_view_running(int pidfd);
/* A view with mounts over it: a new descriptor. `root` stays the caller's to close, and is of no other use afterwards. A mount whose
 * source is gone is left out. */
int mr_view_mounts(int root, const char *mountpoint, const struct mr_view_mount *mounts, unsigned int count);
/* python: end */

#endif
