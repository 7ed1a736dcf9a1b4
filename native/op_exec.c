/* op_exec.c: the last operation.
 *
 * Owns: finding the program as execvp(3) does and executing it; HOME. Leaves to others: everything before.
 */
#include "internal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The strings of a vector as a NULL-terminated array, at `pointers`. */
static char **list(struct mr_vector vector, char **pointers)
{
	const char *text;

	while ((text = mr_vector_next(&vector, NULL)))
		*pointers++ = (char *)(uintptr_t)text;
	*pointers = NULL;
	return pointers;
}

static bool has_home(struct mr_vector environment)
{
	const char *text;

	while ((text = mr_vector_next(&environment, NULL)))
		if (strncmp(text, "HOME=", 5) == 0)
			return true;
	return false;
}

/* Each directory of a:b:c in turn; relative and empty ones are left out, the working directory is the image's choice.
 * -EACCES when something was there that can't be executed, as execvp(3). */
static int search(const char *directories, const char *name, char **argv, char **environment)
{
	char path[PATH_MAX];
	size_t name_length = strlen(name);
	int error = -ENOENT;

	while (*directories) {
		size_t length = strcspn(directories, ":");

		if (*directories == '/' && length + name_length + 2 <= sizeof path) {
			memcpy(path, directories, length);
			path[length] = '/';
			memcpy(path + length + 1, name, name_length + 1);
			execve(path, argv, environment);
			if (errno == EACCES)
				error = -EACCES;
			else if (errno != ENOENT && errno != ENOTDIR)
				return -errno;
		}
		directories += length;
		directories += *directories == ':';
	}
	return error;
}

/* search_path argv environment. execve(2) */
MR_ACTION(EXEC)
{
	struct mr_message message = { .kind = MR_MSG_EXECUTING };
	size_t count = (size_t)argument[1].number + (size_t)argument[2].number + 3;
	char **argv, **environment, **end;
	const char *name;
	int error;

	if (argument[1].number == 0)
		return -EINVAL;
	argv = mmap(NULL, count * sizeof *argv, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argv == MAP_FAILED)
		return -errno;
	environment = list(mr_vector_of(&argument[1]), argv) + 1;
	end = list(mr_vector_of(&argument[2]), environment);
	if (walk->home[0] && !has_home(mr_vector_of(&argument[2]))) {
		memmove(walk->home + 5, walk->home, strlen(walk->home) + 1);
		memcpy(walk->home, "HOME=", 5);
		*end++ = walk->home;
		*end = NULL;
	}

	error = walk->executing ? 0 : mr_send(walk->socket, &message, -1);
	if (error < 0)
		return error;
	name = argv[0];
	if (strchr(name, '/')) {
		execve(name, argv, environment);
		return -errno;
	}
	if (!*name)
		return -ENOENT;
	return search(argument[0].data, name, argv, environment);
}
