/* fuzz_plan.c: the decoder against any bytes (libFuzzer). Every decoded argument is read to its last byte, so that the
 * address sanitizer sees a length that reaches too far.
 *
 * Most random bytes have no valid header: when the magic number is right the harness corrects the length, and else, with the
 * first bit of the input set, it writes a header.
 */
#include "../internal.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned sum;

static void read_argument(char kind, const struct mr_argument *argument)
{
	struct mr_vector vector;
	const char *text;
	uint32_t length;

	if (kind == 's' && strlen(argument->data) != argument->length)
		abort();
	if (kind == 's' || kind == 'b')
		for (uint32_t i = 0; i < argument->length; i++)
			sum += (unsigned char)argument->data[i];
	if (kind != 'v')
		return;
	vector = mr_vector_of(argument);
	while ((text = mr_vector_next(&vector, &length)))
		if (strlen(text) != length)
			abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct mr_plan_header header = { MR_MAGIC, MR_VERSION, 0, 0 };
	struct mr_cursor cursor;
	struct mr_operation operation;
	unsigned char *plan;
	int verdict, more;

	if (size < 2)
		return 0;
	plan = malloc(size); /* exactly: one byte more is an error */
	memcpy(plan, data, size);
	if (size >= sizeof header) {
		struct mr_plan_header given;

		memcpy(&given, data, sizeof given);
		header.length = (uint32_t)size;
		header.count = given.magic == MR_MAGIC ? given.count : data[1];
		if (given.magic == MR_MAGIC || data[0] & 1)
			memcpy(plan, &header, sizeof header);
	}
	verdict = mr_plan_check(plan, size);
	if (verdict > 0)
		abort();
	if (mr_cursor_init(&cursor, plan, size) == 0) {
		while ((more = mr_cursor_next(&cursor, &operation)) > 0) {
			for (int row = 0; mr_operation_code(row); row++) {
				const char *signature = mr_operation_signature(row);

				if (mr_operation_code(row) == operation.code)
					for (unsigned i = 0; signature[i]; i++)
						read_argument(signature[i], &operation.arguments[i]);
			}
		}
		if (more != verdict)
			abort();
	}
	free(plan);
	return 0;
}
