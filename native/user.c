/* user.c: users and groups by the account files of the root.
 *
 * Owns: the meaning of user[:group], and reading /etc/passwd and /etc/group, which are the image's. Leaves to others:
 * becoming that user (op_identity.c).
 *
 * The files are hostile. They are opened after the pivot, regular files only, without waiting (a FIFO, a device: CVE-2024-9676),
 * read through a buffer of fixed size (a line of 4 GiB, ten million members: CVE-2026-47262), and given up at
 * ACCOUNT_FILE_MAX. Something that isn't a regular file counts as absent.
 *
 * What a number is, is decided by its digits alone, and it is never looked up as a name: 0 to 2^31-1 (CVE-2024-40635 is about
 * 2^32 becoming 0). What starts like a number and isn't one ("1e3", "-1", "0x0") is refused, whatever the files say.
 * Without a name or number for the group, it and the supplementary groups come from the files, as login(1) would do; with
 * one, there are no supplementary groups but it and the extra ones. The same as Docker's.
 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT_FILE_MAX (16u << 20)
#define NUMBER_MAX 0x7fffffffu

struct reader {
	int file;
	size_t total;
	size_t at;
	size_t length;
	char buffer[4096];
};

struct field {
	char text[PATH_MAX];
	bool whole; /* false: it was too long, and matches nothing */
	char delimiter; /* what ended it: ':' ',' '\n' */
};

/* 1 with the next character, 0 at the end, or -errno. */
static int next_character(struct reader *reader, char *character)
{
	if (reader->at == reader->length) {
		ssize_t length = read(reader->file, reader->buffer, sizeof reader->buffer);

		if (length <= 0)
			return length < 0 ? -errno : 0;
		reader->total += (size_t)length;
		if (reader->total > ACCOUNT_FILE_MAX)
			return -EFBIG;
		reader->at = 0;
		reader->length = (size_t)length;
	}
	*character = reader->buffer[reader->at++];
	return 1;
}

/* The next field: 1, 0 at the end of the file, or -errno. `comma` ends a field too (members of a group). */
static int next_field(struct reader *reader, struct field *field, bool comma)
{
	size_t length = 0;
	char character = 0;
	int more;

	field->whole = true;
	while ((more = next_character(reader, &character)) > 0) {
		if (character == ':' || character == '\n' || (comma && character == ','))
			break;
		if (length < sizeof field->text - 1 && character != 0)
			field->text[length++] = character;
		else
			field->whole = false;
	}
	if (more < 0)
		return more;
	field->text[length] = 0;
	field->delimiter = '\n';
	if (more)
		field->delimiter = character;
	return more || length || !field->whole;
}

static int skip_line(struct reader *reader, struct field *field)
{
	int more = 1;

	while (more > 0 && field->delimiter != '\n')
		more = next_field(reader, field, false);
	return more;
}

/* Digits alone: 0 with *number, -ERANGE above 2^31-1, -EINVAL for what only starts like a number, -ENOENT: a name. */
static int parse_number(const char *text, uint32_t *number)
{
	uint64_t value = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++)
		if (value <= NUMBER_MAX)
			value = value * 10 + (uint64_t)(*at - '0');
	if (*at || at == text)
		return at != text || *text == '-' || *text == '+' || strpbrk(text, " \t\n\r\v\f,") ? -EINVAL : -ENOENT;
	if (value > NUMBER_MAX)
		return -ERANGE;
	*number = (uint32_t)value;
	return 0;
}

static bool field_number(const struct field *field, uint32_t *number)
{
	return field->whole && parse_number(field->text, number) == 0;
}

/* Opens an account file: 1, 0 when there is none, or -errno. */
static int open_accounts(const char *path, struct reader *reader)
{
	struct stat status;
	int root = mr_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)), file;

	if (root < 0)
		return root;
	/* O_PATH first: opening a device can do things. */
	file = mr_open_beneath(root, path, O_PATH);
	if (file >= 0 && (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))) {
		mr_close(&file);
		file = -ENOENT;
	}
	mr_close(&file);
	if (file != -ENOENT)
		file = mr_open_beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	close(root);
	if (file == -ENOENT || file == -ENOTDIR || file == -ELOOP || file == -EACCES || file == -ENXIO)
		return 0;
	if (file < 0)
		return file;
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(file);
		return 0;
	}
	*reader = (struct reader){ .file = file };
	return 1;
}

/* The first line of /etc/passwd of that name, or (name NULL) of that uid: 1 with uid, gid, home and *name, 0, or -errno.
 * name:password:uid:gid:comment:home:shell */
static int find_user(const char *wanted, struct mr_account *account, char *name, size_t name_size)
{
	struct reader reader;
	struct field field;
	int more = open_accounts("etc/passwd", &reader), found = 0;

	if (more <= 0)
		return more;
	while (!found && (more = next_field(&reader, &field, false)) > 0) {
		bool sound = field.whole && field.text[0] && (!wanted || strcmp(field.text, wanted) == 0);
		uint32_t uid = 0, gid = 0;

		if (sound && strlen(field.text) < name_size)
			strcpy(name, field.text);
		else
			sound = false;
		for (int column = 1; column < 6 && more > 0 && field.delimiter == ':'; column++) {
			more = next_field(&reader, &field, false);
			if (column == 2)
				sound = sound && field_number(&field, &uid) && (wanted || uid == account->uid);
			else if (column == 3)
				found = sound && more > 0 && field_number(&field, &gid);
			else if (column == 5 && found && more > 0 && field.whole && field.text[0] == '/')
				strcpy(account->home, field.text);
		}
		if (found) {
			account->uid = uid;
			account->gid = gid;
		}
		if (more > 0)
			more = skip_line(&reader, &field);
		if (more < 0)
			break;
	}
	close(reader.file);
	return more < 0 ? more : found;
}

static int add_group(struct mr_account *account, uint32_t gid)
{
	for (uint32_t i = 0; i < account->group_count; i++)
		if (account->groups[i] == gid)
			return 0;
	if (account->group_count == MR_GROUPS_MAX)
		return -E2BIG;
	account->groups[account->group_count++] = gid;
	return 0;
}

/* Reads /etc/group (name:password:gid:member,member). With `wanted`: 1 and *gid of that name, or 0. With `member`: adds
 * every group that lists it. */
static int scan_groups(const char *wanted, const char *member, uint32_t *gid, struct mr_account *account)
{
	struct reader reader;
	struct field field;
	int more = open_accounts("etc/group", &reader), found = 0;

	if (more <= 0)
		return more;
	while (!found && (more = next_field(&reader, &field, false)) > 0) {
		bool named = wanted && field.whole && strcmp(field.text, wanted) == 0, sound = false;
		uint32_t number = 0;

		for (int column = 1; column < 3 && more > 0 && field.delimiter == ':'; column++) {
			more = next_field(&reader, &field, false);
			if (column == 2)
				sound = field_number(&field, &number);
		}
		if (more > 0 && sound && named) {
			*gid = number;
			found = 1;
		}
		while (member && more > 0 && field.delimiter != '\n') {
			more = next_field(&reader, &field, true);
			if (more > 0 && sound && field.whole && strcmp(field.text, member) == 0)
				more = add_group(account, number) < 0 ? -E2BIG : 1;
		}
		if (more > 0)
			more = skip_line(&reader, &field);
		if (more < 0)
			break;
	}
	close(reader.file);
	return more < 0 ? more : found;
}

/* A group by number or name. */
static int resolve_group(const char *text, uint32_t *gid, struct mr_account *account)
{
	int error = parse_number(text, gid);

	if (error != -ENOENT)
		return error;
	error = scan_groups(text, NULL, gid, account);
	return error < 0 ? error : error ? 0 : -ESRCH;
}

int mr_account_find(const char *spec, struct mr_vector extra_groups, struct mr_account *account)
{
	const char *colon = strchr(spec, ':'), *group = colon ? colon + 1 : "", *extra;
	size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
	char user[256], name[256] = "";
	uint32_t gid;
	int error, found;

	account->uid = account->gid = account->group_count = 0;
	strcpy(account->home, "/");
	if (length >= sizeof user)
		return -ENAMETOOLONG;
	memcpy(user, spec, length);
	user[length] = 0;

	error = length ? parse_number(user, &account->uid) : 0;
	if (error < 0 && error != -ENOENT)
		return error;
	found = find_user(error == -ENOENT ? user : NULL, account, name, sizeof name);
	if (found < 0)
		return found;
	if (!found && error == -ENOENT)
		return -ENOENT;

	if (*group) {
		error = resolve_group(group, &account->gid, account);
	} else {
		error = found ? scan_groups(NULL, name, NULL, account) : 0;
	}
	/* The primary one too: a set-group-ID program could otherwise drop it, and a denial with it (CVE-2022-36109). */
	if (error >= 0)
		error = add_group(account, account->gid);
	while (error >= 0 && (extra = mr_vector_next(&extra_groups, NULL))) {
		error = resolve_group(extra, &gid, account);
		if (error >= 0)
			error = add_group(account, gid);
	}
	return error < 0 ? error : 0;
}

/* The home of a user by number: / where the file has none, or can't be read, which is no reason not to start. */
void mr_account_home(uint32_t uid, struct mr_account *account)
{
	char name[256] = "";

	account->uid = uid;
	strcpy(account->home, "/");
	(void)find_user(NULL, account, name, sizeof name);
}
