/* op_terminal.c: the container's terminal.
 *
 * Owns: opening it, handing the master out, making the slave 0, 1, 2, the controlling terminal and /dev/console. Leaves to
 * others: moving bytes and sizes (the monitor).
 *
 * The pair comes from the container's own devpts, so that its programs find their terminal under /dev/pts. The slave is
 * opened through the master (TIOCGPTPEER), never by its path, and the console is mounted from the slave's descriptor: no
 * entry of /dev/pts is looked up by name (CVE-2025-52565).
 */
#include "mount_api.h"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* The master side: /dev/pts/ptmx of the root, if it is what it should be. */
static int open_master(int root)
{
	int master = mr_open_resolve(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS);
	struct statfs filesystem;
	struct stat status;
	int unlock = 0;

	if (master < 0)
		return master;
	if (fstat(master, &status) == 0 && fstatfs(master, &filesystem) == 0) {
		if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2) || filesystem.f_type != DEVPTS_SUPER_MAGIC)
			errno = ENOTTY;
		else if (ioctl(master, TIOCSPTLCK, &unlock) == 0)
			return master;
	}
	mr_close(&master);
	return -errno;
}

/* /dev/console is the slave, as system software in containers expects. */
static int mount_console(int root, int slave)
{
	int error = mr_make_beneath(root, "dev/console", S_IFREG, 0600);
	MR_AUTOCLOSE target = -1;
	MR_AUTOCLOSE mount = -1;

	if (error < 0)
		return error;
	target = mr_open_resolve(root, "dev/console", O_PATH, 0, RESOLVE_NO_SYMLINKS);
	if (target < 0)
		return target;
	mount = mr_open_tree(slave, "", false);
	return mount < 0 ? mount : mr_move_mount(mount, target);
}

/* root rows columns */
MR_ACTION(TERMINAL)
{
	struct winsize size = { .ws_row = (unsigned short)argument[1].number,
				.ws_col = (unsigned short)argument[2].number };
	struct mr_message message = { .kind = MR_MSG_TERMINAL };
	int root = mr_slot(walk, argument[0].number), slave, error;
	MR_AUTOCLOSE master = -1;

	if (root < 0)
		return root;
	master = open_master(root);
	if (master < 0)
		return master;
	if ((size.ws_row || size.ws_col) && ioctl(master, TIOCSWINSZ, &size) < 0)
		return -errno;
	slave = mr_result(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (slave < 0)
		return slave;
	mr_close(&walk->terminal);
	walk->terminal = slave;
	if (!walk->entered) { /* exec finds a console, that of the first process */
		error = mount_console(root, slave);
		if (error < 0)
			return error;
	}
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return -errno;
	for (int descriptor = 0; descriptor < 3; descriptor++)
		if (dup2(slave, descriptor) < 0)
			return -errno;
	return mr_send(walk->socket, &message, master);
}
