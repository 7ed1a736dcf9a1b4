/* log.c: records into a file that rotates. See log.h for the format and the promises. */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_BEGIN "{\"log\":\""
#define LOG_END_MAX 80u /* `","stream":"stdout","time":"..."}` and newline, rounded up */
#define END_STREAM 20u /* `","stream":"stdout",` */
#define END_TIME (8u + MR_TIME_LENGTH + 3u) /* `"time":"..."}` and newline */
#define LOG_RECORD_MAX (sizeof LOG_BEGIN + 6u * MR_LOG_LINE + 2u + LOG_END_MAX + MR_ENCODE_SLACK)
#define LOG_TEXT (384u * 1024u) /* encoded records on their way to the file; several of the longest fit */

struct partial { /* the beginning of a line whose end hasn't come yet */
	size_t length;
	unsigned char bytes[MR_LOG_LINE];
};

/* Mapped, not static: pages count only once they are touched, and mr_log_idle gives them back. */
struct buffers {
	unsigned char text[LOG_TEXT];
	struct partial partial[2];
};

struct mr_log {
	int directory;
	int file; /* -1: the next write tries to open it */
	char name[NAME_MAX + 1];
	uint64_t size, max_bytes;
	unsigned max_files;
	uint64_t dropped; /* records */
	int dropped_because;
	size_t used; /* of text */
	struct buffers *buffers;
	/* what follows a record's text, made once for each append */
	size_t end_length, attributes_length;
	unsigned char *attributes; /* behind `end` */
	unsigned char end[];	   /* LOG_END_MAX and attributes_length */
};

static size_t log_size(size_t attributes_length)
{
	return sizeof(struct mr_log) + LOG_END_MAX + 2 * attributes_length;
}

static size_t record_max(const struct mr_log *log)
{
	return LOG_RECORD_MAX + log->attributes_length;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static int open_file(struct mr_log *log)
{
	log->file = openat(log->directory, log->name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
			   0640);
	if (log->file < 0)
		return -errno;
	struct stat status;
	if (fstat(log->file, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	log->size = (uint64_t)status.st_size;
	return 0;
}

/* A monitor that was killed in the middle of a write leaves part of a record: it would spoil the line that comes after it. */
static int cut_torn_record(struct mr_log *log)
{
	unsigned char *tail = log->buffers->text;
	uint64_t start = log->size > record_max(log) ? log->size - record_max(log) : 0;
	ssize_t got = pread(log->file, tail, (size_t)(log->size - start), (off_t)start);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	unsigned char *newline = memrchr(tail, '\n', (size_t)got);
	uint64_t whole = newline ? start + (uint64_t)(newline - tail) + 1 : start;
	if (whole != log->size && ftruncate(log->file, (off_t)whole) < 0)
		return -errno;
	log->size = whole;
	return 0;
}

/* path.1 is the newest of the old ones. What can't be renamed is overwritten: a full or read-only disk must not stop us here. */
static int rotate(struct mr_log *log)
{
	if (log->max_files <= 1) {
		if (ftruncate(log->file, 0) < 0)
			return -errno;
		log->size = 0;
		return 0;
	}
	char older[NAME_MAX + 1], newer[NAME_MAX + 1];
	/* The oldest is removed first instead of being renamed over: a rename that replaces a file makes ext4 write the new one to the
	 * disk at once (ext4(5), auto_da_alloc), at half the speed. */
	snprintf(older, sizeof older, "%.240s.%u", log->name, log->max_files - 1);
	unlinkat(log->directory, older, 0);
	for (unsigned number = log->max_files - 1; number > 0; number--) {
		snprintf(older, sizeof older, "%.240s.%u", log->name, number);
		if (number > 1)
			snprintf(newer, sizeof newer, "%.240s.%u", log->name, number - 1);
		else
			memcpy(newer, log->name, sizeof newer);
		if (renameat(log->directory, newer, log->directory, older) < 0 && errno != ENOENT && number == 1)
			return -errno;
	}
	close(log->file);
	return open_file(log);
}

static uint64_t count_records(const unsigned char *text, size_t length)
{
	uint64_t count = 0;
	const unsigned char *end = text + length;
	while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
		count++;
		text++;
	}
	return count;
}

/* Writes whole records, or as many of them as there is space for: the file never ends inside one. */
static int write_records(struct mr_log *log, const unsigned char *text, size_t length)
{
	size_t done = 0;
	while (done < length) {
		ssize_t wrote = write(log->file, text + done, length - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			int error = wrote < 0 ? errno : EIO;
			const unsigned char *newline = memrchr(text, '\n', done);
			size_t whole = newline ? (size_t)(newline - text) + 1 : 0;
			/* shrinking needs no space; if even that fails, the torn record is cut off at the next open */
			if (whole != done && ftruncate(log->file, (off_t)(log->size + whole)) < 0)
				whole = done;
			log->size += whole;
			log->dropped += count_records(text + whole, length - whole);
			log->dropped_because = error;
			return -error;
		}
		done += (size_t)wrote;
	}
	log->size += length;
	return 0;
}

static int write_note(struct mr_log *log)
{
	char note[320];
	int length = snprintf(note, sizeof note,
			      LOG_BEGIN "minirun: %llu records are missing here, the log could not be written: %s\\n%.*s%.*s",
			      (unsigned long long)log->dropped, strerror(log->dropped_because), (int)END_STREAM,
			      log->end, (int)END_TIME, log->end + log->end_length - END_TIME); /* without attributes */
	uint64_t before = log->dropped;
	int because = log->dropped_because;
	int status = write_records(log, (const unsigned char *)note, (size_t)length);
	log->dropped = status < 0 ? before : 0;
	log->dropped_because = status < 0 ? because : 0;
	return status;
}

/* How much of the text fits into the current file, in whole records; 0 when it is time to rotate. */
static size_t fitting(const struct mr_log *log, const unsigned char *text, size_t length)
{
	if (!log->max_bytes || log->size + length <= log->max_bytes)
		return length;
	size_t room = log->size < log->max_bytes ? (size_t)(log->max_bytes - log->size) : 0;
	const unsigned char *newline = room ? memrchr(text, '\n', room) : NULL;
	if (!newline && log->size == 0) /* one record is larger than a file may be */
		newline = memchr(text, '\n', length);
	return newline ? (size_t)(newline - text) + 1 : 0;
}

static void flush(struct mr_log *log)
{
	const unsigned char *text = log->buffers->text;
	size_t left = log->used;
	log->used = 0;
	while (left > 0) {
		int status = log->file < 0 ? open_file(log) : 0;
		if (status == 0 && log->dropped)
			status = write_note(log);
		size_t length = status == 0 ? fitting(log, text, left) : left;
		if (status == 0 && length == 0) {
			status = rotate(log);
			if (status == 0)
				continue;
			length = left;
		}
		if (status == 0) {
			write_records(log, text, length);
		} else {
			log->dropped += count_records(text, length);
			log->dropped_because = -status;
		}
		text += length;
		left -= length;
	}
}

/* ---- records ------------------------------------------------------------------------------------------------- */

static void set_end(struct mr_log *log, enum mr_log_stream stream, uint64_t time_ns)
{
	static const char begin[2][END_STREAM + 1] = { "\",\"stream\":\"stdout\",", "\",\"stream\":\"stderr\"," };
	unsigned char *at = mempcpy(log->end, begin[stream], END_STREAM);
	at = mempcpy(at, log->attributes, log->attributes_length);
	at = mempcpy(at, "\"time\":\"", END_TIME - MR_TIME_LENGTH - 3);
	mr_encode_time(at, time_ns);
	at = mempcpy(at + MR_TIME_LENGTH, "\"}\n", 3);
	log->end_length = (size_t)(at - log->end);
}

static unsigned char *put_end(const struct mr_log *log, unsigned char *to)
{
	memcpy(to, log->end, LOG_END_MAX); /* a constant length is a few vector moves */
	if (log->attributes_length)
		memcpy(to, log->end, log->end_length);
	return to + log->end_length;
}

/* Where to split a line that is too long: not inside a character, if it looks like one. */
static const unsigned char *before_cut_character(const unsigned char *limit)
{
	for (int back = 1; back <= 3; back++) {
		unsigned char byte = limit[-back];
		if ((byte & 0xc0) == 0x80)
			continue;
		int length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
		return length > back ? limit - back : limit;
	}
	return limit;
}

/* Turns whole lines, and parts of too long ones, into records; gives how many bytes that were. */
static size_t take_lines(struct mr_log *log, const unsigned char *data, size_t length)
{
	const unsigned char *at = data, *end = data + length;
	while (at < end) {
		if (LOG_TEXT - log->used < record_max(log))
			flush(log);
		int too_long = (size_t)(end - at) >= MR_LOG_LINE;
		const unsigned char *limit = too_long ? before_cut_character(at + MR_LOG_LINE) : end;
		unsigned char *to = log->buffers->text + log->used;
		memcpy(to, LOG_BEGIN, sizeof LOG_BEGIN - 1);
		to += sizeof LOG_BEGIN - 1;
		const unsigned char *stop = mr_encode(&to, at, limit);
		if (stop < limit) {
			memcpy(to, "\\n", 2);
			to += 2;
			stop++;
		} else if (!too_long) {
			break; /* the end of this line is yet to come: forget what was encoded of it */
		}
		at = stop;
		log->used = (size_t)(put_end(log, to) - log->buffers->text);
	}
	return (size_t)(at - data);
}

/* Adds to an unfinished line until it is finished or full, and gives how many bytes that took. */
static size_t continue_line(struct mr_log *log, struct partial *line, const unsigned char *data, size_t length)
{
	size_t room = MR_LOG_LINE - line->length, take = length < room ? length : room;
	const unsigned char *newline = memchr(data, '\n', take);
	if (newline)
		take = (size_t)(newline - data) + 1;
	memcpy(line->bytes + line->length, data, take);
	line->length += take;
	if (newline || line->length == MR_LOG_LINE) {
		size_t done = take_lines(log, line->bytes, line->length);
		line->length -= done;
		memmove(line->bytes, line->bytes + done, line->length);
	}
	return take;
}

void mr_log_append(struct mr_log *log, enum mr_log_stream stream, const void *data, size_t length, uint64_t time_ns)
{
	struct partial *line = &log->buffers->partial[stream];
	const unsigned char *at = data, *end = at + length;
	set_end(log, stream, time_ns);
	while (at < end && line->length > 0)
		at += continue_line(log, line, at, (size_t)(end - at));
	if (at < end) {
		at += take_lines(log, at, (size_t)(end - at));
		line->length = (size_t)(end - at);
		memcpy(line->bytes, at, line->length);
	}
	flush(log);
}

void mr_log_finish(struct mr_log *log, uint64_t time_ns)
{
	for (int stream = MR_LOG_STDOUT; stream <= MR_LOG_STDERR; stream++) {
		struct partial *line = &log->buffers->partial[stream];
		if (!line->length)
			continue;
		set_end(log, (enum mr_log_stream)stream, time_ns);
		unsigned char *to = log->buffers->text;
		memcpy(to, LOG_BEGIN, sizeof LOG_BEGIN - 1);
		to += sizeof LOG_BEGIN - 1;
		mr_encode(&to, line->bytes, line->bytes + line->length);
		log->used = (size_t)(put_end(log, to) - log->buffers->text);
		line->length = 0;
		flush(log);
	}
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

int mr_log_open(struct mr_log **result, const char *path, uint64_t max_bytes, uint64_t max_files, const void *attributes,
		size_t attributes_length)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t name_length = strlen(name), directory_length = slash ? (size_t)(slash - path) + 1 : 2;
	char directory[PATH_MAX];
	if (name_length == 0 || name_length > 240 || directory_length >= sizeof directory)
		return -ENAMETOOLONG;
	if (attributes_length > MR_LOG_ATTRIBUTES_MAX)
		return -E2BIG;
	memcpy(directory, slash ? path : "./", directory_length);
	directory[directory_length] = 0;

	struct mr_log *log = mmap(NULL, log_size(attributes_length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct buffers *buffers = mmap(NULL, sizeof *buffers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (log == MAP_FAILED || buffers == MAP_FAILED)
		return -ENOMEM;
	log->buffers = buffers;
	log->attributes_length = attributes_length;
	log->attributes = log->end + LOG_END_MAX + attributes_length;
	if (attributes_length)
		memcpy(log->attributes, attributes, attributes_length);
	log->max_bytes = max_bytes;
	log->max_files = max_files > 1000 ? 1000 : (unsigned)max_files;
	memcpy(log->name, name, name_length + 1);
	log->file = -1;
	log->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int status = log->directory < 0 ? -errno : open_file(log);
	if (status == 0)
		status = cut_torn_record(log);
	if (status < 0) {
		mr_log_close(log);
		return status;
	}
	mr_log_idle(log); /* the torn record was looked for in a buffer */
	*result = log;
	return 0;
}

void mr_log_idle(struct mr_log *log)
{
	struct partial *partial = log->buffers->partial;
	if (partial[0].length == 0 && partial[1].length == 0)
		madvise(log->buffers, sizeof *log->buffers, MADV_DONTNEED);
	else
		madvise(log->buffers, LOG_TEXT, MADV_DONTNEED); /* `text` comes first */
}

void mr_log_close(struct mr_log *log)
{
	if (log->file >= 0)
		close(log->file);
	if (log->directory >= 0)
		close(log->directory);
	munmap(log->buffers, sizeof *log->buffers);
	munmap(log, log_size(log->attributes_length));
}
