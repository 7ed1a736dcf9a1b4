/* fuzz_main.c: a main program for LLVMFuzzerTestOneInput where there is no libFuzzer (gcc).
 *
 *     fuzz SECONDS NUMBER SEED_FILE...
 *
 * Mutates the seeds: bits, bytes, 32-bit words that mean lengths, cuts, copies of a part to elsewhere. No coverage guides it, so
 * the seeds should have one of everything; it finds what is wrong with lengths. Each seed runs as it is at least once, with
 * 0 seconds nothing else does. The sequence is always the same for a NUMBER.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static uint64_t state = 88172645463325252u;

static uint32_t chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % below;
}

static size_t mutate(unsigned char *input, size_t size)
{
	static const uint32_t lengths[] = { 0,      1,          3,          7,          8,          0x7f,      0xff,
					    0xffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xfffffffb, 0xffffffff };
	uint32_t at = chance((uint32_t)size), other = chance((uint32_t)size), word, length;

	switch (chance(6)) {
	case 0:
		input[at] = (unsigned char)(input[at] ^ 1u << chance(8));
		return size;
	case 1:
		input[at] = (unsigned char)chance(256);
		return size;
	case 2:
		if (size < 4)
			return size;
		word = lengths[chance(sizeof lengths / sizeof lengths[0])];
		memcpy(input + (at & ~3u) % (size - 3), &word, sizeof word);
		return size;
	case 3:
		length = chance(64) + 1;
		length = length > size - at ? (uint32_t)size - at : length;
		length = length > size - other ? (uint32_t)size - other : length;
		memmove(input + at, input + other, length);
		return size;
	case 4:
		return size > 32 ? size - chance(16) : size;
	default:
		if (size < 4)
			return size;
		memcpy(&word, input + (at & ~3u) % (size - 3), sizeof word);
		word += chance(33) - 16u;
		memcpy(input + (at & ~3u) % (size - 3), &word, sizeof word);
		return size;
	}
}

int main(int argc, char **argv)
{
	static unsigned char seed[INPUT_MAX], input[INPUT_MAX];
	time_t end;
	unsigned long runs = 0;

	if (argc < 4)
		return 2;
	state += (uint64_t)atoi(argv[2]) << 32;
	end = time(NULL) + atoi(argv[1]);
	do {
		for (int i = 3; i < argc; i++) {
			FILE *file = fopen(argv[i], "rb");
			size_t size = file ? fread(seed, 1, sizeof seed, file) : 0;

			if (file)
				fclose(file);
			if (size == 0)
				return 2;
			LLVMFuzzerTestOneInput(seed, size);
			for (int round = 0; round < 2000 && time(NULL) < end; round++, runs++) {
				size_t length = size;

				memcpy(input, seed, size);
				for (uint32_t count = chance(8) + 1; count && length; count--)
					length = mutate(input, length);
				LLVMFuzzerTestOneInput(input, length);
			}
		}
	} while (time(NULL) < end);
	printf("%lu inputs\n", runs);
	return 0;
}
