/* heard.c: notes in a file that a process has written a sentence, wherever to; for LD_PRELOAD.
 *
 *     HEARD_SENTENCE   what is listened for, in one write(2)
 *     HEARD_FILE       gets a line for each time
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t write(int descriptor, const void *data, size_t length)
{
	const char *sentence = getenv("HEARD_SENTENCE"), *file = getenv("HEARD_FILE");

	if (sentence && file && *sentence && memmem(data, length, sentence, strlen(sentence))) {
		int note = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (note >= 0) {
			syscall(SYS_write, note, "heard\n", 6);
			close(note);
		}
	}
	return syscall(SYS_write, descriptor, data, length);
}
