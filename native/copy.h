/* copy.h: copying a hostile tree into a new one. */
#ifndef MINIRUN_COPY_H
#define MINIRUN_COPY_H

/* What a mount needs whose content is copied: nothing acts by being opened, no link is followed. Linux 5.10 for the last. */
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#define MR_HARMLESS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW)

/* The content and the attributes of one open directory, on a mount as it is said above, into another. 0 or -errno. */
int mr_copy_tree(int from, int to);

/* python: begin */
/* What lies at `path` of a view (view.h) into the open directory `to`: content, owner, mode, times, attributes. The view is made
 * harmless by that. 0, -ENOENT, -ENOTDIR, or -errno: then a part may be there. */
int mr_copy_beneath(int root, const char *path, int to);
/* python: end */

#endif
