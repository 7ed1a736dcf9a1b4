/* op_exec.c: the last operation.
 *
 * Owns: finding the program as execvp(3) does, executing it, and the question whether that could succeed; HOME.
 * Leaves to others: everything before.
 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

char **mr_vector_list(struct mr_vector vector, char **pointers)
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

/* What is tried on each file that could be the program: 0 ends the search, and so does an error that says more than "not here". */
struct attempt {
	int (*act)(const struct attempt *attempt, const char *path);
	char **argv;
	char **environment;
};

static int execute(const struct attempt *attempt, const char *path)
{
	execve(path, attempt->argv, attempt->environment);
	return -errno;
}

/* Could the process that we are by now execute it? faccessat2(2), Linux 5.8. */
static int check(const struct attempt *attempt, const char *path)
{
	struct stat status;

	(void)attempt;
	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return mr_result(syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS));
}

static bool is_directory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Each directory of a:b:c in turn; relative and empty ones are left out, the working directory is the image's choice.
 * -EACCES when something was there that can't be executed, as execvp(3). */
static int search(const char *directories, const char *name, const struct attempt *attempt)
{
	char path[PATH_MAX];
	size_t name_length = strlen(name);
	int error = -ENOENT, result;

	if (strchr(name, '/')) {
		result = attempt->act(attempt, name);
		return result == -EACCES && is_directory(name) ? -EISDIR : result;
	}
	if (!*name)
		return -ENOENT;
	while (*directories) {
		size_t length = strcspn(directories, ":");

		if (*directories == '/' && length + name_length + 2 <= sizeof path) {
			memcpy(path, directories, length);
			path[length] = '/';
			memcpy(path + length + 1, name, name_length + 1);
			result = attempt->act(attempt, path);
			if (result == -EACCES)
				error = -EACCES;
			else if (result != -ENOENT && result != -ENOTDIR)
				return result;
		}
		directories += length;
		directories += *directories == ':';
	}
	return error;
}

/* search_path name */
MR_ACTION(EXECUTABLE)
{
	struct attempt attempt = { .act = check };

	(void)walk;
	return search(argument[0].data, argument[1].data, &attempt);
}

/* search_path argv environment. execve(2) */
MR_ACTION(EXEC)
{
	struct mr_message message = { .kind = MR_MSG_EXECUTING };
	size_t count = (size_t)argument[1].number + (size_t)argument[2].number + 3;
	struct attempt attempt = { .act = execute };
	char **end;
	int error;

	if (argument[1].number == 0)
		return -EINVAL;
	attempt.argv = mmap(NULL, count * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (attempt.argv == MAP_FAILED)
		return -errno;
	attempt.environment = mr_vector_list(mr_vector_of(&argument[1]), attempt.argv) + 1;
	end = mr_vector_list(mr_vector_of(&argument[2]), attempt.environment);
	if (walk->home[0] && !has_home(mr_vector_of(&argument[2]))) {
		memmove(walk->home + 5, walk->home, strlen(walk->home) + 1);
		memcpy(walk->home, "HOME=", 5);
		*end++ = walk->home;
		*end = NULL;
	}

	error = walk->executing ? 0 : mr_tell(walk, &message);
	if (error < 0)
		return error;
	return search(argument[0].data, attempt.argv[0], &attempt);
}
