/* log.h: the container's log, one JSON object a line.
 *
 * Owns: the text of a record, the file it goes to, rotation, what happens when the disk is full.
 * Leaves to others: where the bytes come from (monitor_output.c), reading the log (minirun/monitor/logs.py).
 */
#ifndef MINIRUN_LOG_H
#define MINIRUN_LOG_H

#include <stddef.h>
#include <stdint.h>

/* A record, as docker's json-file driver writes it and log shippers read it:
 *
 *     {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}\n
 *
 * With attributes `"attrs":{"name":"value"},` stands before the time. One record is one line of output. A line longer than
 * MR_LOG_LINE bytes is split; every part but the last lacks the "\n", and so does a last line that the container never ended.
 * What isn't UTF-8 would be lost in JSON: such a byte XX is written as the lone surrogate escape "\udcXX", which is how Python's
 * "surrogateescape" (PEP 383) reads and writes undecodable bytes, so the output comes back byte for byte: json.loads(record)["log"].encode("utf-8", "surrogateescape").
 */
#define MR_LOG_LINE 16384u

/* python: begin */
#define MR_LOG_ATTRIBUTES_MAX 131072u
enum mr_log_stream { MR_LOG_STDOUT = 0, MR_LOG_STDERR = 1 };

struct mr_log;

/* Opens or creates the log for appending. At max_bytes (0: never) the file becomes path.1, path.1 becomes path.2, and so on up
 * to path.(max_files - 1); with max_files 1 it is emptied. A torn record at the end, of a monitor that was killed, is cut off.
 * `attributes` is copied into every record, as the text that it is. Gives 0 or -errno. */
int mr_log_open(struct mr_log **log, const char *path, uint64_t max_bytes, uint64_t max_files, const void *attributes,
		size_t attributes_length);

/* Logs what was read from a stream at that time (nanoseconds since the epoch). A line without its end is kept until the end
 * comes. Never fails for the caller: records that can't be written are dropped, counted, and mentioned in the log as soon
 * as writing works again. */
void mr_log_append(struct mr_log *log, enum mr_log_stream stream, const void *data, size_t length, uint64_t time_ns);

/* Logs the unfinished lines of both streams: no more output will come. */
void mr_log_finish(struct mr_log *log, uint64_t time_ns);

/* Gives buffers that aren't needed while nothing happens back to the kernel; the next append works as before. */
void mr_log_idle(struct mr_log *log);

void mr_log_close(struct mr_log *log);
/* python: end */

/* encode.c: writes `data` as the inside of a JSON string up to its first '\n' or `end`, and gives where it stopped. `*out` moves on
 * and needs room for 6 bytes for each byte of input and MR_ENCODE_SLACK more. */
#define MR_ENCODE_SLACK 64u
const unsigned char *mr_encode(unsigned char **out, const unsigned char *data, const unsigned char *end);

/* encode.c: writes "2026-01-02T03:04:05.123456789Z" (MR_TIME_LENGTH bytes, no NUL). */
#define MR_TIME_LENGTH 30u
void mr_encode_time(unsigned char *out, uint64_t time_ns);

#endif
