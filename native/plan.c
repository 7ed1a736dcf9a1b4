/* plan.c: bytes to operations.
 *
 * Owns: the encoding (drawn in minirun.h), the table of operations. Leaves to others: what an operation means (walk.c, op_*.c).
 * Total: any bytes give operations or -EINVAL, and nothing outside of them is read. A fuzzer holds this (native/tests/fuzz_plan.c).
 * The decoder assumes a little-endian machine, as every one that minirun serves is.
 */
#include "internal.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the plan is little endian");
_Static_assert(sizeof(struct mr_plan_header) == 16 && sizeof(struct mr_op_header) == 8, "the plan's headers are packed");

struct row {
	uint16_t code;
	const char *name;
	const char *signature;
	const char *arguments;
};

static const struct row rows[] = {
#define ROW(NAME, code, signature, arguments) { code, #NAME, signature, arguments },
	MR_OPERATIONS(ROW)
#undef ROW
};
#define ROWS (sizeof rows / sizeof rows[0])

#define CHECK_SIGNATURE(NAME, code, signature, arguments) \
	_Static_assert(sizeof(signature) - 1 <= MR_ARGUMENTS_MAX, #NAME " has too many arguments");
MR_OPERATIONS(CHECK_SIGNATURE)

/* Code to signature; a switch, which the compiler turns into a table and which refuses a code that is used twice. */
static const char *signature_of(uint16_t code)
{
	switch (code) {
#define CASE(NAME, code, signature, arguments) \
	case code:                             \
		return signature;
		MR_OPERATIONS(CASE)
#undef CASE
	default:
		return NULL;
	}
}

/* Takes n bytes and the padding after them from [*at, end); NULL when they aren't there. All arguments start on 8 bytes. */
static const unsigned char *take(const unsigned char **at, const unsigned char *end, uint64_t size)
{
	const unsigned char *here = *at;
	uint64_t padded = (size + 7) & ~(uint64_t)7; /* size < 2^33: no overflow */

	if (padded > (uint64_t)(end - here))
		return NULL;
	*at = here + padded;
	return here;
}

static uint32_t read32(const unsigned char *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof value);
	return value;
}

/* uint32_t length, the bytes, `terminators` NUL bytes. */
static int take_bytes(const unsigned char **at, const unsigned char *end, bool is_string, struct mr_argument *argument)
{
	const unsigned char *here = *at;
	uint32_t length;

	if (end - here < 4)
		return -EINVAL;
	length = read32(here);
	if (!take(at, end, (uint64_t)4 + length + (is_string ? 1 : 0)))
		return -EINVAL;
	argument->data = (const char *)here + 4;
	argument->length = length;
	if (is_string && (memchr(argument->data, 0, length) || argument->data[length] != 0))
		return -EINVAL;
	return 0;
}

static int take_vector(const unsigned char **at, const unsigned char *end, struct mr_argument *argument)
{
	const unsigned char *head = take(at, end, 8);
	struct mr_argument item;
	uint32_t count;

	if (!head)
		return -EINVAL;
	count = read32(head);
	if (read32(head + 4) != 0)
		return -EINVAL;
	argument->number = count;
	argument->data = (const char *)*at;
	for (uint32_t i = 0; i < count; i++) /* ends early for a huge count: each item takes at least 8 bytes */
		if (take_bytes(at, end, true, &item) < 0)
			return -EINVAL;
	argument->length = (uint32_t)((const char *)*at - argument->data);
	return 0;
}

static int take_argument(char kind, const unsigned char **at, const unsigned char *end, struct mr_argument *argument)
{
	const unsigned char *number;

	switch (kind) {
	case 'u':
		number = take(at, end, 8);
		if (!number)
			return -EINVAL;
		memcpy(&argument->number, number, 8);
		return 0;
	case 's':
		return take_bytes(at, end, true, argument);
	case 'b':
		return take_bytes(at, end, false, argument);
	default:
		return take_vector(at, end, argument);
	}
}

int mr_cursor_init(struct mr_cursor *cursor, const void *plan, size_t length)
{
	struct mr_plan_header header;

	if (length > MR_PLAN_MAX)
		return -E2BIG;
	if (length < sizeof header)
		return -EINVAL;
	memcpy(&header, plan, sizeof header);
	if (header.magic != MR_MAGIC)
		return -EINVAL;
	if (header.version != MR_VERSION)
		return -EPROTONOSUPPORT;
	if (header.length != length || length % 8 != 0)
		return -EINVAL;
	cursor->at = (const unsigned char *)plan + sizeof header;
	cursor->end = (const unsigned char *)plan + length;
	cursor->index = 0;
	cursor->count = header.count;
	return 0;
}

int mr_cursor_next(struct mr_cursor *cursor, struct mr_operation *operation)
{
	struct mr_op_header header;
	const unsigned char *at = cursor->at, *end;
	const char *signature;

	if (cursor->index == cursor->count)
		return at == cursor->end ? 0 : -EINVAL;
	if ((size_t)(cursor->end - at) < sizeof header)
		return -EINVAL;
	memcpy(&header, at, sizeof header);
	if (header.length < sizeof header || header.length % 8 != 0 || header.length > (size_t)(cursor->end - at))
		return -EINVAL;
	if (header.side > MR_SIDE_ENTER || (header.flags & ~MR_OP_OPTIONAL) != 0)
		return -EINVAL;
	signature = signature_of(header.code);
	if (!signature || (header.code < MR_FIRST_ACTION) != (header.side == MR_SIDE_MONITOR))
		return -EINVAL;
	end = at + header.length;
	at += sizeof header;
	memset(operation->arguments, 0, sizeof operation->arguments);
	for (unsigned i = 0; signature[i]; i++)
		if (take_argument(signature[i], &at, end, &operation->arguments[i]) < 0)
			return -EINVAL;
	if (at != end)
		return -EINVAL;
	operation->index = cursor->index++;
	operation->code = header.code;
	operation->side = header.side;
	operation->flags = header.flags;
	cursor->at = end;
	return 1;
}

int mr_cursor_next_of(struct mr_cursor *cursor, int side, struct mr_operation *operation)
{
	int more;

	while ((more = mr_cursor_next(cursor, operation)) > 0)
		if (operation->side == side)
			break;
	return more;
}

int mr_plan_check(const void *plan, size_t length)
{
	struct mr_cursor cursor;
	struct mr_operation operation;
	int more = mr_cursor_init(&cursor, plan, length);

	if (more < 0)
		return more;
	while ((more = mr_cursor_next(&cursor, &operation)) > 0)
		;
	return more;
}

size_t mr_plan_length(const void *plan)
{
	return read32((const unsigned char *)plan + offsetof(struct mr_plan_header, length));
}

const char *mr_vector_next(struct mr_vector *vector, uint32_t *length)
{
	const char *item;
	uint32_t size;

	if (vector->left == 0)
		return NULL;
	size = read32((const unsigned char *)vector->at);
	item = vector->at + 4;
	vector->at += ((uint64_t)4 + size + 1 + 7) & ~(uint64_t)7;
	vector->left--;
	if (length)
		*length = size;
	return item;
}

int mr_operation_code(int row)
{
	return row >= 0 && (size_t)row < ROWS ? rows[row].code : 0;
}

const char *mr_operation_name(int row)
{
	return mr_operation_code(row) ? rows[row].name : NULL;
}

const char *mr_operation_signature(int row)
{
	return mr_operation_code(row) ? rows[row].signature : NULL;
}

const char *mr_operation_arguments(int row)
{
	return mr_operation_code(row) ? rows[row].arguments : NULL;
}
