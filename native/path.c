/* path.c: paths beneath a root descriptor.
 *
 * Owns: opening and creating things inside a root file system whose content is hostile. Leaves to others: what they are for.
 *
 * Every look-up is one openat2(2) from the root with RESOLVE_IN_ROOT: `..` and absolute symbolic links stay inside, and
 * the kernel does it in one go, so there is no moment between check and use. Creation happens with *at calls that don't
 * follow the last component, in a directory that was opened in that way.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as path_resolution(7) has it */

void mr_close(int *descriptor)
{
	int saved = errno;

	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
	errno = saved;
}

/* openat2(2), Linux 5.6. EAGAIN means that a rename elsewhere on the machine made the kernel give up on "..": try again. */
int mr_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };
	long descriptor;
	int attempts = 128;

	do
		descriptor = syscall(SYS_openat2, directory, path, &how, sizeof how);
	while (descriptor < 0 && (errno == EINTR || (errno == EAGAIN && --attempts > 0)));
	return mr_result(descriptor);
}

int mr_open_resolve(int root, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	return mr_openat2(root, path, (uint64_t)(unsigned)flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);
}

int mr_open_beneath(int root, const char *path, int flags)
{
	return mr_open_resolve(root, path, flags, 0, 0);
}

/* Copies into a PATH_MAX buffer: prefix, '/', link, '/', rest (each may be empty). -ENAMETOOLONG when it doesn't fit. */
static int join(char *buffer, const char *prefix, size_t prefix_length, const char *link, size_t link_length,
		const char *rest)
{
	size_t rest_length = strlen(rest);

	if (prefix_length + link_length + rest_length + 3 > PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(buffer, prefix, prefix_length);
	buffer[prefix_length] = '/';
	memcpy(buffer + prefix_length + 1, link, link_length);
	buffer[prefix_length + 1 + link_length] = '/';
	memcpy(buffer + prefix_length + link_length + 2, rest, rest_length + 1);
	return 0;
}

/* A missing component that turns out to be a dangling symbolic link (/etc/resolv.conf -> ../run/resolve/resolv.conf is in
 * many images): path becomes prefix/target/rest, or /target/rest when the target is absolute. */
static int follow(int parent, const char *name, char *path, size_t prefix_length, const char *rest)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t length = readlinkat(parent, name, target, sizeof target);
	int error;

	if (length < 0)
		return errno == EINVAL ? -EEXIST : -errno;
	if ((size_t)length >= sizeof target)
		return -ENAMETOOLONG;
	error = join(joined, path, target[0] == '/' ? 0 : prefix_length, target, (size_t)length, rest);
	if (error < 0)
		return error;
	memcpy(path, joined, sizeof joined);
	return 0;
}

/* Walks `path` (a PATH_MAX buffer, changed) component by component and makes the missing ones, the last as `kind` says.
 * Each prefix is looked up from the root again, so that links in it are followed inside the root. */
static int make(int root, char *path, mode_t kind, mode_t mode)
{
	MR_AUTOCLOSE parent = -1;
	unsigned links = 0;
	char *at;

again:
	mr_close(&parent);
	parent = mr_open_beneath(root, ".", O_PATH | O_DIRECTORY);
	if (parent < 0)
		return parent;
	at = path;
	for (;;) {
		char *component, *next, cut;
		int below, error;
		bool last;

		while (*at == '/')
			at++;
		if (*at == 0)
			return 0;
		component = at;
		next = component + strcspn(component, "/");
		last = next[strspn(next, "/")] == 0;
		cut = *next;
		*next = 0;
		below = mr_open_beneath(root, path, O_PATH | (last && kind != S_IFDIR ? 0 : O_DIRECTORY));
		if (below == -ENOENT) {
			if (last && kind != S_IFDIR)
				error = mr_result(mknodat(parent, component, S_IFREG | mode, 0));
			else
				error = mr_result(mkdirat(parent, component, last ? mode : 0755));
			if (error == -EEXIST) {
				if (++links > LINKS_MAX)
					return -ELOOP;
				error = follow(parent, component, path, (size_t)(component - path), cut ? next + 1 : next);
				if (error == -EEXIST) /* no link: somebody has made it since we looked */
					*next = cut;
				if (error == 0 || error == -EEXIST)
					goto again;
			}
			if (error < 0)
				return error;
			below = mr_open_resolve(parent, component, O_PATH | O_NOFOLLOW, 0, 0);
		}
		if (below < 0)
			return below;
		mr_close(&parent);
		parent = below;
		*next = cut;
		at = next;
	}
}

int mr_make_beneath(int root, const char *path, mode_t kind, mode_t mode)
{
	char buffer[PATH_MAX];
	size_t length = strlen(path);
	int there = mr_open_beneath(root, path, O_PATH | (kind == S_IFDIR ? O_DIRECTORY : 0));

	if (there >= 0) { /* nearly always */
		close(there);
		return 0;
	}
	if (there != -ENOENT)
		return there;
	if (length >= sizeof buffer)
		return -ENAMETOOLONG;
	memcpy(buffer, path, length + 1);
	return make(root, buffer, kind, mode);
}

int mr_parent_beneath(int root, const char *path, const char **name)
{
	char buffer[PATH_MAX];
	const char *last = strrchr(path, '/');
	size_t length;
	int parent;

	*name = last ? last + 1 : path;
	if (**name == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	length = (size_t)(*name - path);
	if (length >= sizeof buffer - 1)
		return -ENAMETOOLONG;
	memcpy(buffer, path, length);
	memcpy(buffer + length, ".", 2);
	parent = mr_open_beneath(root, buffer, O_PATH | O_DIRECTORY);
	if (parent != -ENOENT)
		return parent;
	parent = mr_make_beneath(root, buffer, S_IFDIR, 0755);
	return parent < 0 ? parent : mr_open_beneath(root, buffer, O_PATH | O_DIRECTORY);
}
