/* tar.h: from a directory tree to the bytes of a tar archive; the other way round is untar.h. */
#ifndef MINIRUN_TAR_H
#define MINIRUN_TAR_H

#include <stddef.h>
#include <stdint.h>

/* python: begin */
#define MR_TAR_LAYER 1  /* the tree is an overlay's upper: what it hides becomes .wh. entries */
#define MR_TAR_SPARSE 2 /* leave holes out (PAX, GNU.sparse 1.0) */

struct mr_tar;

/* Write what `top` is open on (O_PATH will do). `name` is what it is called, and what stands before the names below it; "" leaves it
 * out and gives the names below it as they are. `top` stays the caller's and must stay open. NULL: no memory. */
struct mr_tar *mr_tar_new(int top, const char *name, unsigned int flags);
/* Leave out a path, as the archive would have it, with all below it. 0 or -errno. */
int mr_tar_exclude(struct mr_tar *tar, const char *path);
/* Write ids from `uid` and `gid` on as 0, 1, ...: `size` of them. All others stay as they are. */
void mr_tar_map_ids(struct mr_tar *tar, uint32_t uid, uint32_t gid, uint32_t size);
/* The next bytes of the archive, as many as there are up to `length`; 0 at its end; -errno, for good. */
long mr_tar_read(struct mr_tar *tar, void *bytes, size_t length);
/* What went wrong, as a sentence that names the file ("" when nothing did); printable ASCII. Lives as long as `tar`. */
const char *mr_tar_error(const struct mr_tar *tar);
void mr_tar_free(struct mr_tar *tar);
/* python: end */

#endif
