/* init.c: placeholder until the init lands. */
#include "internal.h"

int mr_op_init(void)
{
	return -ENOSYS;
}
