/* monitor_settings.c: the monitor's side of a plan. What mr_spawn reads itself (CLONE, ENTER) is passed over. */
#include "monitor.h"

#include <stdlib.h>
#include <string.h>

#define DELAY_MAX_MS 86400000 /* a day: poll(2) takes an int */

/* argv or environment as execve(2) wants it, in one block. */
static char **copy_vector(const struct mr_argument *argument)
{
	size_t bytes = (argument->number + 1) * sizeof(char *);
	const char *string;
	uint32_t length;
	for (struct mr_vector left = mr_vector_of(argument); (string = mr_vector_next(&left, &length));)
		bytes += length + 1u;
	char **pointers = malloc(bytes);
	if (!pointers)
		return NULL;
	char **pointer = pointers, *text = (char *)(pointers + argument->number + 1);
	for (struct mr_vector left = mr_vector_of(argument); (string = mr_vector_next(&left, &length));) {
		memcpy(text, string, length + 1u);
		*pointer++ = text;
		text += length + 1u;
	}
	*pointer = NULL;
	return pointers;
}

static void *copy(const void *data, size_t length)
{
	void *made = malloc(length);
	return made ? memcpy(made, data, length) : NULL;
}

static int read_health(struct health_settings *health, const struct mr_argument *argument)
{
	int status = mr_plan_check(argument[0].data, argument[0].length);
	if (status < 0)
		return status;
	if (argument[1].number == 0 || argument[2].number == 0 || argument[4].number == 0 || argument[5].number == 0)
		return -EINVAL;
	*health = (struct health_settings){ .plan = copy(argument[0].data, argument[0].length),
					    .interval_ns = argument[1].number,
					    .timeout_ns = argument[2].number,
					    .start_period_ns = argument[3].number,
					    .start_interval_ns = argument[4].number,
					    .retries = argument[5].number,
					    .late = copy(argument[6].data, argument[6].length + 1u),
					    .path = copy(argument[7].data, argument[7].length + 1u) };
	return health->plan && health->late && health->path ? 0 : -ENOMEM;
}

static int read_one(struct settings *settings, const struct mr_operation *operation)
{
	const struct mr_argument *argument = operation->arguments;
	switch (operation->code) {
	case MR_OP_LOG:
		settings->log_path = argument[0].data;
		settings->log_bytes = argument[1].number;
		settings->log_files = argument[2].number;
		settings->log_operation = operation->index;
		return 0;
	case MR_OP_LOG_ATTRIBUTES:
		settings->log_attributes = argument[0];
		return 0;
	case MR_OP_STDIO:
		if (argument[0].number > MR_STDIO_INHERIT)
			return -EINVAL;
		settings->stdio = (enum mr_stdio)argument[0].number;
		settings->open_stdin = argument[1].number != 0;
		return 0;
	case MR_OP_EXIT_HOOK:
		if (argument[0].number == 0)
			return -EINVAL;
		settings->hook = copy_vector(&argument[0]);
		settings->hook_environment = copy_vector(&argument[1]);
		return settings->hook && settings->hook_environment ? 0 : -ENOMEM;
	case MR_OP_AWAIT_OWNER:
		settings->await_owner = true;
		return 0;
	case MR_OP_HEALTH:
		return read_health(&settings->health, argument);
	case MR_OP_DELAY:
		if (argument[0].number > DELAY_MAX_MS)
			return -EINVAL;
		settings->delays = true;
		settings->delay_ns = argument[0].number * 1000000;
		return 0;
	case MR_OP_RUN_DIRECTORY:
		settings->run_directory = argument[0].data;
		settings->run_operation = operation->index;
		return 0;
	case MR_OP_STDIO_OWNER:
		if (argument[0].number >= UINT32_MAX || argument[1].number >= UINT32_MAX)
			return -EINVAL;
		settings->stdio_uid = (uid_t)argument[0].number;
		settings->stdio_gid = (gid_t)argument[1].number;
		return 0;
	case MR_OP_CGROUP:
		settings->cgroup = argument[0].data;
		return 0;
	default:
		return 0;
	}
}

int settings_read(struct settings *settings, const void *plan, size_t length, uint32_t *failed)
{
	*settings = (struct settings){ .stdio = MR_STDIO_NULL };
	*failed = MR_NO_OPERATION;
	struct mr_cursor cursor;
	struct mr_operation operation;
	int status = mr_cursor_init(&cursor, plan, length);
	while (status == 0 && (status = mr_cursor_next_of(&cursor, MR_SIDE_MONITOR, &operation)) > 0) {
		status = read_one(settings, &operation);
		*failed = operation.index;
	}
	return status;
}
