/* bare.c: the yardstick. The system calls that any container start has to make, one after the other, with constants for
 * arguments and without a single check that a runtime owes its users: no plan, no hostile paths, no monitor, no log.
 *
 *     bare ROOTFS DIRECTORY [BRIDGE]     prints, in milliseconds: the median of its starts, the shortest, and the median of
 *                                        the part from clone3 to exec
 *
 * One start is: a cgroup, the directories of an overlay; clone3 into new pid, mount, uts, ipc and network namespaces; with
 * BRIDGE a veth pair into it; overlay, /proc, /dev with its nodes, /dev/pts, /dev/shm, /dev/mqueue, /sys, /sys/fs/cgroup,
 * three bind mounts, the paths that Docker hides or makes read-only; pivot_root, limits of privilege, exec of /bin/true;
 * wait; cgroup and directories removed. DIRECTORY must be able to hold an overlay's upper directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/mount.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STARTS 60
#define WARM_UP 5
#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

unsigned if_nametoindex(const char *name); /* net/if.h and linux/if.h exclude each other */

static char rootfs[4096], base[4096], cgroup[4096];
static unsigned bridge;

static void must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
}

/* ---- Mounts ---- */

static int new_filesystem(const char *type, const char *const *options, unsigned attributes)
{
	int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), mount;

	must(context, type);
	for (; options && options[0]; options += 2)
		must(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[0], options[1], 0), options[0]);
	must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
	mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
	must(mount, "fsmount");
	close(context);
	return mount;
}

static int clone_tree(int directory, const char *path)
{
	return (int)syscall(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static void attach(int mount, int directory, const char *path)
{
	must(syscall(SYS_move_mount, mount, "", directory, path, MOVE_MOUNT_F_EMPTY_PATH), path);
	close(mount);
}

static void bind_file(int root, const char *source, const char *target)
{
	close(openat(root, target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	attach(clone_tree(AT_FDCWD, source), root, target);
}

static void fill_dev(int dev)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = { { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },	 { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "/proc/kcore", "core" },	 { "pts/ptmx", "ptmx" },
	};

	for (unsigned i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
		mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor));
	for (unsigned i = 0; i < sizeof links / sizeof links[0]; i++)
		symlinkat(links[i][0], dev, links[i][1]);
	mkdirat(dev, "pts", 0755);
	mkdirat(dev, "shm", 0755);
	mkdirat(dev, "mqueue", 0755);
}

static void default_mounts(int root)
{
	static const char *const dev_options[] = { "mode", "755", "size", "65536k", NULL };
	static const char *const pts_options[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL };
	static const char *const shm_options[] = { "mode", "1777", "size", "65536k", NULL };
	int dev = new_filesystem("tmpfs", dev_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);

	attach(new_filesystem("proc", NULL, SAFE), root, "proc");
	fill_dev(dev);
	attach(dev, root, "dev");
	attach(new_filesystem("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), root, "dev/pts");
	attach(new_filesystem("sysfs", NULL, SAFE | MOUNT_ATTR_RDONLY), root, "sys");
	attach(new_filesystem("cgroup2", NULL, SAFE | MOUNT_ATTR_RDONLY), root, "sys/fs/cgroup");
	attach(new_filesystem("mqueue", NULL, SAFE), root, "dev/mqueue");
	attach(new_filesystem("tmpfs", shm_options, SAFE), root, "dev/shm");
	bind_file(root, "/etc/hosts", "etc/hosts");
	bind_file(root, "/etc/hostname", "etc/hostname");
	bind_file(root, "/etc/hosts", "etc/resolv.conf");
}

static void hide(int root)
{
	static const char *const masked[] = {
		"proc/asound",	    "proc/acpi",  "proc/interrupts",  "proc/kcore",   "proc/keys",
		"proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi",
		"sys/firmware",	    "sys/devices/virtual/powercap",
	};
	static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	static const char *const empty[] = { "nr_inodes", "1", NULL };
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
	struct stat status;

	for (unsigned i = 0; i < sizeof masked / sizeof masked[0]; i++) {
		if (fstatat(root, masked[i], &status, 0) < 0)
			continue;
		attach(S_ISDIR(status.st_mode) ? new_filesystem("tmpfs", empty, SAFE | MOUNT_ATTR_RDONLY) :
						 clone_tree(AT_FDCWD, "/dev/null"),
		       root, masked[i]);
	}
	for (unsigned i = 0; i < sizeof read_only / sizeof read_only[0]; i++) {
		int mount = clone_tree(root, read_only[i]);

		if (mount < 0)
			continue;
		syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
		attach(mount, root, read_only[i]);
	}
}

/* ---- Network ---- */

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	char attributes[256];
};

static struct rtattr *add(struct request *request, unsigned short type, const void *data, size_t size)
{
	struct rtattr *attribute = (void *)((char *)request + request->header.nlmsg_len);

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(attribute), data, size);
	request->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
	return attribute;
}

static void end(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)request + request->header.nlmsg_len - (char *)nest);
}

static void talk(struct request *request)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer = { 0 };

	send(netlink, request, request->header.nlmsg_len, 0);
	recv(netlink, &answer, sizeof answer, 0);
	close(netlink);
	errno = -answer.error.error;
	must(answer.error.error, "netlink");
}

static struct request new_link(unsigned short type, unsigned short flags)
{
	struct request request = { .header = { NLMSG_LENGTH(sizeof request.link), type, 0, 0, 0 } };

	request.header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return request;
}

/* One end in the bridge and up, the other called eth0 in the child's network namespace. */
static void veth(pid_t child, unsigned number)
{
	struct request request = new_link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg peer = { 0 };
	struct rtattr *info, *data, *other;
	char name[16];

	snprintf(name, sizeof name, "b%d-%u", getpid(), number);
	request.link.ifi_flags = request.link.ifi_change = 1; /* IFF_UP */
	add(&request, IFLA_IFNAME, name, strlen(name) + 1);
	add(&request, IFLA_MASTER, &bridge, sizeof bridge);
	info = add(&request, IFLA_LINKINFO, NULL, 0);
	add(&request, IFLA_INFO_KIND, "veth", 4);
	data = add(&request, IFLA_INFO_DATA, NULL, 0);
	other = add(&request, VETH_INFO_PEER, &peer, sizeof peer);
	add(&request, IFLA_IFNAME, "eth0", 5);
	add(&request, IFLA_NET_NS_PID, &child, sizeof child);
	end(&request, other);
	end(&request, data);
	end(&request, info);
	talk(&request);
}

static void link_up(const char *name)
{
	struct request request = new_link(RTM_NEWLINK, 0);

	request.link.ifi_index = (int)if_nametoindex(name);
	request.link.ifi_flags = request.link.ifi_change = 1;
	talk(&request);
}

/* ---- One start ---- */

static void child(int ready, unsigned number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0x800405fb, 0x800405fb, 0 }, { 0, 0, 0 } };
	char upper[64], work[64], wait;
	const char *const layers[] = { "source", "overlay", "lowerdir+", rootfs, "upperdir", upper, "workdir", work, NULL };
	int root;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must(unshare(CLONE_NEWCGROUP), "unshare");
	must(syscall(SYS_mount, "none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	snprintf(upper, sizeof upper, "upper%u", number);
	snprintf(work, sizeof work, "work%u", number);
	must(chdir(base), base);
	root = new_filesystem("overlay", layers, 0);
	must(syscall(SYS_move_mount, root, "", AT_FDCWD, "mountpoint", MOVE_MOUNT_F_EMPTY_PATH), "mountpoint");
	default_mounts(root);
	hide(root);
	if (bridge)
		must(read(ready, &wait, 1), "ready");
	link_up("lo");
	if (bridge)
		link_up("eth0");
	fchdir(root);
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	syscall(SYS_umount2, ".", 2);
	chdir("/");
	sethostname("bare", 4);
	setsid();
	for (unsigned long capability = 0; capability <= 40; capability++)
		if (!(0xa80425fbu >> capability & 1) || capability > 31)
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	syscall(SYS_setgroups, 0, NULL);
	syscall(SYS_setresgid, 0, 0, 0);
	syscall(SYS_setresuid, 0, 0, 0);
	syscall(SYS_capset, &header, data);
	syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
	execve("/bin/true", (char *[]){ "true", NULL }, (char *[]){ "PATH=/bin", NULL });
	must(-1, "/bin/true");
}

static double since(const struct timespec *before)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - before->tv_sec) * 1e3 + (double)(now.tv_nsec - before->tv_nsec) / 1e6;
}

/* Gives the milliseconds from clone3 to exec. */
static double start(unsigned number)
{
	char path[4300], upper[4200], work[4200];
	struct clone_args arguments = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
	};
	int ready[2], executed[2], group, status;
	struct timespec before;
	double until_exec;
	char nothing;
	pid_t pid;

	snprintf(path, sizeof path, "%s/bare-%d-%u", cgroup, getpid(), number);
	must(mkdir(path, 0755), path);
	group = open(path, O_PATH | O_CLOEXEC);
	arguments.cgroup = (uint64_t)group;
	snprintf(upper, sizeof upper, "%s/upper%u", base, number);
	snprintf(work, sizeof work, "%s/work%u", base, number);
	must(mkdir(upper, 0755), upper);
	must(mkdir(work, 0755), work);
	must(pipe2(ready, O_CLOEXEC), "pipe");
	must(pipe2(executed, O_CLOEXEC), "pipe");
	clock_gettime(CLOCK_MONOTONIC, &before);
	pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
	must(pid, "clone3");
	if (pid == 0)
		child(ready[0], number);
	if (bridge) {
		veth(pid, number);
		must(write(ready[1], "", 1), "ready");
	}
	close(executed[1]);
	must(read(executed[0], &nothing, 1), "executed"); /* exec closes the other end */
	until_exec = since(&before);
	must(waitpid(pid, &status, 0), "wait");
	if (status != 0) {
		fprintf(stderr, "the child ended with %#x\n", status);
		exit(1);
	}
	close(ready[0]);
	close(ready[1]);
	close(executed[0]);
	close(group);
	rmdir(path);
	snprintf(path, sizeof path, "%s/work", work);
	rmdir(path);
	rmdir(work);
	return until_exec;
}

/* What mount targets left in the upper directory; not part of the time. */
static void clear(unsigned number)
{
	static const char *const made[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc" };
	char path[4300];

	for (unsigned i = 0; i < sizeof made / sizeof made[0]; i++) {
		snprintf(path, sizeof path, "%s/upper%u/%s", base, number, made[i]);
		remove(path);
	}
	snprintf(path, sizeof path, "%s/upper%u", base, number);
	remove(path);
}

static int compare(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;

	return (difference > 0) - (difference < 0);
}

static void find_cgroup(void)
{
	char line[8192], type[64];
	FILE *mounts = fopen("/proc/self/mounts", "re");

	while (mounts && fgets(line, sizeof line, mounts))
		if (sscanf(line, "%*s %4095s %63s", cgroup, type) == 2 && strcmp(type, "cgroup2") == 0)
			break;
	if (mounts)
		fclose(mounts);
}

int main(int argc, char **argv)
{
	double milliseconds[STARTS], until_exec[STARTS];
	char mountpoint[4200];

	if (argc < 3 || !realpath(argv[1], rootfs) || !realpath(argv[2], base)) {
		fprintf(stderr, "usage: bare ROOTFS DIRECTORY [BRIDGE]\n");
		return 2;
	}
	if (argc > 3)
		bridge = if_nametoindex(argv[3]);
	find_cgroup();
	snprintf(mountpoint, sizeof mountpoint, "%s/mountpoint", base);
	mkdir(mountpoint, 0755);
	for (unsigned i = 0; i < STARTS + WARM_UP; i++) {
		struct timespec before;
		double whole, inner;

		clock_gettime(CLOCK_MONOTONIC, &before);
		inner = start(i);
		whole = since(&before);
		clear(i);
		if (i >= WARM_UP) {
			milliseconds[i - WARM_UP] = whole;
			until_exec[i - WARM_UP] = inner;
		}
	}
	rmdir(mountpoint);
	qsort(milliseconds, STARTS, sizeof milliseconds[0], compare);
	qsort(until_exec, STARTS, sizeof until_exec[0], compare);
	printf("%.3f %.3f %.3f\n", milliseconds[STARTS / 2], milliseconds[0], until_exec[STARTS / 2]);
	return 0;
}
