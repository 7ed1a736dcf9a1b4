/* heard.c: notes in a file what a process has written that holds a sentence, wherever to; for LD_PRELOAD.
 *
 *     HEARD_SENTENCE   what is listened for, in one write(2); Python's tracebacks are heard too
 *     HEARD_FILE       gets one line for each time: what was written, or "Traceback: PROGRAM ARG..."
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEBACK "Traceback (most recent call last)"
#define LINE_MAX_LENGTH 4096

static int holds(const void *data, size_t length, const char *sentence)
{
	return *sentence && memmem(data, length, sentence, strlen(sentence)) != NULL;
}

/* In one write, so that lines of several processes don't mix; a line feed or NUL in the middle becomes a space. */
static void note(const char *file, const char *kind, const char *data, size_t length)
{
	char line[LINE_MAX_LENGTH + 1];
	size_t end = strlen(kind);
	int descriptor = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (descriptor < 0)
		return;
	memcpy(line, kind, end);
	for (size_t i = 0; i < length && end < LINE_MAX_LENGTH; i++)
		line[end++] = data[i] == '\n' || data[i] == '\0' ? ' ' : data[i];
	line[end++] = '\n';
	syscall(SYS_write, descriptor, line, end);
	close(descriptor);
}

static void note_program(const char *file)
{
	char words[LINE_MAX_LENGTH / 2];
	int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = descriptor < 0 ? 0 : read(descriptor, words, sizeof words);

	note(file, "Traceback: ", words, length < 0 ? 0 : (size_t)length);
	if (descriptor >= 0)
		close(descriptor);
}

ssize_t write(int descriptor, const void *data, size_t length)
{
	const char *sentence = getenv("HEARD_SENTENCE"), *file = getenv("HEARD_FILE");

	if (sentence && file && holds(data, length, sentence))
		note(file, "", data, length);
	if (file && holds(data, length, TRACEBACK))
		note_program(file);
	return syscall(SYS_write, descriptor, data, length);
}
