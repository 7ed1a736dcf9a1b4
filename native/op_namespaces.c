/* op_namespaces.c: namespaces that the child makes or joins by itself, and the names that live in them.
 *
 * Owns: unshare, setns, host name, session keyring, and the network operations' way to rtnetlink.c. Leaves to others:
 * namespaces made by clone3 (spawn.c) and joined for exec (enter.c).
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A netlink socket belongs to the network namespace that it was opened in. */
static void forget_network(struct mr_walk *walk)
{
	mr_close(&walk->netlink);
}

/* flags */
MR_ACTION(UNSHARE)
{
	forget_network(walk);
	return mr_result(unshare((int)argument[0].number));
}

/* slot flags */
MR_ACTION(SETNS)
{
	int namespace = mr_slot(walk, argument[0].number);

	if (namespace < 0)
		return namespace;
	forget_network(walk);
	return mr_result(setns(namespace, (int)argument[1].number));
}

/* name */
MR_ACTION(HOSTNAME)
{
	(void)walk;
	return mr_result(sethostname(argument[0].data, argument[0].length));
}

/* name */
MR_ACTION(DOMAINNAME)
{
	(void)walk;
	return mr_result(setdomainname(argument[0].data, argument[0].length));
}

/* name: without a session keyring of its own the container would hold the caller's. keyctl(2) */
MR_ACTION(KEYRING)
{
	(void)walk;
	return mr_result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, argument[0].data)) < 0 ? -errno : 0;
}

/* ---- Network ---- */

static int route_socket(struct mr_walk *walk)
{
	if (walk->netlink < 0)
		walk->netlink = mr_netlink_open(NETLINK_ROUTE);
	return walk->netlink;
}

/* name */
MR_ACTION(LINK_UP)
{
	int netlink = route_socket(walk);

	return netlink < 0 ? netlink : mr_op_link_up(netlink, argument[0].data);
}

/* name address prefix */
MR_ACTION(ADDRESS)
{
	int netlink = route_socket(walk);

	if (netlink < 0)
		return netlink;
	return mr_op_address(netlink, argument[0].data, argument[1].data, argument[1].length, (unsigned)argument[2].number);
}

/* name gateway */
MR_ACTION(ROUTE)
{
	int netlink = route_socket(walk);

	return netlink < 0 ? netlink : mr_op_route(netlink, argument[0].data, argument[1].data, argument[1].length);
}

/* name inside: needs CAP_NET_ADMIN over both network namespaces */
MR_ACTION(LINK_MOVE)
{
	int netlink = route_socket(walk);

	if (netlink < 0)
		return netlink;
	if (walk->child <= 0)
		return -EINVAL;
	return mr_op_link_move(netlink, argument[0].data, argument[1].data, walk->child);
}

/* bridge host_name peer_name mac */
MR_ACTION(VETH)
{
	int netlink = route_socket(walk);

	if (netlink < 0)
		return netlink;
	if (walk->child <= 0)
		return -EINVAL;
	return mr_op_veth(netlink, argument[0].data, argument[1].data, argument[2].data, argument[3].data,
			  argument[3].length, walk->child);
}

/* ---- User namespace ---- */

/* Where a process that we have made is found: on the trusted side in the host's /proc, in the child in one that counts processes
 * as the child does and that nobody has laid anything over. The walk keeps the second one. */
static int process_directory(struct mr_walk *walk, pid_t pid)
{
	MR_AUTOCLOSE host = -1;
	int procfs;
	char name[16];

	snprintf(name, sizeof name, "%d", pid); /* of fixed size: no allocation */
	if (walk->side == MR_SIDE_CHILD) {
		procfs = mr_private_procfs(walk);
	} else {
		host = mr_result(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
		procfs = host;
	}
	return procfs < 0 ? procfs : mr_result(openat(procfs, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* One write(2) for all lines: the kernel takes no second one. */
static int write_map(int process, const char *file, const struct mr_argument *map)
{
	MR_AUTOCLOSE descriptor = mr_result(openat(process, file, O_WRONLY | O_CLOEXEC));
	ssize_t written;

	if (descriptor < 0)
		return descriptor;
	written = write(descriptor, map->data, map->length);
	if (written < 0)
		return -errno;
	return written == (ssize_t)map->length ? 0 : -EIO;
}

static int write_maps(int process, const struct mr_argument *uid_map, const struct mr_argument *gid_map)
{
	int error = write_map(process, "gid_map", gid_map);

	return error < 0 ? error : write_map(process, "uid_map", uid_map);
}

/* uid_map gid_map: user_namespaces(7); needs CAP_SETUID and CAP_SETGID in the parent namespace */
MR_ACTION(ID_MAP)
{
	MR_AUTOCLOSE process = -1;

	if (walk->child <= 0)
		return -EINVAL;
	process = process_directory(walk, walk->child);
	return process < 0 ? process : write_maps(process, &argument[0], &argument[1]);
}

/* The process that a user namespace is made with only waits to be killed. */
static _Noreturn void hold(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	mr_exit(0);
}

/* slot uid_map gid_map: a namespace without processes, to map mounts by. It lives as long as its descriptor. Privileges as ID_MAP. */
MR_ACTION(USER_NAMESPACE)
{
	pid_t self = getpid(), pid = mr_clone(CLONE_NEWUSER, NULL, -1);
	MR_AUTOCLOSE process = -1;
	int error, namespace = -1;

	if (pid == 0)
		hold(self);
	if (pid < 0)
		return (int)pid;
	process = process_directory(walk, pid);
	error = process < 0 ? process : write_maps(process, &argument[1], &argument[2]);
	if (error == 0)
		namespace = mr_result(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return error < 0 ? error : mr_slot_set(walk, argument[0].number, namespace);
}
