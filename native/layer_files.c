/* layer_files.c: the content and the attributes of regular files, those of small ones by a second thread.
 *
 * Owns: writing, completing and closing a file that layer.c has made; the queue between the two threads. Leaves to others: making
 * it, and where (layer.c).
 *
 * Of what a small file costs, half is making it and half is all the rest. Making comes in the archive's order, since what
 * stands in the way, links and whiteouts depend on it. The rest concerns a descriptor alone: which names lead to the file by
 * then makes no difference, and nothing else reads or changes it. So a file whose content lies in the piece at hand as a whole is
 * handed over, and before the piece is given back to its owner all such files are complete (layer_settle):
 *
 *     who unpacks     make, put | make, put | ... | settle: complete what is waiting, wait for the one that is under way
 *     the helper               complete | complete | ... (sleeps until enough waits: each waking costs as much as a file)
 *
 * The helper is one thread for the life of a layer, begun when first needed; without it (a limit) whoever unpacks does all.
 * A failure is told at the end of the piece, with the name of its file.
 */
#include "layer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	WAITING = 64, /* files at most: each is an open descriptor */
	DESCRIPTORS = 1000, /* that a process must be allowed for so many to wait */
	WAKE = 16,
	WAKE_BYTES = 64 * 1024,
};

/* A file that is made and only lacks its content and its attributes. */
struct job {
	int fd;
	const void *bytes; /* of the piece at hand */
	size_t length;
	struct mr_entry entry; /* its strings aren't there any more, but for the name */
	char *name;
};

/* A step that failed: `what` is NULL when none did. */
struct failure {
	const char *what;
	int reason;
};

struct files {
	unsigned int flags;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* for the helper: there is something to do, or it shall end */
	pthread_cond_t rest; /* for who unpacks: the helper is done with what it had */
	pthread_t helper;
	bool has_helper, is_alone; /* begun; could not be */
	bool sleeps, is_busy, ends;
	struct job jobs[WAITING]; /* a ring */
	size_t first, count, bytes;
	struct failure failure; /* the first one */
	char *failed_name;
};

/* ---- One file ------------------------------------------------------------------------------------------------------------ */

static struct failure failed(const char *what)
{
	return (struct failure){ what, errno };
}

static struct failure write_all(int fd, uint64_t offset, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length) {
		ssize_t written = pwrite(fd, at, length, (off_t)offset);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			return failed("write the file");
		}
		at += written;
		offset += (uint64_t)written;
		length -= (size_t)written;
	}
	return (struct failure){ 0 };
}

/* Most files of a layer are root's and have a mode that the umask leaves alone: a look is cheaper than two changes of nothing. */
static struct failure set_owner_and_mode(unsigned int flags, int fd, const struct mr_entry *entry)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed("look at the file");
	bool is_owned = flags & MR_UNTAR_NO_OWNER || (st.st_uid == entry->uid && st.st_gid == entry->gid);
	if (is_owned && (st.st_mode & 07777) == (entry->mode & 07777))
		return (struct failure){ 0 };
	if (!is_owned && fchown(fd, entry->uid, entry->gid) < 0)
		return failed("change the owner");
	if (fchmod(fd, entry->mode & 07777) < 0) /* after the owner, whose change takes the set-user-id bit away: chown(2) */
		return failed("change the mode");
	return (struct failure){ 0 };
}

static struct failure set_times(int fd, const struct mr_entry *entry)
{
	struct timespec times[2] = { layer_timespec(entry->seconds, entry->nanoseconds), layer_timespec(entry->seconds, entry->nanoseconds) };

	return futimens(fd, times) < 0 ? failed("set the times") : (struct failure){ 0 };
}

static struct failure complete(unsigned int flags, const struct job *job)
{
	struct failure failure = write_all(job->fd, 0, job->bytes, job->length);

	if (!failure.what)
		failure = set_owner_and_mode(flags, job->fd, &job->entry);
	if (!failure.what)
		failure = set_times(job->fd, &job->entry);
	close(job->fd);
	return failure;
}

/* ---- The queue ----------------------------------------------------------------------------------------------------------- */

/* Complete the file that waits longest. With the lock, which others may have meanwhile. */
static void complete_one(struct files *f)
{
	struct job job = f->jobs[f->first];

	f->first = (f->first + 1) % WAITING;
	f->count--;
	f->bytes -= job.length;
	pthread_mutex_unlock(&f->lock);
	struct failure failure = complete(f->flags, &job);
	pthread_mutex_lock(&f->lock);
	if (failure.what && !f->failure.what) {
		f->failure = failure;
		f->failed_name = job.name;
	} else {
		free(job.name);
	}
}

static void *help(void *argument)
{
	struct files *f = argument;

	pthread_mutex_lock(&f->lock);
	while (!f->ends) {
		f->is_busy = f->count > 0;
		if (f->is_busy) {
			complete_one(f);
			continue;
		}
		pthread_cond_signal(&f->rest);
		f->sleeps = true;
		pthread_cond_wait(&f->wake, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void begin_helper(struct files *f)
{
	sigset_t all, before;
	cpu_set_t processors;

	f->is_alone = sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) < 2;
	if (f->is_alone)
		return;
	sigfillset(&all); /* a handler of the program's must not run there */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	f->has_helper = pthread_create(&f->helper, NULL, help, f) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	f->is_alone = !f->has_helper;
}

/* With the lock. */
static void wake_helper(struct files *f)
{
	if (!f->has_helper && !f->is_alone)
		begin_helper(f);
	if (f->sleeps) {
		f->sleeps = false;
		pthread_cond_signal(&f->wake);
	}
}

/* NULL: nothing can be handed over. Several layers may come at a time. */
static struct files *files_of(struct mr_layer *l)
{
	struct rlimit limit;

	if (!l->files) {
		if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < DESCRIPTORS)
			return NULL;
		l->files = calloc(1, sizeof *l->files);
		if (!l->files)
			return NULL;
		l->files->flags = l->flags;
		pthread_mutex_init(&l->files->lock, NULL);
		pthread_cond_init(&l->files->wake, NULL);
		pthread_cond_init(&l->files->rest, NULL);
	}
	return l->files;
}

void layer_free_files(struct mr_layer *l)
{
	struct files *f = l->files;

	if (!f)
		return;
	(void)layer_settle(l);
	if (f->has_helper) {
		pthread_mutex_lock(&f->lock);
		f->ends = true;
		pthread_cond_signal(&f->wake);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->helper, NULL);
	}
	pthread_cond_destroy(&f->rest);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f->failed_name);
	free(f);
	l->files = NULL;
}

int layer_settle(struct mr_layer *l)
{
	struct files *f = l->files;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	while (f->count)
		complete_one(f);
	while (f->is_busy)
		pthread_cond_wait(&f->rest, &f->lock);
	struct failure failure = f->failure;
	pthread_mutex_unlock(&f->lock);
	return failure.what ? layer_fail_call(l, failure.reason, failure.what) : 0;
}

/* ---- The interface ------------------------------------------------------------------------------------------------------- */

bool mr_layer_hand_over(struct mr_layer *l, const struct mr_entry *entry, const void *bytes, size_t length)
{
	struct files *f;

	if (l->flags & (MR_UNTAR_COPY | MR_UNTAR_SPOOL) || entry->xattr_count || entry->holes || !(f = files_of(l)))
		return false;
	char *name = strdup(entry->name);
	if (!name)
		return false;
	pthread_mutex_lock(&f->lock);
	if (f->count == WAITING)
		complete_one(f);
	f->jobs[(f->first + f->count++) % WAITING] = (struct job){ l->file, bytes, length, *entry, name };
	f->bytes += length;
	if (f->count >= WAKE || f->bytes >= WAKE_BYTES)
		wake_helper(f);
	pthread_mutex_unlock(&f->lock);
	l->file = -1;
	return true;
}

int mr_layer_settle(struct mr_layer *l, const char **name)
{
	int result = layer_settle(l);

	*name = result < 0 ? l->files->failed_name : NULL;
	return result;
}

int mr_layer_write(struct mr_layer *l, uint64_t offset, const void *bytes, size_t length)
{
	struct failure failure = write_all(l->file, offset, bytes, length);

	return failure.what ? layer_fail_call(l, failure.reason, failure.what) : 0;
}

int mr_layer_end(struct mr_layer *l, const struct mr_entry *entry)
{
	struct failure failure = { 0 };
	int fd = l->file;
	int result = 0;

	if (entry->holes && ftruncate(fd, (off_t)entry->size) < 0)
		failure = failed("set the size of the file");
	if (!failure.what && !(l->flags & MR_UNTAR_SPOOL)) {
		failure = set_owner_and_mode(l->flags, fd, entry);
		if (!failure.what)
			result = layer_set_xattrs(l, -1, "", fd, entry);
		if (!failure.what && result == 0)
			failure = set_times(fd, entry);
	}
	close(fd);
	l->file = -1;
	return failure.what ? layer_fail_call(l, failure.reason, failure.what) : result;
}
