/* preload.c: how the memory of the preloaded process lies, before it forks its first worker.
 *
 * Owns: holes in the C library's heap. Leaves to others: Python's own heap, and when (minirun/warm/settle.py).
 */
#include "internal.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGEST ((size_t)65536)
#define SMALLEST ((size_t)24)
#define GRAIN 16 /* of sizes that malloc(3) tells apart, on all 64-bit machines */

/* Allocates what is free between other chunks, for good: then all that a worker allocates lies together, at the heap's end.
 * From there comes what lies above its present top. mallinfo(3) */
void mr_fill_holes(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	const char *top = (const char *)sbrk(0) - mallinfo2().keepcost;

	for (size_t size = LARGEST; size >= SMALLEST; size -= size > 1024 ? size / 16 / GRAIN * GRAIN : GRAIN) {
		char *chunk;
		while ((chunk = malloc(size)) && chunk < top)
			;
		free(chunk);
	}
#endif
}
