/* lacking.c: which system calls the kernel lacks.
 *
 * Owns: the list of those that minirun can't do without and that are younger than Linux 5.0. Leaves to others: who says so
 * (linux/syscalls.py), where one was called in vain. Needs no privilege.
 */
#include "internal.h"

#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	long number;
} calls[] = {
	{ "clone3", SYS_clone3 },
	{ "close_range", SYS_close_range },
	{ "faccessat2", SYS_faccessat2 },
	{ "fsconfig", SYS_fsconfig },
	{ "fsmount", SYS_fsmount },
	{ "fsopen", SYS_fsopen },
	{ "mount_setattr", SYS_mount_setattr },
	{ "move_mount", SYS_move_mount },
	{ "open_tree", SYS_open_tree },
	{ "openat2", SYS_openat2 },
	{ "pidfd_open", SYS_pidfd_open },
	{ "pidfd_send_signal", SYS_pidfd_send_signal },
};

/* All arguments are -1: to each of them an unknown flag, a size that can't be, or no descriptor. It does nothing but fail. */
const char *mr_lacking_call(int place)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (syscall(calls[i].number, -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == ENOSYS && place-- == 0)
			return calls[i].name;
	return NULL;
}
