"""A program for tests of filters: makes one raw system call by one of the three ways into an x86 kernel, prints what came."""

PROBE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* probe native|int80|x32 NUMBER [ARGUMENT ...]: prints 0 (or the result) or -errno */
int main(int count, char **words)
{
	long arguments[6] = { 0 }, number, result;

	if (count < 3)
		return 2;
	number = strtol(words[2], NULL, 0);
	for (int place = 3; place < count && place < 9; place++)
		arguments[place - 3] = (long)strtoul(words[place], NULL, 0);
#if defined(__x86_64__)
	if (!strcmp(words[1], "int80")) {
		__asm__ volatile("int $0x80" : "=a"(result)
			: "a"(number), "b"(arguments[0]), "c"(arguments[1]), "d"(arguments[2]), "S"(arguments[3])
			: "memory", "r8", "r9", "r10", "r11");
		printf("%d\n", (int)result);
		return 0;
	}
	if (!strcmp(words[1], "x32"))
		number |= 0x40000000;
#endif
	result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	printf("%ld\n", result < 0 ? -(long)errno : result);
	return 0;
}
"""
