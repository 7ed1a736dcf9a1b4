/* volume.h: mounts on the host, for volumes that are a file system of their own. */
#ifndef MINIRUN_VOLUME_H
#define MINIRUN_VOLUME_H

#include <stdint.h>

/* python: begin */
/* mount(2), with the same arguments: MS_* flags, the file system's own options as one text. Gives 0 or -errno. CAP_SYS_ADMIN. */
int mr_volume_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *options);
/* A bind mount of `source` (with what is mounted below it: recursive) that appears at `target` with its attributes (MOUNT_ATTR_*)
 * and propagations (MS_*, with MS_REC) or not at all. open_tree(2), mount_setattr(2), move_mount(2). Gives 0 or -errno. CAP_SYS_ADMIN. */
int mr_volume_bind(const char *source, const char *target, int recursive, uint64_t set, uint64_t clear, const uint64_t *propagations,
		   int count);
/* umount2(2): the topmost mount at `target` leaves the tree now, and ends with its last user. -EINVAL: there is none. CAP_SYS_ADMIN. */
int mr_volume_unmount(const char *target);
/* python: end */

#endif
