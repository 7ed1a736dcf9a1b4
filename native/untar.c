/* untar.c: a push parser for tar archives: pieces of any length go in, whole entries go to layer.c.
 *
 * Owns: ustar, old and star headers, PAX (path, linkpath, size, uid, gid, mtime, SCHILY.xattr.*, LIBARCHIVE.xattr.*, GNU.sparse.*),
 * GNU (L, K, base-256 numbers, sparse), limits, and how an archive may end. Leaves to others: what an entry becomes (layer.c),
 * decompression and digests (Python).
 *
 * Where formats leave room, this reads as Go's archive/tar does, since images are written for it: no data behind
 * links, devices, directories and fifos whatever their size field says; a GNU long name wins over a PAX path; global PAX headers are
 * skipped. What Go refuses is refused. Sources: POSIX pax(1) "pax Interchange Format", GNU tar manual "Basic Tar Format" and
 * "Storing Sparse Files", libarchive's tar(5).
 *
 * One state machine, kept in one file; the sections follow an entry from its numbers to its data.
 *
 *     HEADER --x,L,K--> META --> PAD --> HEADER            (merged into the next entry)
 *        |---file-----> [SPARSE_HEADER* | SPARSE_MAP*] DATA --> PAD --> HEADER
 *        |---two zero blocks--> END                        (whatever follows is consumed)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "untar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 512,
	META_MAX = 1 << 20,   /* bytes of one extended header, as Go has it */
	XATTRS_MAX = 1024,    /* of one entry */
	PIECES_MAX = 1 << 18, /* data pieces of one sparse file */
	NAME_SHOWN = 120,
};

enum state { HEADER, META, DATA, SPARSE_HEADER, SPARSE_MAP, PAD, END };

/* A piece of a sparse file that the archive holds. */
struct piece {
	uint64_t offset;
	uint64_t length;
};

struct mr_untar {
	struct mr_layer *layer;
	unsigned int flags;
	bool owned; /* mr_untar_own */
	uint32_t own_uid, own_gid, own_size;
	int result; /* 0, or the error that ended it */
	enum state state;
	uint8_t block[BLOCK];
	size_t filled;   /* bytes of `block` */
	uint64_t left;   /* META, DATA: bytes that are still to come */
	uint32_t padding;
	bool zero_block; /* the block before was zero */
	bool pending;    /* an extended header waits for its entry */
	bool open;       /* layer.c has a file open */

	char *meta; /* the extended header that is being read */
	size_t meta_used;
	char meta_type;
	char *pax; /* records for the next entry, kept as they came: values may hold anything */
	size_t pax_length;
	char *long_name;
	char *long_link;

	struct mr_entry entry;
	struct mr_xattr xattrs[XATTRS_MAX];
	char header_name[BLOCK];
	char header_link[BLOCK];
	struct {
		const char *name, *link;
		bool has_size, has_uid, has_gid, has_time;
		uint64_t size, uid, gid;
		const char *sparse_name;
		uint64_t sparse_size;
		bool has_sparse_size, is_sparse_1;
		bool has_offset; /* 0.0: the length of this piece comes next */
	} records;

	bool sparse;
	struct piece *pieces;
	size_t piece_count;
	size_t piece_size;
	size_t piece; /* the one that data go to */
	uint64_t piece_done;
	uint64_t map_number; /* SPARSE_MAP: digits so far */
	size_t map_digits;
	uint64_t map_wanted; /* numbers that the map has; UINT64_MAX: its count hasn't come yet */
	uint64_t map_offset;
	uint64_t offset; /* of the next byte of a plain file */

	uint64_t max_entries, max_bytes;
	uint64_t entries, bytes;
	char error[512];
};

/* ---- Errors ---------------------------------------------------------------------------------------------------------- */

/* Append `text`, with what a terminal could obey written as \xNN. */
static void append_shown(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);
	size_t shown = 0;

	for (; *text && used + 5 < size; text++) {
		if (++shown > NAME_SHOWN) {
			(void)snprintf(out + used, size - used, "...");
			return;
		}
		unsigned char c = (unsigned char)*text;
		if (c >= ' ' && c < 127 && c != '\\' && c != '\'')
			out[used++] = (char)c;
		else
			used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
		out[used] = '\0';
	}
}

static int stop(struct mr_untar *u, int result, const char *why)
{
	const char *name = u->entry.name;

	if (name && *name) {
		(void)snprintf(u->error, sizeof u->error, "entry '");
		append_shown(u->error, sizeof u->error, name);
		size_t used = strlen(u->error);
		(void)snprintf(u->error + used, sizeof u->error - used, "': %s", why);
	} else {
		(void)snprintf(u->error, sizeof u->error, "%s", why);
	}
	u->result = result;
	return result;
}

static int corrupt(struct mr_untar *u, const char *why)
{
	return stop(u, -EBADMSG, why);
}

static int stop_layer(struct mr_untar *u, int result)
{
	return stop(u, result, mr_layer_reason(u->layer));
}

/* ---- Numbers --------------------------------------------------------------------------------------------------------- */

/* A numeric field: octal with spaces or NULs around it, or base-256 when the first bit is set. False: malformed. */
static bool field_number(const uint8_t *field, size_t length, int64_t *out)
{
	if (field[0] & 0x80) {
		bool negative = field[0] & 0x40;
		uint64_t value = negative ? ~UINT64_C(0) : 0;
		for (size_t i = 0; i < length; i++) {
			uint8_t byte = i == 0 ? (uint8_t)(negative ? field[0] : field[0] & 0x7f) : field[i];
			if ((uint8_t)(value >> 56) != (negative ? 0xff : 0x00))
				return false; /* wider than 64 bits */
			value = value << 8 | byte;
		}
		if (negative != (bool)(value >> 63))
			return false;
		*out = (int64_t)value;
		return true;
	}
	uint64_t value = 0;
	size_t i = 0;
	while (i < length && (field[i] == ' ' || field[i] == '\0'))
		i++;
	for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0'); /* at most 12 digits: 36 bits */
	for (; i < length; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	*out = (int64_t)value;
	return true;
}

/* A decimal number that ends at `end`. */
static bool decimal(const char *text, const char *end, uint64_t *out)
{
	uint64_t value = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*out = value;
	return true;
}

/* Seconds with an optional fraction and sign, as PAX has times; more than nanoseconds is cut off. */
static bool decimal_time(const char *text, const char *end, int64_t *seconds, uint32_t *nanoseconds)
{
	bool negative = text < end && *text == '-';
	const char *dot = memchr(text, '.', (size_t)(end - text));
	uint64_t whole, fraction = 0;

	if (!decimal(text + negative, dot ? dot : end, &whole))
		return false;
	if (dot) {
		size_t digits = 0;
		for (const char *at = dot + 1; at < end; at++) {
			if (*at < '0' || *at > '9')
				return false;
			if (digits++ < 9)
				fraction = fraction * 10 + (uint64_t)(*at - '0');
		}
		for (; digits < 9; digits++)
			fraction *= 10;
	}
	*seconds = negative ? -(int64_t)whole : (int64_t)whole;
	if (negative && fraction) {
		*seconds -= 1;
		fraction = 1000000000 - fraction;
	}
	*nanoseconds = (uint32_t)fraction;
	return true;
}

/* ---- Sparse maps -------------------------------------------------------------------------------------------------------- */

static int add_piece(struct mr_untar *u, uint64_t offset, uint64_t length)
{
	if (u->piece_count == PIECES_MAX)
		return corrupt(u, "the sparse file has too many pieces");
	if (u->piece_count == u->piece_size) {
		size_t size = u->piece_size ? 2 * u->piece_size : 64;
		struct piece *pieces = realloc(u->pieces, size * sizeof *pieces);
		if (!pieces)
			return stop(u, -ENOMEM, "no memory for the map of a sparse file");
		u->pieces = pieces;
		u->piece_size = size;
	}
	u->pieces[u->piece_count++] = (struct piece){ offset, length };
	return 0;
}

/* The pieces have to lie in order inside the file and to add up to the data that follow. */
static int check_pieces(struct mr_untar *u, uint64_t data)
{
	uint64_t end = 0, sum = 0;

	for (size_t i = 0; i < u->piece_count; i++) {
		struct piece p = u->pieces[i];
		if (p.offset < end || p.length > u->entry.size || p.offset > u->entry.size - p.length)
			return corrupt(u, "the map of the sparse file is out of order");
		end = p.offset + p.length;
		sum += p.length;
	}
	return sum == data ? 0 : corrupt(u, "the map of the sparse file doesn't match its data");
}

/* GNU's old form: `count` pairs of 12-byte numbers; an empty one ends them. */
static int add_header_pieces(struct mr_untar *u, const uint8_t *at, size_t count)
{
	for (size_t i = 0; i < count && at[24 * i]; i++) {
		int64_t offset, length;
		if (!field_number(at + 24 * i, 12, &offset) || !field_number(at + 24 * i + 12, 12, &length) || offset < 0 || length < 0)
			return corrupt(u, "the map of the sparse file is malformed");
		int result = add_piece(u, (uint64_t)offset, (uint64_t)length);
		if (result < 0)
			return result;
	}
	return 0;
}

/* PAX 0.1: "offset,length,offset,length,..." */
static int add_map_pieces(struct mr_untar *u, const char *at, const char *end)
{
	while (at < end) {
		uint64_t numbers[2];
		for (int i = 0; i < 2; i++) {
			const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
			const char *stop_at = comma ? comma : end;
			if (at >= end || !decimal(at, stop_at, &numbers[i]))
				return corrupt(u, "the map of the sparse file is malformed");
			at = stop_at + (comma != NULL);
		}
		int result = add_piece(u, numbers[0], numbers[1]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* ---- PAX records -------------------------------------------------------------------------------------------------------- */

static bool is(const char *key, const char *name)
{
	return strcmp(key, name) == 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* LIBARCHIVE.xattr: the name is percent-encoded, the value base64 without padding. Both are decoded in place. */
static void decode_name(char *name)
{
	char *out = name;

	for (; *name; name++) {
		if (name[0] == '%' && hex_digit(name[1]) >= 0 && hex_digit(name[2]) >= 0) {
			*out++ = (char)(hex_digit(name[1]) << 4 | hex_digit(name[2]));
			name += 2;
		} else {
			*out++ = *name;
		}
	}
	*out = '\0';
}

static bool decode_base64(char *value, size_t *length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned int held = 0;
	size_t used = 0;

	for (size_t i = 0; i < *length && value[i] != '='; i++) {
		const char *digit = value[i] ? strchr(digits, value[i]) : NULL;
		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - digits);
		held += 6;
		if (held >= 8) {
			held -= 8;
			value[used++] = (char)(bits >> held);
		}
	}
	*length = used;
	return true;
}

static int add_xattr(struct mr_untar *u, char *name, char *value, size_t length, bool encoded)
{
	if (encoded) {
		decode_name(name);
		if (!decode_base64(value, &length))
			return corrupt(u, "an extended attribute is malformed");
	}
	if (!*name)
		return corrupt(u, "an extended attribute has no name");
	if (u->entry.xattr_count == XATTRS_MAX)
		return corrupt(u, "the entry has too many extended attributes");
	u->xattrs[u->entry.xattr_count++] = (struct mr_xattr){ name, value, length };
	return 0;
}

static int take_sparse_record(struct mr_untar *u, const char *key, char *value, const char *end)
{
	uint64_t number = 0;
	bool numeric = decimal(value, end, &number);

	if (is(key, "name")) {
		u->records.sparse_name = value;
		return 0;
	}
	if (is(key, "map"))
		return add_map_pieces(u, value, end);
	if (!numeric)
		return corrupt(u, "a record of the sparse file is malformed");
	if (is(key, "size") || is(key, "realsize")) {
		u->records.sparse_size = number;
		u->records.has_sparse_size = true;
	} else if (is(key, "major") || is(key, "minor")) {
		if (number != (is(key, "major") ? 1 : 0) && number != 0)
			return corrupt(u, "the sparse file has an unknown format");
		u->records.is_sparse_1 |= is(key, "major") && number == 1;
	} else if (is(key, "offset")) {
		if (u->records.has_offset)
			return corrupt(u, "the map of the sparse file is malformed");
		u->records.has_offset = true;
		return add_piece(u, number, 0);
	} else if (is(key, "numbytes")) {
		if (!u->records.has_offset)
			return corrupt(u, "the map of the sparse file is malformed");
		u->records.has_offset = false;
		u->pieces[u->piece_count - 1].length = number;
	}
	return 0;
}

/* One record; value[length] is NUL. */
static int take_record(struct mr_untar *u, char *key, char *value, size_t length)
{
	static const char schily[] = "SCHILY.xattr.", libarchive[] = "LIBARCHIVE.xattr.", sparse[] = "GNU.sparse.";
	const char *end = value + length;

	if (strncmp(key, schily, sizeof schily - 1) == 0)
		return add_xattr(u, key + sizeof schily - 1, value, length, false);
	if (strncmp(key, libarchive, sizeof libarchive - 1) == 0)
		return add_xattr(u, key + sizeof libarchive - 1, value, length, true);
	if (length == 0)
		return 0; /* an empty value takes an earlier one back; of those there are none */
	if (is(key, "path") || is(key, "linkpath") || is(key, "GNU.sparse.name")) {
		if (memchr(value, '\0', length))
			return corrupt(u, "a name in an extended header holds a NUL");
	}
	if (strncmp(key, sparse, sizeof sparse - 1) == 0)
		return take_sparse_record(u, key + sizeof sparse - 1, value, end);
	bool good = true;
	if (is(key, "path"))
		u->records.name = value;
	else if (is(key, "linkpath"))
		u->records.link = value;
	else if (is(key, "size"))
		good = u->records.has_size = decimal(value, end, &u->records.size);
	else if (is(key, "uid"))
		good = u->records.has_uid = decimal(value, end, &u->records.uid);
	else if (is(key, "gid"))
		good = u->records.has_gid = decimal(value, end, &u->records.gid);
	else if (is(key, "mtime"))
		good = u->records.has_time = decimal_time(value, end, &u->entry.seconds, &u->entry.nanoseconds);
	return good ? 0 : corrupt(u, "a number in an extended header is malformed");
}

/* Records are "LENGTH KEY=VALUE\n", LENGTH counting all of it; they are cut into strings in place. */
static int take_records(struct mr_untar *u)
{
	char *at = u->pax;
	char *end = u->pax + u->pax_length;

	while (at < end) {
		uint64_t length;
		char *space = memchr(at, ' ', (size_t)(end - at) < 20 ? (size_t)(end - at) : 20);
		if (!space || !decimal(at, space, &length) || length > (uint64_t)(end - at) || at + length <= space + 1 || at[length - 1] != '\n')
			return corrupt(u, "an extended header is malformed");
		char *last = at + length - 1;
		char *equals = memchr(space + 1, '=', (size_t)(last - space - 1));
		if (!equals || equals == space + 1 || memchr(space + 1, '\0', (size_t)(equals - space - 1)))
			return corrupt(u, "an extended header is malformed");
		*equals = *last = '\0';
		int result = take_record(u, space + 1, equals + 1, (size_t)(last - equals - 1));
		if (result < 0)
			return result;
		at += length;
	}
	return u->records.has_offset ? corrupt(u, "the map of the sparse file is malformed") : 0;
}

/* ---- Headers ---------------------------------------------------------------------------------------------------------- */

static void copy_string(char *out, const uint8_t *field, size_t length)
{
	size_t used = strnlen((const char *)field, length);

	memcpy(out, field, used);
	out[used] = '\0';
}

static bool is_zero(const uint8_t *block)
{
	static const uint8_t zero[BLOCK];

	return memcmp(block, zero, BLOCK) == 0;
}

/* The sum of all bytes with the field itself as spaces; old writers added them as signed. */
static bool checksum_holds(const uint8_t *block)
{
	int64_t said, plain = 0, with_sign = 0;

	if (!field_number(block + 148, 8, &said))
		return false;
	for (size_t i = 0; i < BLOCK; i++) {
		uint8_t byte = i >= 148 && i < 156 ? ' ' : block[i];
		plain += byte;
		with_sign += (int8_t)byte;
	}
	return said == plain || said == with_sign;
}

static void forget_extensions(struct mr_untar *u)
{
	free(u->pax);
	free(u->long_name);
	free(u->long_link);
	u->pax = u->long_name = u->long_link = NULL;
	u->pax_length = 0;
	u->pending = false;
}

/* The name of the header: prefix and name for ustar, the prefix being shorter in star's variant. */
static void header_name(struct mr_untar *u)
{
	const uint8_t *b = u->block;
	size_t used = 0;

	if (memcmp(b + 257, "ustar\0", 6) == 0 && b[345]) {
		copy_string(u->header_name, b + 345, memcmp(b + 508, "tar", 4) == 0 ? 131 : 155);
		used = strlen(u->header_name);
		u->header_name[used++] = '/';
	}
	copy_string(u->header_name + used, b, 100);
	copy_string(u->header_link, b + 157, 100);
}

/* The block's plain fields, then what extended headers say instead. `size` becomes the length of the data. */
static int merge_header(struct mr_untar *u, uint64_t *size)
{
	const uint8_t *b = u->block;
	struct mr_entry *e = &u->entry;
	int64_t mode, uid, gid, length, seconds, major = 0, minor = 0;
	bool has_device = memcmp(b + 257, "ustar", 5) == 0 && (e->type == '3' || e->type == '4');

	memset(&u->records, 0, sizeof u->records);
	u->piece_count = 0;
	header_name(u);
	e->name = u->long_name ? u->long_name : u->header_name;
	e->link = u->long_link ? u->long_link : u->header_link;
	if (!field_number(b + 100, 8, &mode) || !field_number(b + 108, 8, &uid) || !field_number(b + 116, 8, &gid) ||
	    !field_number(b + 124, 12, &length) || !field_number(b + 136, 12, &seconds) ||
	    (has_device && (!field_number(b + 329, 8, &major) || !field_number(b + 337, 8, &minor))))
		return corrupt(u, "a number in the header is malformed");
	e->seconds = seconds;
	e->nanoseconds = 0;
	e->xattr_count = 0;
	e->holes = false;
	if (u->pax) {
		int result = take_records(u);
		if (result < 0)
			return result;
	}
	if (u->records.name && !u->long_name)
		e->name = u->records.name;
	if (u->records.sparse_name)
		e->name = u->records.sparse_name;
	if (u->records.link && !u->long_link)
		e->link = u->records.link;
	if (u->records.has_uid)
		uid = (int64_t)u->records.uid;
	if (u->records.has_gid)
		gid = (int64_t)u->records.gid;
	if (u->records.has_size)
		length = (int64_t)u->records.size;
	/* 0xffffffff would mean "leave as it is" to chown(2), so that the file stayed root's. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return corrupt(u, "the owner is not a possible user or group id");
	if (length < 0 || mode < 0 || major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff)
		return corrupt(u, "a number in the header is out of range");
	e->mode = (uint32_t)mode & 07777;
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	e->major = (uint32_t)major;
	e->minor = (uint32_t)minor;
	*size = (uint64_t)length;
	return 0;
}

static void end_meta(struct mr_untar *u)
{
	u->meta[u->meta_used] = '\0';
	switch (u->meta_type) {
	case 'x':
	case 'X':
		free(u->pax);
		u->pax = u->meta;
		u->pax_length = u->meta_used;
		u->pending = true;
		break;
	case 'L':
		free(u->long_name);
		u->long_name = u->meta;
		u->pending = true;
		break;
	case 'K':
		free(u->long_link);
		u->long_link = u->meta;
		u->pending = true;
		break;
	default:
		free(u->meta);
		break;
	}
	u->meta = NULL;
	u->state = PAD;
}

/* An extended header ('x', 'L', 'K') or one to pass over ('g', 'V'): its content follows. */
static int begin_meta(struct mr_untar *u, char type)
{
	int64_t size;

	if (!field_number(u->block + 124, 12, &size) || size < 0 || size > META_MAX)
		return corrupt(u, "an extended header is too large");
	u->meta_type = type;
	u->meta_used = 0;
	u->left = (uint64_t)size;
	u->padding = (uint32_t)(-size & (BLOCK - 1));
	u->meta = malloc((size_t)size + 1);
	if (!u->meta)
		return stop(u, -ENOMEM, "no memory for an extended header");
	u->state = META;
	if (u->left == 0)
		end_meta(u);
	return 0;
}

static int end_file(struct mr_untar *u)
{
	int result = u->open ? mr_layer_end(u->layer, &u->entry) : 0; /* not open: made of nothing else, or handed over */

	u->open = false;
	u->state = PAD;
	if (result < 0)
		return stop_layer(u, result);
	u->entry.name = NULL; /* may lie in what is freed now */
	forget_extensions(u);
	return 0;
}

/* All about the entry is known: make it, then its data come. */
static int begin_file(struct mr_untar *u)
{
	if (u->left > u->max_bytes || u->bytes > u->max_bytes - u->left || u->entry.size > INT64_MAX)
		return corrupt(u, "it unpacks to more than there is space for: free some space and try again");
	if (u->sparse) {
		int result = check_pieces(u, u->left);
		if (result < 0)
			return result;
	}
	int result = mr_layer_entry(u->layer, &u->entry);
	if (result < 0)
		return stop_layer(u, result);
	u->open = result == 1;
	u->offset = 0;
	u->piece = 0;
	u->piece_done = 0;
	u->state = DATA;
	return u->left ? 0 : end_file(u);
}

static int begin_sparse(struct mr_untar *u)
{
	int64_t real = 0;

	u->entry.holes = true;
	if (u->block[156] != 'S') { /* PAX */
		if (!u->records.has_sparse_size)
			return corrupt(u, "the sparse file has no size");
		u->entry.size = u->records.sparse_size;
		if (!u->records.is_sparse_1)
			return begin_file(u);
		if (u->piece_count)
			return corrupt(u, "the sparse file has two maps");
		u->map_wanted = UINT64_MAX;
		u->map_number = u->map_digits = 0;
		u->state = SPARSE_MAP;
		return 0;
	}
	if (!field_number(u->block + 483, 12, &real) || real < 0)
		return corrupt(u, "the sparse file has no size");
	u->entry.size = (uint64_t)real;
	int result = add_header_pieces(u, u->block + 386, 4);
	if (result < 0)
		return result;
	if (!u->block[482])
		return begin_file(u);
	u->state = SPARSE_HEADER;
	return 0;
}

static uint32_t owner(uint32_t id, uint32_t first, uint32_t size)
{
	if (size == 0)
		return first;
	return id < size ? first + id : id;
}

static int begin_entry(struct mr_untar *u, char type)
{
	uint64_t size = 0;

	if (++u->entries > u->max_entries)
		return corrupt(u, "the archive has more entries than allowed");
	u->entry.type = type == '7' || type == 'S' ? '0' : type == 'D' ? '5' : type;
	int result = merge_header(u, &size);
	if (result < 0)
		return result;
	if (u->owned) {
		u->entry.uid = owner(u->entry.uid, u->own_uid, u->own_size);
		u->entry.gid = owner(u->entry.gid, u->own_gid, u->own_size);
	}
	if (type == '\0') { /* before ustar a directory was a file whose name ends in a slash */
		size_t length = strlen(u->entry.name);
		u->entry.type = length && u->entry.name[length - 1] == '/' ? '5' : '0';
	}
	if (u->entry.type != '0' && type != 'D')
		size = 0;
	u->entry.size = size;
	u->left = size;
	u->padding = (uint32_t)(-size & (BLOCK - 1));
	u->sparse = u->entry.type == '0' && (type == 'S' || u->piece_count || u->records.is_sparse_1 || u->records.has_sparse_size);
	return u->sparse ? begin_sparse(u) : begin_file(u);
}

static int on_header(struct mr_untar *u)
{
	char type = (char)u->block[156];

	u->entry.name = NULL;
	if (is_zero(u->block)) {
		if (u->pending)
			return corrupt(u, "the archive ends behind an extended header");
		if (u->zero_block)
			u->state = END;
		u->zero_block = true;
		return 0;
	}
	if (u->zero_block)
		return corrupt(u, "there is a single zero block between entries");
	if (!checksum_holds(u->block))
		return corrupt(u, u->entries ? "the checksum of a header doesn't match" : "this is no tar archive");
	switch (type) {
	case '\0':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case 'S':
	case 'D':
		return begin_entry(u, type);
	case 'x':
	case 'X':
	case 'L':
	case 'K':
	case 'g':
	case 'V':
		if (++u->entries > u->max_entries)
			return corrupt(u, "the archive has more entries than allowed");
		return begin_meta(u, type);
	default:
		header_name(u);
		u->entry.name = u->header_name;
		return corrupt(u, "the entry is of an unknown type");
	}
}

/* ---- Data ---------------------------------------------------------------------------------------------------------------- */

static int write_plain(struct mr_untar *u, const uint8_t *at, size_t length)
{
	int result = u->open ? mr_layer_write(u->layer, u->offset, at, length) : 0;

	u->offset += length;
	return result;
}

static int write_sparse(struct mr_untar *u, const uint8_t *at, size_t length)
{
	while (length) {
		const struct piece *p = &u->pieces[u->piece]; /* check_pieces: they add up to the data */
		uint64_t rest = p->length - u->piece_done;
		if (rest == 0) {
			u->piece++;
			u->piece_done = 0;
			continue;
		}
		size_t now = rest < length ? (size_t)rest : length;
		int result = u->open ? mr_layer_write(u->layer, p->offset + u->piece_done, at, now) : 0;
		if (result < 0)
			return result;
		u->piece_done += now;
		at += now;
		length -= now;
	}
	return 0;
}

/* PAX 1.0: the data begin with decimal numbers, one a line: how many pieces, then offset and length of each; padded to blocks. */
static int on_map_block(struct mr_untar *u)
{
	if (u->left < BLOCK)
		return corrupt(u, "the map of the sparse file is longer than its data");
	u->left -= BLOCK;
	for (size_t i = 0; i < BLOCK && u->map_wanted; i++) {
		char c = (char)u->block[i];
		if (c >= '0' && c <= '9' && ++u->map_digits <= 18) {
			u->map_number = u->map_number * 10 + (uint64_t)(c - '0');
			continue;
		}
		if (c != '\n' || u->map_digits == 0)
			return corrupt(u, "the map of the sparse file is malformed");
		if (u->map_wanted == UINT64_MAX) {
			if (u->map_number > PIECES_MAX)
				return corrupt(u, "the sparse file has too many pieces");
			u->map_wanted = 2 * u->map_number;
		} else {
			if (u->map_wanted-- % 2 == 0) {
				u->map_offset = u->map_number;
			} else {
				int result = add_piece(u, u->map_offset, u->map_number);
				if (result < 0)
					return result;
			}
		}
		u->map_number = u->map_digits = 0;
	}
	return u->map_wanted ? 0 : begin_file(u);
}

static int on_block(struct mr_untar *u)
{
	int result;

	u->filled = 0;
	switch (u->state) {
	case HEADER:
		return on_header(u);
	case SPARSE_MAP:
		return on_map_block(u);
	default: /* SPARSE_HEADER: 21 more pieces, and whether yet another block follows */
		result = add_header_pieces(u, u->block, 21);
		if (result < 0 || u->block[504])
			return result;
		return begin_file(u);
	}
}

static size_t take_data(struct mr_untar *u, const uint8_t *at, size_t length)
{
	size_t now = u->left < length ? (size_t)u->left : length;
	bool is_whole = now == u->left && u->offset == 0 && !u->sparse;

	if (u->open && is_whole && mr_layer_hand_over(u->layer, &u->entry, at, now))
		u->open = false;
	int result = u->sparse ? write_sparse(u, at, now) : write_plain(u, at, now);
	if (result < 0) {
		(void)stop_layer(u, result);
		return now;
	}
	u->bytes += now;
	u->left -= now;
	if (u->left == 0)
		(void)end_file(u);
	return now;
}

static size_t take_meta(struct mr_untar *u, const uint8_t *at, size_t length)
{
	size_t now = u->left < length ? (size_t)u->left : length;

	memcpy(u->meta + u->meta_used, at, now);
	u->meta_used += now;
	u->left -= now;
	if (u->left == 0)
		end_meta(u);
	return now;
}

static size_t take_block(struct mr_untar *u, const uint8_t *at, size_t length)
{
	size_t now = BLOCK - u->filled < length ? BLOCK - u->filled : length;

	memcpy(u->block + u->filled, at, now);
	u->filled += now;
	if (u->filled == BLOCK)
		(void)on_block(u);
	return now;
}

static size_t take_padding(struct mr_untar *u, size_t length)
{
	size_t now = u->padding < length ? u->padding : length;

	u->padding -= (uint32_t)now;
	if (u->padding == 0)
		u->state = HEADER;
	return now;
}

/* ---- The interface ---------------------------------------------------------------------------------------------------------- */

struct mr_untar *mr_untar_new(int root, const int *lowers, unsigned int count, uint64_t max_entries, uint64_t max_bytes,
                              unsigned int flags)
{
	struct mr_untar *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	u->layer = mr_layer_new(root, lowers, count, flags);
	if (!u->layer) {
		free(u);
		return NULL;
	}
	u->flags = flags;
	u->max_entries = max_entries;
	u->max_bytes = max_bytes;
	u->entry.xattrs = u->xattrs;
	return u;
}

int mr_untar_feed(struct mr_untar *u, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	while (length && u->result == 0 && u->state != END) {
		size_t taken;
		if (u->state == META)
			taken = take_meta(u, at, length);
		else if (u->state == DATA)
			taken = take_data(u, at, length);
		else if (u->state == PAD)
			taken = take_padding(u, length);
		else
			taken = take_block(u, at, length);
		at += taken;
		length -= taken;
	}
	const char *name;
	int settled = mr_layer_settle(u->layer, &name); /* they are written from `bytes` */
	if (settled < 0 && u->result == 0) {
		u->entry.name = name;
		(void)stop_layer(u, settled);
		u->entry.name = NULL;
	}
	return u->result;
}

int mr_untar_finish(struct mr_untar *u)
{
	if (u->result < 0)
		return u->result;
	if (u->state == PAD && u->padding == 0)
		u->state = HEADER;
	if (u->state != END && (u->state != HEADER || u->filled))
		return corrupt(u, u->entries ? "the archive is cut off" : "this is no tar archive, or its beginning only");
	u->entry.name = NULL;
	if (u->pending)
		return corrupt(u, "the archive ends behind an extended header");
	if (u->state != END && !u->zero_block && (u->flags & MR_UNTAR_END_MARK))
		return corrupt(u, u->entries ? "the archive has no end mark: it is cut off" : "the archive is empty");
	int result = mr_layer_finish(u->layer);
	return result < 0 ? stop_layer(u, result) : 0;
}

int mr_untar_beneath(struct mr_untar *u, const char *directory)
{
	return mr_layer_beneath(u->layer, directory);
}

void mr_untar_own(struct mr_untar *u, uint32_t uid, uint32_t gid, uint32_t size)
{
	u->owned = true;
	u->own_uid = uid;
	u->own_gid = gid;
	u->own_size = size;
}

const char *mr_untar_error(const struct mr_untar *u)
{
	return u->error;
}

uint64_t mr_untar_bytes(const struct mr_untar *u)
{
	return u->bytes;
}

uint64_t mr_untar_entries(const struct mr_untar *u)
{
	return u->entries;
}

void mr_untar_free(struct mr_untar *u)
{
	if (!u)
		return;
	forget_extensions(u);
	free(u->meta);
	free(u->pieces);
	mr_layer_free(u->layer);
	free(u);
}
