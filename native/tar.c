/* tar.c: a directory tree becomes a tar archive, piece by piece, as it is asked for.
 *
 * Owns: the walk, and the format: ustar, with PAX headers where it has no room (long names and links, large numbers, extended
 * attributes, holes). Leaves to others: where the bytes go, digests (Python); which tree (view.c); reading archives (untar.c).
 *
 * The tree is hostile and may change while it is read. Each name is opened once with O_PATH | O_NOFOLLOW; what that descriptor turns
 * out to be is what is written, and only a regular file or a directory is opened for reading, through the descriptor: no device
 * is touched, no link followed, no fifo waited for. A file that has become shorter is filled up with zeros. Names come in the order
 * of their bytes, so that the same tree gives the same archive.
 *
 *     mr_tar_read    header bytes, if any are waiting -> content of the file at hand -> padding -> the next name
 *
 * One file: a walk that can stop after any byte has one state, and each kind of entry is a few lines of it.
 *
 * Sources: pax(1) (POSIX), tar(5); "Sparse Formats" of GNU tar's manual; SCHILY.xattr of star(1); image-spec, layer.md.
 * Privilege: CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN (to see trusted.* attributes).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tar.h"
#include "minirun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	BLOCK = 512,
	NAME_FIELD = 100,
	DEPTH_MAX = 2048, /* as deep as a path can name: PATH_MAX */
	KEPT = 64,        /* directories that stay open on the way down */
	XATTR_MAX = 1 << 16,
	PIECES_MAX = 1 << 16,
	SHOWN = 200
};
#define SIZE_FIELD_MAX 077777777777 /* of the eleven octal digits */
#define ID_FIELD_MAX 07777777

struct buffer {
	char *bytes;
	size_t used;
	size_t size;
};

struct directory {
	int fd; /* -1: closed for the time being */
	dev_t device;
	ino_t inode;
	struct buffer names; /* one after the other, each with its NUL */
	char **sorted;
	size_t count;
	size_t at;
	size_t path; /* length of the path of what is in it: the directory's own, with a slash */
};

struct piece {
	uint64_t offset;
	uint64_t length;
};

/* Files with several names: the first one that was written. An open-addressed table. */
struct link {
	ino_t inode;
	dev_t device;
	char *name;
};

struct mr_tar {
	int top;
	unsigned int flags;
	bool begun;
	bool ended;
	struct buffer out; /* headers that wait to be read */
	size_t out_at;
	struct buffer path; /* of the entry at hand, with a NUL */
	struct buffer records;
	struct buffer excluded; /* paths, each with its NUL */
	struct directory *stack;
	size_t depth;
	struct link *links;
	size_t link_size;
	size_t link_count;
	int file;
	struct piece *pieces;
	size_t piece_count;
	size_t piece;
	uint64_t done; /* of this piece */
	unsigned int padding;
	uint32_t uid, gid, ids;
	int result;
	char error[512];
};

/* ---- Memory and errors --------------------------------------------------------------------------------------------------- */

static int room(struct buffer *b, size_t more)
{
	size_t size = b->size ? b->size : 1024;
	char *bytes;

	while (size - b->used < more)
		size *= 2;
	if (size == b->size)
		return 0;
	bytes = realloc(b->bytes, size);
	if (!bytes)
		return -ENOMEM;
	b->bytes = bytes;
	b->size = size;
	return 0;
}

static int append(struct buffer *b, const void *bytes, size_t length)
{
	int error = room(b, length);

	if (error == 0 && length) {
		memcpy(b->bytes + b->used, bytes, length);
		b->used += length;
	}
	return error;
}

static int fail(struct mr_tar *t, int reason, const char *what)
{
	size_t used;

	(void)snprintf(t->error, sizeof t->error, "%s '", what);
	used = strlen(t->error);
	for (const char *at = t->path.bytes ? t->path.bytes : ""; *at && used + 80 < sizeof t->error && used < SHOWN; at++) {
		unsigned char c = (unsigned char)*at;
		if (c >= ' ' && c < 127 && c != '\\' && c != '\'')
			t->error[used++] = (char)c;
		else
			used += (size_t)snprintf(t->error + used, sizeof t->error - used, "\\x%02x", c);
	}
	(void)snprintf(t->error + used, sizeof t->error - used, "': %s", strerror(-reason));
	t->result = reason;
	return reason;
}

/* ---- Headers --------------------------------------------------------------------------------------------------------------- */

/* What an entry is, apart from its name. */
struct facts {
	char type;
	const struct stat *st;
	const char *link; /* symlink or hard link: where to */
	uint64_t size;    /* of what follows */
	const char *name; /* in the ustar header; the real one may stand in a record */
};

static void octal(char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static int header(struct mr_tar *t, const struct facts *f, uint32_t uid, uint32_t gid)
{
	static const char magic[8] = "ustar\00000";
	char block[BLOCK] = { 0 };
	uint64_t time = f->st->st_mtim.tv_sec < 0 ? 0 : (uint64_t)f->st->st_mtim.tv_sec;
	unsigned int sum = 0;

	memcpy(block, f->name, strnlen(f->name, NAME_FIELD));
	octal(block + 100, 8, f->st->st_mode & 07777);
	octal(block + 108, 8, uid > ID_FIELD_MAX ? 0 : uid);
	octal(block + 116, 8, gid > ID_FIELD_MAX ? 0 : gid);
	octal(block + 124, 12, f->size > SIZE_FIELD_MAX ? 0 : f->size);
	octal(block + 136, 12, time > SIZE_FIELD_MAX ? 0 : time);
	memset(block + 148, ' ', 8);
	block[156] = f->type;
	if (f->link)
		memcpy(block + 157, f->link, strnlen(f->link, NAME_FIELD));
	memcpy(block + 257, magic, sizeof magic);
	if (f->type == '3' || f->type == '4') {
		octal(block + 329, 8, major(f->st->st_rdev));
		octal(block + 337, 8, minor(f->st->st_rdev));
	}
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)block[i];
	octal(block + 148, 7, sum);
	return append(&t->out, block, BLOCK);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static int record(struct buffer *b, const char *key, const char *suffix, const void *value, size_t length)
{
	char digits[24];
	size_t rest = 1 + strlen(key) + strlen(suffix) + 1 + length + 1, total = rest + 1;
	int error;

	while (total != rest + (size_t)snprintf(digits, sizeof digits, "%zu", total))
		total = rest + strlen(digits);
	error = room(b, total);
	if (error == 0) {
		append(b, digits, strlen(digits));
		append(b, " ", 1);
		append(b, key, strlen(key));
		append(b, suffix, strlen(suffix));
		append(b, "=", 1);
		append(b, value, length);
		append(b, "\n", 1);
	}
	return error;
}

static int number_record(struct buffer *b, const char *key, int64_t value)
{
	char text[24];

	return record(b, key, "", text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

static int pad(struct buffer *b)
{
	static const char zeros[BLOCK];

	return append(b, zeros, -b->used & (BLOCK - 1));
}

/* The records that wait become a PAX header ahead of the entry's own. */
static int extended_header(struct mr_tar *t)
{
	struct stat none = { .st_mode = 0644 };
	const struct facts f = { .type = 'x', .st = &none, .size = t->records.used, .name = "PaxHeaders/entry" };
	int error = header(t, &f, 0, 0);

	if (error == 0)
		error = append(&t->out, t->records.bytes, t->records.used);
	return error < 0 ? error : pad(&t->out);
}

static uint32_t mapped(const struct mr_tar *t, uint32_t id, uint32_t first)
{
	return id >= first && id - first < t->ids ? id - first : id;
}

/* All headers of an entry; `records` holds what was known before (attributes, a sparse file's map). */
static int headers(struct mr_tar *t, const struct facts *f, const char *path, bool is_sparse)
{
	uint32_t uid = mapped(t, f->st->st_uid, t->uid), gid = mapped(t, f->st->st_gid, t->gid);
	int64_t time = f->st->st_mtim.tv_sec;
	int error = 0;

	if (!is_sparse && strlen(path) > NAME_FIELD)
		error = record(&t->records, "path", "", path, strlen(path));
	if (error == 0 && f->link && strlen(f->link) > NAME_FIELD)
		error = record(&t->records, "linkpath", "", f->link, strlen(f->link));
	if (error == 0 && f->size > SIZE_FIELD_MAX)
		error = number_record(&t->records, "size", (int64_t)f->size);
	if (error == 0 && uid > ID_FIELD_MAX)
		error = number_record(&t->records, "uid", uid);
	if (error == 0 && gid > ID_FIELD_MAX)
		error = number_record(&t->records, "gid", gid);
	if (error == 0 && (time < 0 || time > SIZE_FIELD_MAX))
		error = number_record(&t->records, "mtime", time);
	if (error == 0 && t->records.used)
		error = extended_header(t);
	t->records.used = 0;
	return error < 0 ? error : header(t, f, uid, gid);
}

/* ---- Extended attributes ----------------------------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Not overlayfs' own, which describe where the file lies; not those of security modules, whose labels are the host's. */
static bool is_portable(const char *name)
{
	if (begins(name, "trusted.overlay.") || begins(name, "user.overlay."))
		return false;
	return begins(name, "user.") || begins(name, "trusted.") || begins(name, "system.posix_acl_") ||
	       strcmp(name, "security.capability") == 0;
}

/* Of what `fd` is open on. O_PATH descriptors (of anything but a regular file) have no f*xattr: the magic link leads to the inode. */
static int attributes(struct mr_tar *t, int fd, bool is_path)
{
	char list[XATTR_MAX], path[40];
	int error = 0;
	ssize_t length;

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	length = is_path ? listxattr(path, list, sizeof list) : flistxattr(fd, list, sizeof list);
	for (const char *name = list; length > 0 && name < list + length && error == 0; name += strlen(name) + 1) {
		char value[XATTR_MAX];
		ssize_t size = -1;
		if (is_portable(name))
			size = is_path ? getxattr(path, name, value, sizeof value) : fgetxattr(fd, name, value, sizeof value);
		if (size >= 0)
			error = record(&t->records, "SCHILY.xattr.", name, value, (size_t)size);
	}
	return error;
}

/* ---- Names that were written ----------------------------------------------------------------------------------------------------- */

static size_t link_slot(const struct link *links, size_t size, const struct stat *st)
{
	size_t at = (size_t)(st->st_ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size - 1);

	while (links[at].name && (links[at].inode != st->st_ino || links[at].device != st->st_dev))
		at = (at + 1) & (size - 1);
	return at;
}

static int grow_links(struct mr_tar *t)
{
	size_t size = t->link_size ? 2 * t->link_size : 256;
	struct link *links = calloc(size, sizeof *links);

	if (!links)
		return -ENOMEM;
	for (size_t i = 0; i < t->link_size; i++) {
		if (t->links[i].name) {
			struct stat key = { .st_ino = t->links[i].inode, .st_dev = t->links[i].device };
			links[link_slot(links, size, &key)] = t->links[i];
		}
	}
	free(t->links);
	t->links = links;
	t->link_size = size;
	return 0;
}

/* The name under which this file was written before, or NULL: then it is remembered under the present one. */
static int seen_before(struct mr_tar *t, const struct stat *st, const char **name)
{
	int error = 2 * (t->link_count + 1) > t->link_size ? grow_links(t) : 0;
	struct link *link;

	*name = NULL;
	if (error < 0)
		return error;
	link = &t->links[link_slot(t->links, t->link_size, st)];
	if (link->name) {
		*name = link->name;
		return 0;
	}
	*link = (struct link){ st->st_ino, st->st_dev, strdup(t->path.bytes) };
	t->link_count++;
	return link->name ? 0 : -ENOMEM;
}

/* ---- Content ------------------------------------------------------------------------------------------------------------------------ */

static int add_piece(struct mr_tar *t, uint64_t offset, uint64_t length)
{
	if (t->piece_count % 64 == 0) {
		struct piece *pieces = realloc(t->pieces, (t->piece_count + 64) * sizeof *pieces);
		if (!pieces)
			return -ENOMEM;
		t->pieces = pieces;
	}
	t->pieces[t->piece_count++] = (struct piece){ offset, length };
	return 0;
}

/* Where the file's data lie; lseek(2), SEEK_DATA. True when there are holes and they can be told. */
static bool find_pieces(struct mr_tar *t, int file, uint64_t size)
{
	off_t at = 0, end;

	t->piece_count = 0;
	while ((uint64_t)at < size) {
		off_t data = lseek(file, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? -1 : lseek(file, data, SEEK_HOLE);
		if (end < 0 || end <= data || t->piece_count == PIECES_MAX)
			return false;
		if ((uint64_t)end > size)
			end = (off_t)size;
		if (data >= end)
			break;
		if (add_piece(t, (uint64_t)data, (uint64_t)(end - data)) < 0)
			return false;
		at = end;
	}
	return !(t->piece_count == 1 && t->pieces[0].offset == 0 && t->pieces[0].length == size);
}

/* The map of GNU.sparse 1.0 stands before the data: numbers, each on its line, filled up to a block. */
static int sparse_map(struct mr_tar *t, struct buffer *map, uint64_t size)
{
	char line[64];
	int error = append(map, line, (size_t)snprintf(line, sizeof line, "%zu\n", t->piece_count + 1));

	for (size_t i = 0; i < t->piece_count && error == 0; i++)
		error = append(map, line, (size_t)snprintf(line, sizeof line, "%llu\n%llu\n", (unsigned long long)t->pieces[i].offset,
		                                           (unsigned long long)t->pieces[i].length));
	if (error == 0) /* the end, which may lie in a hole */
		error = append(map, line, (size_t)snprintf(line, sizeof line, "%llu\n0\n", (unsigned long long)size));
	return error < 0 ? error : pad(map);
}

static int sparse_file(struct mr_tar *t, struct facts *f)
{
	struct buffer map = { 0 };
	uint64_t real = f->size, data = 0;
	int error = sparse_map(t, &map, real);

	for (size_t i = 0; i < t->piece_count; i++)
		data += t->pieces[i].length;
	f->size = map.used + data;
	f->name = "GNUSparseFile/entry";
	t->padding = (unsigned int)(-f->size & (BLOCK - 1));
	if (error == 0)
		error = number_record(&t->records, "GNU.sparse.major", 1);
	if (error == 0)
		error = number_record(&t->records, "GNU.sparse.minor", 0);
	if (error == 0)
		error = record(&t->records, "GNU.sparse.name", "", t->path.bytes, strlen(t->path.bytes));
	if (error == 0)
		error = number_record(&t->records, "GNU.sparse.realsize", (int64_t)real);
	if (error == 0)
		error = headers(t, f, t->path.bytes, true);
	if (error == 0)
		error = append(&t->out, map.bytes, map.used);
	free(map.bytes);
	return error;
}

/* `fd` is an O_PATH descriptor of a regular file. */
static int regular(struct mr_tar *t, int fd, struct facts *f)
{
	char path[40];
	int error;

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* reopens the very inode that was looked at */
	t->file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (t->file < 0)
		return -errno;
	t->piece = 0;
	t->done = 0;
	error = attributes(t, t->file, false);
	if (error < 0)
		return error;
	if (t->flags & MR_TAR_SPARSE && (uint64_t)f->st->st_blocks * 512 < f->size && find_pieces(t, t->file, f->size))
		return sparse_file(t, f);
	t->piece_count = 0;
	t->padding = (unsigned int)(-f->size & (BLOCK - 1));
	error = f->size ? add_piece(t, 0, f->size) : 0;
	return error < 0 ? error : headers(t, f, t->path.bytes, false);
}

/* ---- The walk --------------------------------------------------------------------------------------------------------------------------- */

static int by_bytes(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static int list(struct directory *d)
{
	int own = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
	DIR *listing = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	char *at;

	if (!listing) {
		error = -errno;
		if (own >= 0)
			close(own);
		return error;
	}
	while (error == 0 && (errno = 0, entry = readdir(listing))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		error = append(&d->names, entry->d_name, strlen(entry->d_name) + 1);
		d->count++;
	}
	if (error == 0)
		error = -errno;
	closedir(listing);
	d->sorted = error == 0 && d->count ? malloc(d->count * sizeof *d->sorted) : NULL;
	if (error == 0 && d->count && !d->sorted)
		error = -ENOMEM;
	at = d->names.bytes;
	for (size_t i = 0; error == 0 && i < d->count; i++, at += strlen(at) + 1)
		d->sorted[i] = at;
	if (error == 0 && d->count)
		qsort(d->sorted, d->count, sizeof *d->sorted, by_bytes);
	return error;
}

static void forget(struct directory *d)
{
	if (d->fd >= 0)
		close(d->fd);
	free(d->names.bytes);
	free(d->sorted);
}

/* Go into the directory that `fd` (O_PATH) is open on; the path at hand is its own, with a slash. */
static int enter(struct mr_tar *t, int fd, const struct stat *st)
{
	struct directory *d = &t->stack[t->depth];
	int error;

	if (t->depth == DEPTH_MAX)
		return -ENAMETOOLONG;
	*d = (struct directory){ .device = st->st_dev, .inode = st->st_ino, .path = t->path.used - 1 };
	d->fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return -errno;
	t->depth++;
	error = list(d);
	if (error == 0 && t->depth > KEPT && t->stack[t->depth - 1 - KEPT].fd >= 0) {
		close(t->stack[t->depth - 1 - KEPT].fd);
		t->stack[t->depth - 1 - KEPT].fd = -1;
	}
	return error;
}

/* Go back to the directory above. If it was closed on the way down, ".." has to be what it was: a container can move directories. */
static int leave(struct mr_tar *t)
{
	struct directory *d = &t->stack[t->depth - 1], *above = d - 1;
	struct stat st;

	if (t->depth > 1 && above->fd < 0) {
		above->fd = openat(d->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (above->fd < 0 || fstat(above->fd, &st) < 0)
			return -errno;
		if (st.st_ino != above->inode || st.st_dev != above->device)
			return -ESTALE;
	}
	forget(d);
	t->depth--;
	return 0;
}

static bool is_excluded(const struct mr_tar *t)
{
	const char *at = t->excluded.bytes;

	for (const char *end = at + t->excluded.used; at < end; at += strlen(at) + 1)
		if (strcmp(at, t->path.bytes) == 0)
			return true;
	return false;
}

/* The path at hand: `length` bytes of the present one, then `name`, then `end`. */
static int set_path(struct mr_tar *t, size_t length, const char *name, const char *end)
{
	int error;

	t->path.used = length;
	error = append(&t->path, name, strlen(name));
	if (error == 0)
		error = append(&t->path, end, strlen(end) + 1);
	return error;
}

static int empty_file(struct mr_tar *t, const struct stat *st)
{
	struct stat file = *st;
	const struct facts f = { .type = '0', .st = &file, .name = t->path.bytes };

	file.st_mode = S_IFREG | 0600;
	return headers(t, &f, t->path.bytes, false);
}

/* What an overlay's upper hides, in an archive's words: image-spec, layer.md. */
static int whiteout(struct mr_tar *t, size_t parent, const char *name, const struct stat *st)
{
	int error = set_path(t, parent, ".wh.", "");

	if (error == 0)
		error = set_path(t, t->path.used - 1, name, "");
	return error < 0 ? error : empty_file(t, st);
}

static bool is_opaque(int fd)
{
	char path[40], value[2];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return getxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* A directory: its header, and all that is in it later. The path at hand ends with a slash. */
static int directory(struct mr_tar *t, int fd, struct facts *f, bool has_header)
{
	size_t length = t->path.used - 1;
	int error = has_header ? headers(t, f, t->path.bytes, false) : 0;

	t->records.used = 0;
	if (error == 0 && t->flags & MR_TAR_LAYER && t->depth && is_opaque(fd)) {
		error = set_path(t, length, ".wh..wh..opq", "");
		if (error == 0)
			error = empty_file(t, f->st);
		if (error == 0)
			error = set_path(t, length, "", "");
	}
	return error < 0 ? error : enter(t, fd, f->st);
}

/* Anything but a directory, known under the path at hand. */
static int file(struct mr_tar *t, int fd, struct facts *f)
{
	char target[PATH_MAX];
	const char *before = NULL;
	ssize_t length;
	int error = f->st->st_nlink > 1 ? seen_before(t, f->st, &before) : 0;

	f->name = t->path.bytes;
	if (error < 0)
		return error;
	if (before) {
		f->type = '1';
		f->link = before;
		f->size = 0;
		return headers(t, f, t->path.bytes, false);
	}
	if (S_ISREG(f->st->st_mode)) {
		f->size = (uint64_t)f->st->st_size;
		return regular(t, fd, f);
	}
	error = attributes(t, fd, true);
	if (error < 0)
		return error;
	switch (f->st->st_mode & S_IFMT) {
	case S_IFLNK:
		length = readlinkat(fd, "", target, sizeof target - 1);
		if (length < 0)
			return -errno;
		target[length] = 0;
		f->type = '2';
		f->link = target;
		break;
	case S_IFCHR:
		f->type = '3';
		break;
	case S_IFBLK:
		f->type = '4';
		break;
	default:
		f->type = '6';
	}
	return headers(t, f, t->path.bytes, false);
}

/* One entry: `parent` bytes of the path at hand lead to where it lies, `name` is its own name there. */
static int entry(struct mr_tar *t, int fd, size_t parent, const char *name)
{
	struct stat st;
	struct facts f = { .type = '0', .st = &st };
	int error = set_path(t, parent, name, "");

	if (error < 0 || fstat(fd, &st) < 0)
		return error < 0 ? error : -errno;
	if (S_ISSOCK(st.st_mode) || is_excluded(t))
		return 0; /* an archive has no sockets: they mean nothing without the process that listens */
	if (t->flags & MR_TAR_LAYER && t->depth) {
		if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
			return whiteout(t, parent, name, &st);
		if (begins(name, ".wh.")) /* who reads the layer would delete something */
			return -EILSEQ;
	}
	t->records.used = 0;
	if (!S_ISDIR(st.st_mode))
		return file(t, fd, &f);
	error = attributes(t, fd, true);
	if (error < 0)
		return error;
	if (t->path.used < 2 || t->path.bytes[t->path.used - 2] != '/')
		error = set_path(t, t->path.used - 1, *name ? "/" : "", "");
	f.type = '5';
	f.name = t->path.bytes;
	return error < 0 ? error : directory(t, fd, &f, *name);
}

static int next_entry(struct mr_tar *t)
{
	while (t->depth) {
		struct directory *d = &t->stack[t->depth - 1];
		int fd, error;

		if (d->at == d->count) {
			error = leave(t);
			if (error < 0)
				return fail(t, error, "go back from");
			continue;
		}
		const char *name = d->sorted[d->at++];
		fd = openat(d->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue; /* gone since it was listed */
		error = fd < 0 ? -errno : entry(t, fd, d->path, name);
		if (fd >= 0)
			close(fd);
		if (error == -EILSEQ) {
			(void)fail(t, error, "put into a layer");
			(void)snprintf(strrchr(t->error, ':'), 64, ": a name that begins with .wh. says there what is deleted");
			return error;
		}
		return error < 0 ? fail(t, error, "read") : 0;
	}
	t->ended = true;
	return append(&t->out, (char[2 * BLOCK]){ 0 }, 2 * (size_t)BLOCK);
}

static int begin(struct mr_tar *t, const char *name)
{
	int error = append(&t->path, "", 1);

	return error < 0 ? error : entry(t, t->top, 0, name);
}

/* ---- The interface ---------------------------------------------------------------------------------------------------------------------------- */

struct mr_tar *mr_tar_new(int top, const char *name, unsigned int flags)
{
	struct mr_tar *t = calloc(1, sizeof *t);
	int error;

	if (!t)
		return NULL;
	t->top = top;
	t->flags = flags;
	t->file = -1;
	t->stack = malloc((DEPTH_MAX + 1) * sizeof *t->stack);
	error = t->stack ? append(&t->path, name, strlen(name) + 1) : -ENOMEM;
	if (error < 0) {
		mr_tar_free(t);
		return NULL;
	}
	return t;
}

int mr_tar_exclude(struct mr_tar *t, const char *path)
{
	return append(&t->excluded, path, strlen(path) + 1);
}

void mr_tar_map_ids(struct mr_tar *t, uint32_t uid, uint32_t gid, uint32_t size)
{
	t->uid = uid;
	t->gid = gid;
	t->ids = size;
}

/* Content of the file at hand; gives how much, 0 when the file is done. */
static long content(struct mr_tar *t, char *at, size_t length)
{
	struct piece *piece = &t->pieces[t->piece];
	uint64_t left = piece->length - t->done;
	ssize_t got;

	if (length > left)
		length = (size_t)left;
	got = pread(t->file, at, length, (off_t)(piece->offset + t->done));
	if (got < 0 && errno == EINTR)
		return 0;
	if (got < 0)
		return fail(t, -errno, "read");
	if (got == 0) { /* it has become shorter */
		memset(at, 0, length);
		got = (ssize_t)length;
	}
	t->done += (uint64_t)got;
	if (t->done == piece->length) {
		t->piece++;
		t->done = 0;
	}
	return got;
}

static long step(struct mr_tar *t, char *at, size_t length)
{
	size_t now = t->out.used - t->out_at;

	if (now) {
		now = now < length ? now : length;
		memcpy(at, t->out.bytes + t->out_at, now);
		t->out_at += now;
		return (long)now;
	}
	t->out.used = t->out_at = 0;
	if (t->file >= 0 && t->piece < t->piece_count)
		return content(t, at, length);
	if (t->file >= 0) {
		close(t->file);
		t->file = -1;
		return append(&t->out, (char[BLOCK]){ 0 }, t->padding);
	}
	if (!t->begun) {
		char *name = strdup(t->path.bytes);
		int error = name ? 0 : -ENOMEM;
		t->begun = true;
		t->path.used = 0;
		if (error == 0)
			error = begin(t, name);
		free(name);
		return error < 0 ? fail(t, error, "read") : 0;
	}
	return next_entry(t);
}

long mr_tar_read(struct mr_tar *t, void *bytes, size_t length)
{
	size_t filled = 0;

	while (t->result == 0 && filled < length && !(t->ended && t->out_at == t->out.used)) {
		long got = step(t, (char *)bytes + filled, length - filled);
		if (got < 0)
			return t->result ? t->result : fail(t, (int)got, "write");
		filled += (size_t)got;
	}
	return t->result < 0 ? t->result : (long)filled;
}

const char *mr_tar_error(const struct mr_tar *t)
{
	return t->error;
}

void mr_tar_free(struct mr_tar *t)
{
	if (!t)
		return;
	while (t->depth)
		forget(&t->stack[--t->depth]);
	for (size_t i = 0; i < t->link_size; i++)
		free(t->links[i].name);
	if (t->file >= 0)
		close(t->file);
	free(t->links);
	free(t->pieces);
	free(t->stack);
	free(t->out.bytes);
	free(t->path.bytes);
	free(t->records.bytes);
	free(t->excluded.bytes);
	free(t);
}
