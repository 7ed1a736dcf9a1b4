/* monitor.c: placeholder until the monitor lands. */
#include "internal.h"

int main(void)
{
	return 125;
}
