/* fuzz_untar.c: the archive reader and the applier against any bytes (libFuzzer), above two lower layers.
 *
 * The first byte of the input says how many lowers there are, which flags hold, and in what pieces the rest is fed. Blocks that look like
 * headers get a right checksum, which no mutation would hit. The harness works in the current directory: `yard` holds the
 * root, the lowers and a canary, and after each input nothing else may be there, no descriptor may be open, and
 * the lowers are as they were.
 */
#include "../untar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int yard = -1;
static int lowers[2];

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	abort();
}

static void make_file(int directory, const char *name)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	must(fd >= 0 && write(fd, "low\n", 4) == 4, name);
	close(fd);
}

static int make_directory(int parent, const char *name)
{
	must(mkdirat(parent, name, 0755) == 0, name);
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0, name);
	return fd;
}

/* What the names in the seeds lead to: directories, links inside and out, a file. */
static void fill_lower(int lower)
{
	static const char *const directories[] = { "a", "a/b", "d", "d/e", "usr", "usr/bin" };

	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		must(mkdirat(lower, directories[i], 0755) == 0, directories[i]);
	must(symlinkat("usr/bin", lower, "bin") == 0, "bin");
	must(symlinkat("../../canary", lower, "link") == 0, "link");
	must(symlinkat("/d", lower, "a/l") == 0, "a/l");
	make_file(lower, "f");
	make_file(lower, "d/f");
}

static void prepare(void)
{
	must(mkdir("yard", 0700) == 0, "yard");
	yard = open("yard", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(yard >= 0, "yard");
	make_file(yard, "canary");
	lowers[0] = make_directory(yard, "lower0");
	lowers[1] = make_directory(yard, "lower1");
	fill_lower(lowers[0]);
	fill_lower(lowers[1]);
}

static int count(int directory)
{
	DIR *listing = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int names = 0;

	must(listing != NULL, "list");
	while (readdir(listing))
		names++;
	closedir(listing);
	return names;
}

/* The lowest free descriptor: the same before and after when nothing is left open. (libFuzzer opens files between inputs.) */
static int next_descriptor(void)
{
	int probe = dup(yard);

	must(probe >= 0, "dup");
	close(probe);
	return probe;
}

static void check(void)
{
	struct stat st;

	must(count(yard) == 2 + 3, "something is in the yard");
	must(fstatat(yard, "canary", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 4 && st.st_nlink == 1 && st.st_mode == (S_IFREG | 0644), "canary");
	for (int i = 0; i < 2; i++)
		must(count(lowers[i]) == 2 + 6, "a lower has changed");
}

static void mend_checksums(unsigned char *data, size_t size)
{
	for (; size >= 512; data += 512, size -= 512) {
		unsigned int sum = 0;
		if (memcmp(data + 257, "ustar", 5) != 0)
			continue;
		memset(data + 148, ' ', 8);
		for (size_t i = 0; i < 512; i++)
			sum += data[i];
		(void)snprintf((char *)data + 148, 7, "%06o", sum & 0777777);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const size_t pieces[] = { 1, 77, 512, 1 << 20 };

	if (yard < 0)
		prepare();
	if (size < 1)
		return 0;
	unsigned char control = data[0];
	size_t left = size - 1;
	unsigned char *copy = malloc(left + 1);
	must(copy != NULL, "malloc");
	memcpy(copy, data + 1, left);
	mend_checksums(copy, left);

	int free_descriptor = next_descriptor();
	int root = make_directory(yard, "root");
	unsigned int flags = (control & 4 ? MR_UNTAR_END_MARK : 0) | ((control & 24) == 24 ? MR_UNTAR_SPOOL : 0);
	struct mr_untar *untar = mr_untar_new(root, lowers, control & 3 ? (control & 3) - 1u : 0, 1000, 1 << 20, flags);
	must(untar != NULL, "mr_untar_new");
	int result = 0;
	for (const unsigned char *at = copy; left && result == 0;) {
		size_t piece = pieces[control >> 5 & 3] < left ? pieces[control >> 5 & 3] : left;
		result = mr_untar_feed(untar, at, piece);
		at += piece;
		left -= piece;
	}
	int end = mr_untar_finish(untar);
	must(result == 0 || end == result, "an error isn't kept");
	must((end == 0) == (mr_untar_error(untar)[0] == '\0'), "an error has no sentence");
	for (const char *at = mr_untar_error(untar); *at; at++)
		must(*at >= ' ' && *at < 127, "an error isn't printable");
	mr_untar_free(untar);
	free(copy);
	close(root);
	must(mr_remove_tree(yard, "root") == 0, "remove the root");
	must(next_descriptor() == free_descriptor, "a descriptor is left open");
	check();
	return 0;
}
