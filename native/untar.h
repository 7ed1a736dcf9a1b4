/* untar.h: from the bytes of a layer archive to a directory.
 *
 *     untar.c    bytes -> struct mr_entry: ustar, PAX, GNU; a push parser that is fed pieces of any length
 *     layer.c    struct mr_entry -> files beneath a root descriptor, in the form that overlayfs stacks (with layer_*.c)
 *     tree.c     removing a directory tree whose content is hostile
 *
 * Only Python's side runs this (image loading, removing a container's files): it may allocate. An archive is hostile; what
 * it can do is bounded by the root descriptor, by the limits, and by the parser's refusals.
 *
 * Errors: -EBADMSG says the archive is at fault (malformed, hostile, over a limit), any other -errno that the host is.
 */
#ifndef MINIRUN_UNTAR_H
#define MINIRUN_UNTAR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* python: begin */
#define MR_UNTAR_LOWERS 128   /* a chain is never longer: a mount option page holds so many short names */
#define MR_UNTAR_SPOOL 1      /* files, directories and links only, owned by us, no attributes: the outer archive of `load` */
#define MR_UNTAR_END_MARK 2   /* an archive without its two zero blocks is an error: nothing else tells that it was cut */
#define MR_UNTAR_COPY 4       /* into a tree that is in use, for `cp`: no whiteouts, a directory and what is none don't replace each other */
#define MR_UNTAR_NO_OWNER 8   /* what is made belongs to us, what is there already to whom it belongs */

struct mr_untar;

/* Start unpacking beneath the directory `root`; `lowers` are the directories of the layers below, the nearest first, which are
 * only read. The descriptors stay the caller's and must stay open. NULL: no memory, or too many lowers. */
struct mr_untar *mr_untar_new(int root, const int *lowers, unsigned int count, uint64_t max_entries, uint64_t max_bytes,
                              unsigned int flags);
/* With MR_UNTAR_COPY, all names go beneath this directory of the root, whose links are followed inside it. 0 or -errno. */
int mr_untar_beneath(struct mr_untar *untar, const char *directory);
/* `size` 0: everything belongs to `uid` and `gid`. Else the archive's ids below `size` are shifted up by them. */
void mr_untar_own(struct mr_untar *untar, uint32_t uid, uint32_t gid, uint32_t size);
/* Take the next `length` bytes of the archive. 0 or -errno; after an error every further call gives the same. */
int mr_untar_feed(struct mr_untar *untar, const void *bytes, size_t length);
/* The archive has ended: check that it was whole, set the times of directories. 0 or -errno. */
int mr_untar_finish(struct mr_untar *untar);
/* What went wrong, as a sentence that names the entry ("" when nothing did); printable ASCII. Lives as long as `untar`. */
const char *mr_untar_error(const struct mr_untar *untar);
/* Bytes of file content that were written, entries that were seen. */
uint64_t mr_untar_bytes(const struct mr_untar *untar);
uint64_t mr_untar_entries(const struct mr_untar *untar);
void mr_untar_free(struct mr_untar *untar);

/* Remove `name` beneath the directory `parent` with all that is in it; nothing there is fine. Follows no link, crosses no
 * mount, clears immutable flags, needs no more memory or descriptors for a deeper tree. 0 or -errno. unlink(2), rmdir(2). */
int mr_remove_tree(int parent, const char *name);

/* Write everything to disk that the file system of `fd` still holds in memory. Blocks. syncfs(2). 0 or -errno. */
int mr_sync_file_system(int fd);
/* python: end */

/* ---- Between untar.c and layer.c --------------------------------------------------------------------------------- */

struct mr_xattr {
	const char *name;
	const char *value;
	size_t length;
};

/* One entry of the archive, headers merged. Strings live until the next entry. */
struct mr_entry {
	char type; /* '0' file, '1' hard link, '2' symlink, '3' character, '4' block device, '5' directory, '6' fifo */
	const char *name;
	const char *link;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t seconds; /* modification time */
	uint32_t nanoseconds;
	uint32_t major;
	uint32_t minor;
	uint64_t size; /* of the file on disk, holes included */
	bool holes;    /* the archive leaves parts of the file out */
	const struct mr_xattr *xattrs;
	size_t xattr_count;
};

struct mr_layer;

struct mr_layer *mr_layer_new(int root, const int *lowers, unsigned int count, unsigned int flags);
/* Make what the entry says. 1: a file is open for mr_layer_write, close it with mr_layer_end. 0: done. -errno. */
int mr_layer_entry(struct mr_layer *layer, const struct mr_entry *entry);
int mr_layer_write(struct mr_layer *layer, uint64_t offset, const void *bytes, size_t length);
int mr_layer_end(struct mr_layer *layer, const struct mr_entry *entry);
/* In place of both, when all of the file's content is at hand: it is written by the next mr_layer_settle, until which `bytes` must stay.
 * False: this file has to be written and ended. */
bool mr_layer_hand_over(struct mr_layer *layer, const struct mr_entry *entry, const void *bytes, size_t length);
/* Complete what was handed over. On an error (-errno) `name` is the file's, for as long as the layer lives. */
int mr_layer_settle(struct mr_layer *layer, const char **name);
int mr_layer_finish(struct mr_layer *layer);
const char *mr_layer_reason(const struct mr_layer *layer); /* of the last error */
int mr_layer_beneath(struct mr_layer *layer, const char *directory);
void mr_layer_free(struct mr_layer *layer);

#endif
