/* without.c: runs a program to which some system calls don't exist, as on an older kernel.
 *
 *     without NUMBER[,NUMBER...] PROGRAM [ARG...]     each is answered with ENOSYS, in the program and all that it starts
 *
 * Needs CAP_SYS_ADMIN, so that no_new_privs needn't be set. seccomp(2)
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 32

int main(int argc, char **argv)
{
	struct sock_filter filter[2 * CALLS_MAX + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	unsigned short length = 1;
	if (argc < 3)
		return 2;
	for (char *word = strtok(argv[1], ","); word && length <= 2 * CALLS_MAX; word = strtok(NULL, ",")) {
		filter[length++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(word, NULL, 10), 0, 1);
		filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	}
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = length, .filter = filter };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
		perror("seccomp");
		return 2;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}
